//! Encoding and decoding one request: our codec beside rmp-serde, rmpv and prost. The same content
//! each time, every decoder's answer compared before anything is timed; then nanoseconds (median
//! of rounds that alternate over the codecs) and allocations.

#![forbid(unsafe_code)]

mod gunmetal;
mod prost_peer;
mod request;
mod rmp;
mod subject;

use std::env;

use anyhow::Result;
use gunmetal_benches::{Bound, Options, Table, bytes, duration};

use request::Request;
use subject::Figures;

fn main() -> Result<()> {
    let options = Options::from_args(env::args().skip(1))?;
    for image_len in [64, 1 << 20] {
        let request = Request::with_image(image_len);
        println!("\ndecode, a typical request with a bytes field of {}", bytes(image_len));
        let ours = gunmetal::encoded(&request)?;
        let (named, compact, proto) =
            (rmp::named(&request)?, rmp::compact(&request)?, prost_peer::encoded(&request));
        println!(
            "(encoded: gunmetal {} B, rmp-serde named {} B, compact {} B, prost {} B)",
            ours.len(),
            named.len(),
            compact.len(),
            proto.len()
        );
        let mut subjects = gunmetal::decoders(&ours, &request)?;
        subjects.extend(rmp::decoders(&named, &compact, &request)?);
        subjects.push(prost_peer::decoder(&proto, &request)?);
        let figures = subject::measure(&mut subjects, image_len, &options);
        print!("{}", decode_table(&figures));
        judge_allocations(&figures, image_len);

        println!("\nencode, the same request into a kept buffer");
        let mut subjects = gunmetal::encoders(&request)?;
        subjects.extend(rmp::encoders(&request)?);
        subjects.push(prost_peer::encoder(&request));
        let figures = subject::measure(&mut subjects, image_len, &options);
        print!("{}", table(&figures, &[rmp::OWNED], |_, _| None));
    }
    Ok(())
}

fn decode_table(figures: &[Figures]) -> Table {
    table(figures, &[rmp::OWNED, rmp::BORROWED], |name, ratio| {
        let bound = Bound::AtLeast(3.0);
        (name == gunmetal::BORROWED).then(|| format!("{bound} {}", bound.judge(ratio)))
    })
}

/// One row a subject; the columns at the end say how many times as fast as each of `bases` it is.
fn table(figures: &[Figures], bases: &[&str], verdict: impl Fn(&str, f64) -> Option<String>) -> Table {
    let mut titles = vec!["", "median", "allocations", "bytes"];
    let speed_ups: Vec<String> = bases.iter().map(|base| format!("x faster than {base}")).collect();
    titles.extend(speed_ups.iter().map(String::as_str));
    let mut table = Table::new(&titles);
    for row in figures {
        let mut cells = vec![
            row.name.to_string(),
            duration(row.nanos),
            row.allocation_count.to_string(),
            row.allocated_len.to_string(),
        ];
        for base in bases {
            let Some(base) = figures.iter().find(|other| other.name == *base) else { continue };
            let ratio = base.nanos / row.nanos;
            let verdict = verdict(row.name, ratio).map_or_else(String::new, |verdict| format!(" {verdict}"));
            cells.push(format!("{ratio:.2}{verdict}"));
        }
        table.row(cells);
    }
    table
}

/// Says of our decoders whether they allocate as much as the bytes field is long.
fn judge_allocations(figures: &[Figures], image_len: usize) {
    if image_len < 1 << 20 {
        return;
    }
    for row in figures.iter().filter(|row| row.name.starts_with("gunmetal") && row.name != gunmetal::OWNED) {
        let verdict = if row.allocated_len < image_len / 100 { "PASS" } else { "MISS" };
        println!(
            "{}: allocates {} B for a field of {}: {verdict}",
            row.name,
            row.allocated_len,
            bytes(image_len)
        );
    }
}
