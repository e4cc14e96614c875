//! What the companions do that are functions of this program.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use gunmetal::Companion;

use crate::{LARGEST, Loaded};

/// Asks for a job every `EVERY` seconds, and throws old results away.
pub(crate) fn schedule(companion: Companion) -> anyhow::Result<()> {
    let every = env::var("EVERY").context("EVERY is how many seconds there are between two jobs")?;
    let every = Duration::try_from_secs_f64(every.parse()?)?;
    let loaded = Loaded::get()?;
    loop {
        let id = loaded.spool.put(some_number()?)?;
        let old = loaded.spool.sweep(KEPT)?;
        println!("{id} queued, {old} old results thrown away");
        if companion.wait_for_shutdown(every) {
            return Ok(());
        }
    }
}

/// Takes jobs and does them: each is a number to be factorized.
pub(crate) fn work(companion: Companion) -> anyhow::Result<()> {
    let (loaded, own) = (Loaded::get()?, companion.name());
    // Killed in the middle of a job, it has left that behind.
    let unfinished = loaded.spool.put_back(own)?;
    println!("{own} begins; jobs put back: {unfinished}");
    // A job that has begun is done: only between two of them is there a look at what the manager wishes.
    while !companion.shutdown_requested() {
        let Some(job) = loaded.spool.take(own)? else {
            companion.wait_for_shutdown(IDLE);
            continue;
        };
        let factors: Vec<String> = loaded.primes.factors(job.number).map(|prime| prime.to_string()).collect();
        loaded.spool.finish(&job, &format!("{} = {}\n", job.number, factors.join(" x ")))?;
        println!("{} done", job.id);
    }
    println!("{own} ends");
    Ok(())
}

/// From the clock: a random generator that was used before the fork would have the same numbers in all processes.
fn some_number() -> anyhow::Result<u64> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(2 + u64::try_from(nanos % u128::from(LARGEST - 1))?)
}

/// Results that stay.
const KEPT: usize = 100;

/// Time between two looks into an empty queue.
const IDLE: Duration = Duration::from_millis(100);
