use gunmetal_benches::{Bound, Table, median, rate};

use crate::dialect::Dialect;
use crate::measure::{Measure, Results};
use crate::server::{Client, Peer};

/// Prints a row for each measure, with our figure divided by Redis's, both with the raw client.
pub(crate) fn print(peers: &[Peer<'_>], results: &Results) {
    let names = peers.iter().map(|peer| peer.name.as_str());
    let titles: Vec<&str> = [""].into_iter().chain(names).chain(["ratio", "target", ""]).collect();
    let place = |dialect| {
        let is_it = |peer: &Peer<'_>| peer.server.dialect == dialect && matches!(peer.client, Client::Raw);
        peers.iter().position(is_it)
    };
    let places = place(Dialect::Gunmetal).zip(place(Dialect::Redis));
    let mut table = Table::new(&titles);
    for (measure, figures) in results {
        let is_memory = matches!(measure, Measure::Memory { .. });
        let show = |figure: f64| if is_memory { format!("{figure:.0} B") } else { rate(figure) };
        let medians: Vec<Option<f64>> =
            figures.iter().map(|figures| (!figures.is_empty()).then(|| median(figures))).collect();
        let mut row = vec![measure.title()];
        row.extend(medians.iter().map(|figure| figure.map_or_else(String::new, show)));
        let both = places.and_then(|(ours, theirs)| Some((medians[ours]?, medians[theirs]?)));
        if let Some((ours, theirs)) = both {
            row.push(format!("{:.2}", ours / theirs));
            let (bound, judged, shown) = match measure {
                Measure::Memory { .. } => (Bound::AtMost(MOST_PER_KEY), ours, format!("<= {MOST_PER_KEY} B")),
                _ => (Bound::AtLeast(1.0), ours / theirs, Bound::AtLeast(1.0).to_string()),
            };
            row.extend([shown, bound.judge(judged).to_string()]);
        }
        table.row(row);
    }
    println!("\n{table}");
}

/// Bytes of memory for a key, everything included.
const MOST_PER_KEY: f64 = 250.0;
