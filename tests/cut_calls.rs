//! Calls for which the service does not wait: their callers are told so before the connection ends.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gunmetal::protocol::{ErrorType, MessageType};
use gunmetal::{Value, value};
use libc::{SIGQUIT, SIGTERM};
use support::Service;
use support::probe::{client, probe, wait_until_running};
use support::raw::{Raw, header};

/// One call that runs, one that waits for the only worker, and a stream of which something was read.
struct Callers {
    running: Raw,
    queued: Raw,
    reader: Raw,
}

impl Callers {
    fn of(service: &Service) -> Callers {
        let mut callers = Callers {
            running: Raw::connect(service),
            queued: Raw::connect(service),
            reader: Raw::connect(service),
        };
        callers.running.call(1, "sleep", value!([60]));
        callers.reader.call(2, "stream_slow", value!([6_000, 0.05]));
        callers.reader.receive().unwrap();
        wait_until_running(service, &client(service), 2);
        callers.queued.call(3, "echo", value!(["x"]));
        callers.queued.is_heard();
        callers
    }

    /// What each is told, once the service has been made to end without waiting for them.
    fn are_told(mut self) {
        let error = self.running.error(1);
        assert_eq!(error.error_type, ErrorType::Dirty, "{error:?}");
        assert_eq!(&*error.message, "the service stopped before the call had finished");
        let error = loop {
            let answer = self.reader.receive().expect("the stream was cut without a word");
            if answer.message_type == MessageType::Error {
                break answer.error();
            }
        };
        assert_eq!(error.error_type, ErrorType::Dirty, "{error:?}");
        // It has not begun: it may be sent again.
        let error = self.queued.error(3);
        assert_eq!(error.error_type, ErrorType::NoWorkersAvailable, "{error:?}");
        assert_eq!(error.details.get("reason"), Some(&Value::from("stopping")));
    }
}

fn ends(mut service: Service) {
    assert_eq!(service.wait().code(), Some(0), "{:#?}", service.log());
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn calls_beyond_the_graceful_timeout_are_answered() {
    let service = probe(1, &["--dirty-threads", "2", "--dirty-graceful-timeout", "1"]);
    let callers = Callers::of(&service);
    service.signal(SIGTERM);
    callers.are_told();
    ends(service);
}

#[test]
fn a_second_term_answers_them_at_once() {
    let service = probe(1, &["--dirty-threads", "2", "--dirty-graceful-timeout", "60"]);
    let callers = Callers::of(&service);
    service.signal(SIGTERM);
    service.wait_for("the drain", || {
        // Who calls then is refused; before that the answer to the STATUS behind the call is the first.
        let mut late = Raw::connect(&service);
        late.call(4, "echo", value!(["x"]));
        late.send(&header(MessageType::Status as u8, 5, 0));
        (late.receive()?.message_type == MessageType::Error).then_some(())
    });
    let start = Instant::now();
    service.signal(SIGTERM);
    callers.are_told();
    ends(service);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn quit_answers_them_too() {
    let service = probe(1, &["--dirty-threads", "2"]);
    let callers = Callers::of(&service);
    service.signal(SIGQUIT);
    callers.are_told();
    ends(service);
}
