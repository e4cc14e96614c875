//! The load comes from our clients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use futures_util::StreamExt as _;
use gunmetal::client::{CallError, Client};
use gunmetal::{Bytes, args, blocking};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::duration;
use crate::support::Service;
use crate::support::probe::APP;
use crate::unrest::Restless;

/// What the callers met.
#[derive(Default)]
pub(crate) struct Tally {
    stop: AtomicBool,
    pub(crate) calls: AtomicU64,
    pub(crate) errors: Mutex<BTreeMap<String, u64>>,
}

/// 64 calls in flight on one connection, eight streams beside them, and blocking callers.
#[test]
fn hup_ttin_and_ttou_lose_nothing_of_ours() {
    let restless = Restless::start(&["--dirty-threads", "2"]);
    let tally = under_load(&restless.service, || restless.signals(duration()));
    let errors = tally.errors.lock().unwrap();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(tally.calls.load(Relaxed) > 1000);
    restless.ends_without_traces(64 << 10);
}

/// The same while workers are recycled all the time as well.
#[test]
fn recycled_workers_lose_nothing_of_ours() {
    let flags = ["--dirty-threads", "2", "--dirty-max-requests", "200", "--dirty-max-requests-jitter", "100"];
    let restless = Restless::start(&flags);
    let tally = under_load(&restless.service, || restless.signals(duration()));
    let errors = tally.errors.lock().unwrap();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(tally.calls.load(Relaxed) > 1000);
    assert!(restless.recycled_count() > 10, "only {} recycled", restless.recycled_count());
    restless.ends_without_traces(64 << 10);
}

/// Whatever fails had been given to a worker that was killed.
#[test]
fn killed_workers_cost_ours_only_the_calls_that_they_had() {
    let restless = Restless::start(&["--dirty-threads", "2"]);
    let mut killed = Vec::new();
    let tally = under_load(&restless.service, || killed = restless.kills(duration()));
    for error in tally.errors.lock().unwrap().keys() {
        let of_killed =
            killed.iter().any(|pid| error.contains(&format!("Worker {pid} was killed by signal 9")));
        assert!(error.starts_with("Worker: ") && of_killed, "{error}\nkilled: {killed:?}");
    }
    assert!(tally.calls.load(Relaxed) > 1000);
    restless.ends_without_traces(64 << 10);
}

/// Calls while `unrest` goes on.
pub(crate) fn under_load(service: &Service, unrest: impl FnOnce()) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    let socket = service.socket();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (client, tally) = (blocking::Client::at(&socket), tally.clone());
            thread::spawn(move || {
                let mut i = 0;
                while tally.goes_on() {
                    i += 1;
                    tally.note(client.execute::<i64>(APP, "echo", args![i]), &i);
                    let sum: Result<i64, _> = client.stream::<i64>(APP, "stream_slow", args![5, 0.01]).sum();
                    tally.note(sum, &10);
                }
            })
        })
        .collect();
    let asynchronous = {
        let tally = tally.clone();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async_load(Client::at(socket), tally));
        })
    };
    unrest();
    tally.stop.store(true, Relaxed);
    println!("{} calls", tally.calls.load(Relaxed));
    threads.into_iter().chain([asynchronous]).for_each(|thread| thread.join().unwrap());
    tally
}

async fn async_load(client: Client, tally: Arc<Tally>) {
    let mut tasks = JoinSet::new();
    for task in 0..64_i64 {
        let (client, tally) = (client.clone(), tally.clone());
        tasks.spawn(async move {
            let large = Bytes::from(vec![7; 200_000]);
            let mut i = task << 32;
            while tally.goes_on() {
                i += 1;
                if i % 50 == 0 {
                    tally.note(client.execute::<Bytes>(APP, "echo", args![large.clone()]).await, &large);
                } else if i % 20 == 0 {
                    tally.note(client.execute::<f64>(APP, "sleep", args![0.02]).await, &0.02);
                } else {
                    tally.note(client.execute::<i64>(APP, "echo", args![i]).await, &i);
                }
            }
        });
    }
    for _ in 0..8 {
        let (client, tally) = (client.clone(), tally.clone());
        tasks.spawn(async move {
            while tally.goes_on() {
                let stream = client.stream::<Bytes>(APP, "stream", args![200, 5000]);
                let lens: Vec<Result<usize, CallError>> =
                    stream.map(|chunk| chunk.map(|chunk| chunk.len())).collect().await;
                tally.note(lens.into_iter().sum::<Result<usize, _>>(), &1_000_000);
            }
        });
    }
    for task in 0..4 {
        tasks.spawn(keep_in_stash(client.clone(), tally.clone(), task));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Entries of its own, read back all the while, and each of them at the end.
async fn keep_in_stash(client: Client, tally: Arc<Tally>, task: i64) {
    let table = client.stash().table(format!("ours {task}"));
    let mut kept = BTreeMap::new();
    for i in 0_i64.. {
        if !tally.goes_on() {
            break;
        }
        let key = i * 7 % 500;
        match kept.get(&key).copied() {
            None => {
                tally.note_as("an entry of the stash is lost", table.insert(key, i).await.map(drop), &());
                kept.insert(key, i);
            }
            Some(_) if i % 10 == 3 => {
                tally.note_as("an entry of the stash is lost", table.remove(key).await, &true);
                kept.remove(&key);
            }
            Some(value) => {
                tally.note_as("an entry of the stash is lost", table.get::<i64>(key).await, &Some(value))
            }
        }
    }
    for (key, value) in &kept {
        tally.note_as("an entry of the stash is lost", table.get::<i64>(*key).await, &Some(*value));
    }
    tally.note_as(
        "an entry of the stash is lost",
        table.len().await.map(usize::try_from).map(Result::unwrap),
        &kept.len(),
    );
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    fn note<T: PartialEq>(&self, outcome: Result<T, CallError>, expected: &T) {
        self.note_as("somebody else's answer", outcome, expected);
    }

    fn note_as<T: PartialEq>(&self, wrong: &str, outcome: Result<T, CallError>, expected: &T) {
        self.calls.fetch_add(1, Relaxed);
        let text = match outcome {
            Ok(found) if found == *expected => return,
            Ok(_) => wrong.to_owned(),
            Err(CallError::Worker { message, .. }) => format!("Worker: {message}"),
            Err(error) => format!("{error:?}"),
        };
        *self.errors.lock().unwrap().entry(text).or_default() += 1;
    }
}
