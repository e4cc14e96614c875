//! The watchdog: the master says that it lives.

use std::time::{Duration, Instant};

use crate::greeter::Greeter;
use crate::supervisor::{Access, Supervisor};

#[test]
fn the_master_beats_twice_in_the_time_that_the_watchdog_allows() {
    let supervisor = Supervisor::new(Access::Main);
    let limit = Duration::from_millis(800);
    let usec = limit.as_micros().to_string();
    let _greeter = Greeter::start(&supervisor, &[], &[("WATCHDOG_USEC", &usec)]);
    supervisor.until("READY=1");
    let beat = || {
        assert_eq!(supervisor.next_of_all().text(), "WATCHDOG=1");
        Instant::now()
    };
    let beats: Vec<Instant> = (0..6).map(|_| beat()).collect();
    let mut gaps: Vec<Duration> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let median = gaps[gaps.len() / 2];
    assert!((limit / 4..limit).contains(&median), "{gaps:?}");
}

#[test]
fn a_watchdog_of_another_process_hears_nothing() {
    let supervisor = Supervisor::new(Access::Main);
    let environment = [("WATCHDOG_USEC", "2000"), ("WATCHDOG_PID", "1")];
    let mut greeter = Greeter::start(&supervisor, &["--workers", "2"], &environment);
    let mut notices = supervisor.until("READY=1");
    greeter.service.signal(libc::SIGHUP);
    notices.extend(supervisor.until("READY=1"));
    greeter.service.signal(libc::SIGTERM);
    greeter.service.wait();
    notices.extend(supervisor.rest());
    assert!(!notices.iter().any(|notice| notice.has("WATCHDOG=1")), "{notices:?}");
}
