use std::hint::black_box;
use std::time::Instant;

use gunmetal_benches::{Options, median};

/// One codec doing one thing.
pub(crate) struct Subject<'a> {
    name: &'static str,
    /// Does it this many times.
    run: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new<T>(name: &'static str, mut work: impl FnMut() -> T + 'a) -> Self {
        let run = move |times| {
            for _ in 0..times {
                black_box(work());
            }
        };
        Self { name, run: Box::new(run) }
    }
}

/// What one time costs.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) nanos: f64,
    pub(crate) allocation_count: u64,
    pub(crate) allocated_len: usize,
}

/// Times all subjects in turn, round after round, and counts the allocations of one time.
pub(crate) fn measure(subjects: &mut [Subject<'_>], image_len: usize, options: &Options) -> Vec<Figures> {
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 101 });
    let times = options.scaled(if image_len > 1 << 16 { 30 } else { 5000 });
    let mut rounds_of: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); subjects.len()];
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let at = (turn + round) % subjects.len();
            let run = &mut subjects[at].run;
            run(times / 10 + 1);
            let start = Instant::now();
            run(times);
            rounds_of[at].push(start.elapsed().as_nanos() as f64 / times as f64);
        }
    }
    let figures = subjects.iter_mut().zip(rounds_of).map(|(subject, rounds)| {
        let allocated = allocation_counter::measure(|| (subject.run)(1));
        Figures {
            name: subject.name,
            nanos: median(&rounds),
            allocation_count: allocated.count_total,
            allocated_len: usize::try_from(allocated.bytes_total)
                .expect("fits the machine it was allocated on"),
        }
    });
    figures.collect()
}
