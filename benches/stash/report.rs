use gunmetal_benches::{Bound, Table, bytes, median, rate};

use crate::measure::{Measure, Results};
use crate::server::Server;

/// Prints a row for each measure, with our figure divided by Redis's.
pub(crate) fn print(servers: &[Server], results: &Results) {
    let names = servers.iter().map(|server| server.name.as_str());
    let titles: Vec<&str> = [""].into_iter().chain(names).chain(["ratio", "target", ""]).collect();
    let mut table = Table::new(&titles);
    for (measure, figures) in results {
        let is_memory = matches!(measure, Measure::Memory { .. });
        let medians: Vec<f64> = figures.iter().map(|figures| median(figures)).collect();
        let mut row = vec![measure.title()];
        row.extend(
            medians.iter().map(|&figure| if is_memory { format!("{figure:.0} B") } else { rate(figure) }),
        );
        if let [ours, theirs] = medians[..] {
            row.push(format!("{:.2}", ours / theirs));
            let (bound, judged) = match measure {
                Measure::Memory { .. } => (Bound::AtMost(MOST_PER_KEY), ours),
                _ => (Bound::AtLeast(1.0), ours / theirs),
            };
            row.push(if is_memory { format!("<= {}", bytes(250)) } else { bound.to_string() });
            row.push(bound.judge(judged).to_string());
        }
        table.row(row);
    }
    println!("\n{table}");
}

/// Bytes of memory for a key, everything included.
const MOST_PER_KEY: f64 = 250.0;
