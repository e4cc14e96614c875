//! Clients at full load: each asks again as soon as it has its answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use crate::connection::{Afterwards, Connection};
use crate::failure::{Failed, Failure, Killed};

/// What the clients met.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    is_over: AtomicBool,
    answered: AtomicU64,
    /// Connections that the server ended with the announcement that it would.
    announced_ends: AtomicU64,
    /// Connections that the server ended while nothing was asked.
    idle_ends: AtomicU64,
    failed: Mutex<Vec<Failed>>,
}

/// Runs `unrest` while clients ask the service at `address`; every request is over when this returns.
pub(crate) fn under_load(address: SocketAddr, unrest: impl FnOnce()) -> Tally {
    let tally = Tally::default();
    thread::scope(|scope| {
        let clients = [(Afterwards::Stay, KEPT_ALIVE), (Afterwards::Leave, ONE_EACH)];
        for (afterwards, count) in clients {
            for client in 0..count {
                let tally = &tally;
                scope.spawn(move || ask_on(address, afterwards, client, tally));
            }
        }
        // Also when the unrest fails, or nobody would ever stop asking.
        let _over = Over(&tally.is_over);
        unrest();
    });
    tally
}

/// Asks until the load is over.
fn ask_on(address: SocketAddr, afterwards: Afterwards, client: usize, tally: &Tally) {
    let mut kept: Option<Connection> = None;
    for count in client.. {
        if tally.is_over.load(Relaxed) {
            return;
        }
        let idle = kept.take().filter(|idle| {
            let was_ended = idle.was_ended();
            tally.idle_ends.fetch_add(u64::from(was_ended), Relaxed);
            !was_ended
        });
        let mut connection = match idle.map_or_else(|| Connection::open(address), Ok) {
            Ok(connection) => connection,
            Err(failure) => {
                tally.note(failure, None);
                continue;
            }
        };
        let question = &QUESTIONS[if count % 16 < QUESTIONS.len() { count % 16 } else { 0 }];
        match connection.ask(question.path, afterwards) {
            Ok(answer) if !question.is_answer(&answer.body) => {
                let wrong = Failure::WrongAnswer(format!("{} bytes to {}", answer.body.len(), question.path));
                tally.note(wrong, Some(answer.worker));
            }
            Ok(answer) => {
                tally.answered.fetch_add(1, Relaxed);
                match (afterwards, answer.is_last) {
                    (Afterwards::Stay, false) => kept = Some(connection),
                    (Afterwards::Stay, true) => _ = tally.announced_ends.fetch_add(1, Relaxed),
                    (Afterwards::Leave, _) => {}
                }
            }
            Err(failure) => tally.note(failure, connection.worker),
        }
    }
}

impl Tally {
    fn note(&self, failure: Failure, worker: Option<u32>) {
        self.failed.lock().unwrap().push(Failed { failure, worker, at: Instant::now() });
    }

    /// Checks that whatever failed was in flight on a worker that was killed, and prints the counts.
    pub(crate) fn costs_only(&self, killed: &[Killed]) {
        let failed = self.failed.lock().unwrap();
        let (forgiven, lost): (Vec<_>, Vec<_>) =
            failed.iter().cloned().partition(|failed| failed.was_on(killed));
        println!(
            "{} requests answered; {} failed in flight on {} killed workers, {} others; connections ended by the server: {} \
             with an announcement, {} idle",
            self.answered.load(Relaxed),
            forgiven.len(),
            killed.len(),
            lost.len(),
            self.announced_ends.load(Relaxed),
            self.idle_ends.load(Relaxed),
        );
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for lost in &lost {
            *kinds
                .entry(format!(
                    "{:?}, {}",
                    lost.failure,
                    if lost.worker.is_some() { "kept alive" } else { "new" }
                ))
                .or_default() += 1;
        }
        assert!(lost.is_empty(), "failed on workers that nobody killed: {kinds:#?}\nthe first: {}", lost[0]);
        assert!(self.answered.load(Relaxed) > 1000, "that was no load");
    }
}

/// A request and what answers it.
struct Question {
    path: &'static str,
    body: Body,
}

enum Body {
    Text(&'static str),
    Filled(usize),
}

impl Question {
    fn is_answer(&self, body: &[u8]) -> bool {
        match self.body {
            Body::Text(text) => body == text.as_bytes(),
            Body::Filled(len) => body.len() == len && body.iter().all(|&byte| byte == b'x'),
        }
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Of sixteen requests one is large, one is slow, and the others are the first of these.
const QUESTIONS: [Question; 3] = [
    Question { path: "/", body: Body::Text("Hello, World!") },
    Question { path: "/large/300000", body: Body::Filled(300_000) },
    Question { path: "/slow/30", body: Body::Text("At last!") },
];
/// Clients that keep their connection as long as they are let.
const KEPT_ALIVE: usize = 24;
/// Clients that open a connection for each request.
const ONE_EACH: usize = 8;
