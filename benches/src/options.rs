use anyhow::{Context, Result, bail};

/// What the benches take on their command line.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A few rounds of a few calls: proves that the bench still runs, measures nothing.
    pub quick: bool,
    /// Rounds, where the bench's own default does not do.
    pub rounds: Option<usize>,
    /// Peers to run (by the start of their name); empty for all.
    pub only: Vec<String>,
    /// Measures to run (by a part of their title); empty for all.
    pub measure: Vec<String>,
}

impl Options {
    /// Reads the process's arguments.
    ///
    /// # Errors
    ///
    /// An unknown argument, or a value that is missing or no number.
    pub fn from_args(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(value()?.parse().context("--rounds takes a number")?),
                "--only" => options.only.extend(value()?.split(',').map(String::from)),
                "--measure" => options.measure.extend(value()?.split(',').map(String::from)),
                // What cargo adds to every bench's command line.
                "--bench" => {}
                other => {
                    bail!(
                        "unknown argument {other}; there are --quick, --rounds N, --only PEER,…, --measure PART,…"
                    )
                }
            }
        }
        Ok(options)
    }

    /// `count`, or next to nothing in quick mode.
    pub fn scaled(&self, count: usize) -> usize {
        if self.quick { (count / 100).clamp(1, 50) } else { count }
    }

    /// Whether to run the peer of this name.
    pub fn wants_peer(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.starts_with(part.as_str()))
    }

    /// Whether to run the measure of this title.
    pub fn wants_measure(&self, title: &str) -> bool {
        self.measure.is_empty() || self.measure.iter().any(|part| title.contains(part.as_str()))
    }
}
