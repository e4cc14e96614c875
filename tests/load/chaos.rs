//! Everything at once: a service with a master whose processes are killed, stopped and signalled, in an order that a seed
//! decides. Whoever calls gets an answer or an error that says what was lost; in the end all is as at the start.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use libc::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

use crate::duration;
use crate::our_clients::under_load;
use crate::support::probe::{client, worker_pids};
use crate::support::traces::Traces;
use crate::support::{Process, Service};

#[test]
fn whoever_is_killed_nobody_waits_for_ever_and_nothing_is_left() {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    // To repeat a failure.
    println!("CHAOS_SEED={seed}");
    let flags = ["--dirty-socket", "dirty.sock", "--dirty-workers", "2", "--dirty-threads", "2"];
    let limits = ["--dirty-timeout", "20", "--dirty-graceful-timeout", "5"];
    let service = Service::start("probe", &[&flags[..], &limits].concat(), &[]);
    let settled = || settled(&service);
    service.wait_for("the workers", settled);
    let traces = Traces::of(&service);

    let tally = under_load(&service, || wreak_havoc(&service, Random(seed | 1), duration()));

    for (error, count) in tally.errors.lock().unwrap().iter() {
        // Entries live as long as their router.
        let losses = ["Worker: ", "Connection {", "an entry of the stash is lost"];
        let is_loss = losses.iter().any(|loss| error.starts_with(loss));
        assert!(is_loss, "{count} × {error}");
    }
    assert!(tally.calls.load(Relaxed) > 100);
    service.wait_for("as many workers as at first", || {
        for arbiter in service.processes("dirty arbiter") {
            let extra = service.processes("dirty worker").len().saturating_sub(2);
            (0..extra.min(1)).for_each(|_| arbiter.signal(SIGTTOU));
        }
        std::thread::sleep(Duration::from_millis(50));
        settled()
    });
    traces.are_all_that_is_left(&service, 64 << 10);
}

fn wreak_havoc(service: &Service, mut random: Random, duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let arbiters = service.processes("dirty arbiter");
        let workers = service.processes("dirty worker");
        let below = [arbiters.clone(), service.processes("router"), workers].concat();
        if arbiters.is_empty() || below.len() < 3 {
            continue;
        }
        let arbiter = arbiters[random.below(arbiters.len())].clone();
        let signal = [SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2][random.below(5)];
        let victim = below[random.below(below.len())].clone();
        match random.below(8) {
            0..=3 => arbiter.signal(signal),
            4 => {
                arbiter.signal(signal);
                victim.signal(SIGKILL);
            }
            5 => victim.signal(SIGKILL),
            6 => pause(&victim, &mut random),
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
        std::thread::sleep(Duration::from_millis(random.below(100) as u64));
    }
}

/// Stops a process for a moment.
fn pause(victim: &Process, random: &mut Random) {
    victim.signal(SIGSTOP);
    std::thread::sleep(Duration::from_millis(random.below(200) as u64));
    victim.signal(SIGCONT);
}

/// The two workers are ready, and nobody else is there.
fn settled(service: &Service) -> Option<()> {
    let kinds = ["dirty arbiter", "router", "dirty worker"].map(|kind| service.processes(kind).len());
    let client = client(service);
    let ready = client.status().is_ok() && worker_pids(&client).len() == 2;
    (ready && kinds == [1, 1, 2] && service.descendants().len() == 4).then_some(())
}

/// xorshift64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
