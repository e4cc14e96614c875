use gunmetal_benches::{Table, duration, median, rate};

use crate::arbiter::Arbiter;
use crate::measure::{Figures, Measure, Results};

/// Prints a row for each measure, and the ratio of the first arbiter's figure to the second's.
pub(crate) fn print(arbiters: &[Arbiter], results: &Results) {
    let names = arbiters.iter().map(|arbiter| arbiter.name);
    let titles: Vec<&str> = [""].into_iter().chain(names).chain(["ratio"]).collect();
    let mut rates = Table::new(&titles);
    let mut latencies = Table::new(&titles);
    for (&measure, figures) in results {
        match measure {
            Measure::ShortCalls | Measure::BesideLong => {
                for (name, quantile) in [("median", 0.5), ("p99", 0.99), ("longest", 1.0)] {
                    let title = format!("{}: {name}", measure.title());
                    let figure = |figures: &Figures| figures.latency.quantile(quantile);
                    latencies.row(row(title, figures, figure, duration));
                }
            }
            Measure::Calls(..) | Measure::Stream(_) | Measure::StashGet(..) | Measure::StashPut(..) => {
                let figure = |figures: &Figures| (!figures.rates.is_empty()).then(|| median(&figures.rates));
                rates.row(row(measure.title(), figures, figure, rate));
            }
        }
    }
    println!("\nrates (above 1 is better)\n{rates}\ntimes (below 1 is better)\n{latencies}");
}

fn row(
    title: String,
    figures: &[Figures],
    figure: impl Fn(&Figures) -> Option<f64>,
    show: impl Fn(f64) -> String,
) -> Vec<String> {
    let values: Vec<Option<f64>> = figures.iter().map(figure).collect();
    let mut row = vec![title];
    row.extend(values.iter().map(|value| value.map_or_else(String::new, &show)));
    if let [Some(ours), Some(theirs)] = values[..] {
        row.push(format!("{:.3}", ours / theirs));
    }
    row
}
