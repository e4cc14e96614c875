//! An app that does a little of everything.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use gunmetal_dirty::prelude::*;

use crate::router::{Counter, PATIENCE};

/// Counters that a test and the actions it calls share, by a name of the test's own.
pub fn counter(name: &str) -> Counter {
    static ALL: LazyLock<Mutex<HashMap<String, Counter>>> = LazyLock::new(Mutex::default);
    ALL.lock().unwrap().entry(name.to_owned()).or_default().clone()
}

pub struct App {
    calls: Counter,
}

/// Counts when it is dropped.
struct CountDrop(Counter);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[dirty_app]
impl App {
    fn init(ctx: &InitContext) -> Result<Self> {
        assert_eq!((ctx.slot(), ctx.generation()), (1, 2));
        Ok(App { calls: Counter::default() })
    }

    fn close(&mut self) {
        counter("closed").add();
    }

    #[action]
    fn echo(&self, x: Value) -> Value {
        self.calls.add();
        x
    }

    #[action]
    fn calls(&self) -> u64 {
        self.calls.count()
    }

    /// Says that it runs, and waits to be let go.
    #[action]
    fn wait(&self, name: &str) -> String {
        counter(name).add();
        counter(&format!("{name}.go")).wait_for(1);
        name.to_owned()
    }

    #[action]
    fn until_cancelled(&self, name: &str, cancel: &CancelToken) -> bool {
        counter(name).add();
        let cancelled = cancel.wait_timeout(PATIENCE);
        counter(&format!("{name}.cancelled")).add();
        cancelled
    }

    #[action]
    async fn sleep(&self, name: String) {
        let _dropped = CountDrop(counter(&format!("{name}.dropped")));
        counter(&name).add();
        std::future::pending().await
    }

    #[action]
    async fn nap(&self) -> Result<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(tokio::spawn(async { "awake".to_owned() }).await?)
    }

    #[action]
    fn panic(&self, message: String) {
        panic!("{message}")
    }

    #[action]
    fn fail(&self) -> Result<()> {
        let inner = std::io::Error::other("the disk is full");
        Err(anyhow::Error::new(inner).context("cannot save"))?
    }

    #[action]
    fn blob(&self, size: usize) -> Vec<u8> {
        vec![7; size]
    }

    #[action]
    fn stream(&self, n: u64, size: usize, name: String) -> impl Iterator<Item = Vec<u8>> {
        let dropped = CountDrop(counter(&format!("{name}.dropped")));
        (0..n).map(move |_| {
            let _ = &dropped;
            counter(&name).add();
            vec![b'x'; size]
        })
    }

    /// A burst, and then nothing until it is let go.
    #[action]
    fn stream_stall(&self, n: u64, name: String) -> impl Iterator<Item = u64> {
        (0..=n).inspect(move |i| {
            if *i == n {
                counter(&format!("{name}.go")).wait_for(1);
            }
        })
    }

    #[action]
    fn stream_fail(&self, n: u64) -> impl Iterator<Item = Result<u64>> {
        (0..=n).map(move |i| if i < n { Ok(i) } else { Err(format!("stream failed after {n}"))? })
    }

    #[action]
    fn stream_panic(&self, n: u64) -> impl Iterator<Item = u64> {
        (0..=n).inspect(move |i| assert!(*i < n, "panicked after {n}"))
    }

    #[action]
    fn astream(&self, n: u64) -> impl Stream<Item = u64> {
        Ticks { n, next: 0, timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

/// Yields 0 … n-1, with a timer before each.
struct Ticks {
    n: u64,
    next: u64,
    timer: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Stream for Ticks {
    type Item = u64;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<u64>> {
        if self.next == self.n {
            return None.into();
        }
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.timer = Box::pin(tokio::time::sleep(Duration::from_micros(100)));
        self.next += 1;
        Some(self.next - 1).into()
    }
}
