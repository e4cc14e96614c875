//! What an operator does to a service, faster than any operator would.

use std::fs;
use std::time::{Duration, Instant};

use gunmetal::blocking::Client;
use libc::{SIGHUP, SIGTTIN, SIGTTOU};

use crate::support::probe::{client, worker_pids};
use crate::support::traces::Traces;
use crate::support::{self, Service};

/// The probe with two workers, which is as few as it can have, and what it holds on to while nobody calls.
pub(crate) struct Restless {
    pub(crate) service: Service,
    /// How long a worker takes to start, in seconds.
    init_delay: tempfile::NamedTempFile,
    /// Workers are replaced after some calls.
    recycles: bool,
    traces: Traces,
    /// Answered whatever happens.
    client: Client,
}

impl Restless {
    pub(crate) fn start(flags: &[&str]) -> Restless {
        let init_delay = tempfile::NamedTempFile::new().unwrap();
        fs::write(init_delay.path(), "0").unwrap();
        let mut all = vec!["--dirty-workers", "2"];
        all.extend_from_slice(flags);
        let environment = [("BENCH_INIT_DELAY_FILE", init_delay.path().to_str().unwrap())];
        let service = Service::probe(&all, &environment);
        let client = client(&service);
        service.wait_for("the workers", || (worker_pids(&client).len() == 2).then_some(()));
        drop(client);
        let traces = Traces::of(&service);
        let client = self::client(&service);
        let recycles = flags.contains(&"--dirty-max-requests");
        Restless { service, init_delay, recycles, traces, client }
    }

    /// Signals for as long as `duration`: one at a time, each done with before the next; several on top of each other;
    /// and with workers that start at once or take their time.
    pub(crate) fn signals(&self, duration: Duration) {
        let end = Instant::now() + duration;
        let mut count = 0;
        for round in 0_u32.. {
            let delay = ["0", "0.05", "0.3"][round as usize % 3];
            fs::write(self.init_delay.path(), delay).unwrap();
            let storm = round % 2 == 1;
            for signal in [SIGHUP, SIGTTIN, SIGHUP, SIGTTIN, SIGTTOU, SIGTTIN, SIGTTOU, SIGTTOU, SIGHUP] {
                if Instant::now() >= end {
                    // To be seen with `--nocapture`.
                    println!("{count} signals");
                    return;
                }
                count += 1;
                self.service.signal(signal);
                assert!(!worker_pids(&self.client).is_empty(), "nobody is ready");
                if self.recycles {
                    // Time for the workers to have their share of calls.
                    self.settles();
                    std::thread::sleep(Duration::from_secs(1));
                } else if !storm {
                    self.settles();
                } else if round % 4 == 1 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            self.settles();
        }
    }

    /// Kills a worker every now and then; returns their process ids.
    pub(crate) fn kills(&self, duration: Duration) -> Vec<String> {
        let end = Instant::now() + duration;
        let mut killed = Vec::new();
        for round in 0.. {
            let pids = worker_pids(&self.client);
            let Some(pid) = pids.get(round % pids.len().max(1)) else { continue };
            killed.push(pid.to_string());
            support::kill(u32::try_from(*pid).unwrap(), libc::SIGKILL);
            if round % 3 == 0 {
                self.service.signal([SIGHUP, SIGTTIN, SIGTTOU][round / 3 % 3]);
            }
            self.service.wait_for("the death to be heard of", || {
                (!worker_pids(&self.client).contains(pid)).then_some(())
            });
            self.settles();
            if Instant::now() >= end {
                break;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        killed
    }

    /// Every worker that there is supposed to be is ready, and no other is left; where workers are recycled all the time
    /// there is always another.
    fn settles(&self) {
        let target = || {
            let log = self.service.log();
            let resized = log.iter().rev().find_map(|line| line.split(" to=").nth(1)?.trim().parse().ok());
            resized.unwrap_or(2_usize)
        };
        self.service.wait_for("the workers to settle", || {
            let ready = worker_pids(&self.client);
            let processes = self.service.processes("dirty worker");
            let is_rest = ready.len() == target() && processes.len() == ready.len();
            (is_rest || self.recycles && ready.len() >= target()).then_some(())
        });
    }

    /// How many workers were recycled so far.
    pub(crate) fn recycled_count(&self) -> usize {
        self.service.log().iter().filter(|line| line.contains("Recycling dirty worker")).count()
    }

    /// Brings the service back to two workers, and checks that it holds nothing that it did not hold at first.
    pub(crate) fn ends_without_traces(self, resident_kib: u64) {
        self.service.wait_for("as few workers as at first", || {
            let count = self.service.processes("dirty worker").len();
            if count > 2 {
                self.service.signal(SIGTTOU);
                std::thread::sleep(Duration::from_millis(20));
            }
            (count == 2 && worker_pids(&self.client).len() == 2).then_some(())
        });
        drop(self.client);
        self.traces.are_all_that_is_left(&self.service, resident_kib);
    }
}
