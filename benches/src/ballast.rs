use std::env;

/// As many mebibytes as the variable `BENCH_PRELOAD_MB` says.
#[derive(Debug)]
pub struct Ballast(Vec<u8>);

impl Ballast {
    /// Every page is written.
    pub fn load() -> Self {
        let mebibytes: usize =
            env::var("BENCH_PRELOAD_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        Self(vec![1; mebibytes << 20])
    }

    /// Reads every byte.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|&byte| u64::from(byte)).sum()
    }
}
