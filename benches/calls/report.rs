use gunmetal_benches::{Bound, Table, duration, median, rate};

use crate::measure::{Figures, Measure, Results};

/// Prints a table for each measure, our rows judged against their targets.
pub(crate) fn print(peers: &[String], results: &Results) {
    for (&measure, figures) in results {
        println!("\n{}", measure.title());
        let table = match measure {
            Measure::OneAtATime { .. } | Measure::OpenLoad { .. } => latencies(measure, peers, figures),
            Measure::InFlight { .. } | Measure::Stream { .. } => rates(measure, peers, figures),
        };
        print!("{table}");
    }
}

fn latencies(measure: Measure, peers: &[String], figures: &[Figures]) -> Table {
    let mut table = Table::new(&["", "median", "p99", "p99.9", "x relay", "target", ""]);
    let relay = figure_of(RELAY, peers, figures, |figures| figures.latency.median());
    for (name, figures) in peers.iter().zip(figures) {
        let Some(median) = figures.latency.median() else {
            if figures.refused {
                table.row(vec![name.clone(), "refused".into()]);
            }
            continue;
        };
        let cell = |q| figures.latency.quantile(q).map_or_else(String::new, duration);
        let ratio = relay.map(|relay| median / relay);
        let mut row = vec![name.clone(), duration(median), cell(0.99), cell(0.999), show(ratio)];
        if let (true, Some(ratio), Measure::OneAtATime { .. }) = (is_ours(name), ratio, measure) {
            let bound = Bound::AtMost(1.25);
            row.extend([bound.to_string(), bound.judge(ratio).to_string()]);
        }
        table.row(row);
    }
    table
}

fn rates(measure: Measure, peers: &[String], figures: &[Figures]) -> Table {
    let rate_of = |figures: &Figures| (!figures.rates.is_empty()).then(|| median(&figures.rates));
    let mut table = Table::new(&["", "rate", "MB/s", "x relay", "x ttrpc", "target", ""]);
    let relay = figure_of(RELAY, peers, figures, rate_of);
    let ttrpc = figure_of(TTRPC, peers, figures, rate_of);
    for (name, figures) in peers.iter().zip(figures) {
        let Some(figure) = rate_of(figures) else { continue };
        let to_relay = relay.map(|relay| figure / relay);
        let to_ttrpc = ttrpc.map(|ttrpc| figure / ttrpc);
        let moved = match measure {
            Measure::Stream { chunk } => format!("{:.0}", figure * chunk as f64 / 1e6),
            _ => String::new(),
        };
        let mut row = vec![name.clone(), rate(figure), moved, show(to_relay), show(to_ttrpc)];
        if is_ours(name) {
            let mut goals = vec![(">= 1x ttrpc", Bound::AtLeast(1.0), to_ttrpc)];
            if matches!(measure, Measure::Stream { .. }) {
                goals.push((">= 0.5x relay", Bound::AtLeast(0.5), to_relay));
            }
            for (goal, bound, ratio) in goals {
                let Some(ratio) = ratio else { continue };
                row.extend([goal.to_string(), bound.judge(ratio).to_string()]);
            }
        }
        table.row(row);
    }
    table
}

fn figure_of(
    name: &str,
    peers: &[String],
    figures: &[Figures],
    figure: impl Fn(&Figures) -> Option<f64>,
) -> Option<f64> {
    let at = peers.iter().position(|peer| peer.starts_with(name))?;
    figure(&figures[at])
}

fn is_ours(name: &str) -> bool {
    name.starts_with("gunmetal")
}

fn show(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

/// How the name of the yardstick begins.
const RELAY: &str = "relay, 2 hops";
/// How the name of the RPC library to match begins.
const TTRPC: &str = "ttrpc";
