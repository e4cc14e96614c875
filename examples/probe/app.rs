//! The probe's actions.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gunmetal::blocking::{Client, Stash, StashKey};
use gunmetal::dirty::prelude::*;
use gunmetal::{Dict, Value, value};

use crate::environment::Environment;

/// One app that does a little of everything.
pub(crate) struct BenchApp {
    count: AtomicU64,
    streams: Arc<Streams>,
    environment: Environment,
    stash: Stash,
}

/// What the streams of this worker did.
#[derive(Default)]
struct Streams {
    produced: AtomicU64,
    closed: AtomicU64,
}

/// Counts one stream's chunks, and its end when it is dropped.
struct Counted(Arc<Streams>);

#[dirty_app]
impl BenchApp {
    fn init(_: &InitContext) -> Result<Self> {
        let environment = Environment::read();
        environment.delay_init();
        environment.fail_init()?;
        let stash = Client::from_env()?.stash();
        Ok(BenchApp { count: AtomicU64::new(0), streams: Arc::default(), environment, stash })
    }

    #[action]
    fn noop(&self) {}

    #[action]
    fn echo(&self, x: Value) -> Value {
        x
    }

    #[action]
    fn echo_kw(&self, #[kwargs] kw: Dict) -> Dict {
        kw
    }

    #[action]
    fn echo_all(&self, #[args] args: Vec<Value>, #[kwargs] kw: Dict) -> Value {
        value!({"args": args, "kwargs": kw})
    }

    #[action]
    fn blob(&self, size: usize) -> Bytes {
        vec![0; size].into()
    }

    #[action]
    fn size(&self, x: Value) -> Result<usize> {
        match x {
            Value::Bytes(bytes) => Ok(bytes.len()),
            Value::Str(text) => Ok(text.chars().count()),
            Value::List(items) => Ok(items.len()),
            other => Err(ActionError::msg(format!("object of type '{}' has no len()", other.kind()))),
        }
    }

    #[action]
    fn sleep(&self, seconds: Value) -> Result<Value> {
        thread::sleep(duration(&seconds)?);
        Ok(seconds)
    }

    #[action]
    fn spin(&self, seconds: f64) -> u64 {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < seconds {
            count += 1;
        }
        count
    }

    #[action]
    fn pid(&self) -> u32 {
        process::id()
    }

    #[action]
    fn counter(&self) -> u64 {
        self.count.fetch_add(1, Relaxed) + 1
    }

    #[action]
    fn peek(&self) -> Value {
        value!({
            "pid": process::id(),
            "count": signed(&self.count),
            "produced": signed(&self.streams.produced),
            "closed_generators": signed(&self.streams.closed),
        })
    }

    #[action]
    fn fail(&self, msg: String) -> Result<()> {
        Err(ActionError::msg(msg))
    }

    #[action]
    fn panic(&self, msg: String) {
        panic!("{msg}");
    }

    #[action]
    fn crash(&self) {
        process::exit(9);
    }

    #[action]
    fn abort(&self) {
        process::abort();
    }

    #[action]
    fn leave(&self, code: i32) {
        process::exit(code);
    }

    #[action]
    fn hang(&self) {
        loop {
            thread::park();
        }
    }

    #[action]
    fn stream(&self, n: u64, size: usize) -> impl Iterator<Item = Bytes> {
        let (stream, chunk) = (self.counted(), Bytes::from(vec![b'x'; size]));
        (0..n).map(move |_| {
            stream.produced();
            chunk.clone()
        })
    }

    #[action]
    fn stream_fail(&self, n: u64) -> impl Iterator<Item = Result<u64>> {
        failing(self.counted(), n)
    }

    #[action]
    fn stream_slow(&self, n: u64, delay: f64) -> impl Iterator<Item = u64> {
        let (stream, mut next) = (self.counted(), 0);
        std::iter::from_fn(move || {
            let i = next;
            next += 1;
            if i > 0 {
                thread::sleep(Duration::from_secs_f64(delay));
            }
            (i < n).then(|| {
                stream.produced();
                i
            })
        })
    }

    #[action]
    fn stream_values(&self, values: Vec<Value>) -> impl Iterator<Item = Value> {
        let stream = self.counted();
        values.into_iter().inspect(move |_| stream.produced())
    }

    #[action]
    fn astream(&self, n: u64, size: usize) -> impl Stream<Item = Bytes> {
        let (stream, chunk) = (self.counted(), Bytes::from(vec![b'x'; size]));
        futures_util::stream::iter((0..n).map(move |_| {
            stream.produced();
            chunk.clone()
        }))
    }

    #[action]
    fn astream_values(&self, values: Vec<Value>) -> impl Stream<Item = Value> {
        let stream = self.counted();
        futures_util::stream::iter(values.into_iter().inspect(move |_| stream.produced()))
    }

    #[action]
    fn astream_fail(&self, n: u64) -> impl Stream<Item = Result<u64>> {
        futures_util::stream::iter(failing(self.counted(), n))
    }

    #[action]
    async fn coroutine(&self, x: Value) -> Value {
        x
    }

    #[action]
    fn stash_put(&self, table: String, key: StashKey, value: Value) -> Result<bool> {
        self.stash.put(&table, key, value)?;
        Ok(true)
    }

    #[action]
    fn stash_get(&self, table: String, key: StashKey, #[default] default: Value) -> Result<Value> {
        Ok(self.stash.get_or(&table, key, default)?)
    }

    #[action]
    fn stash_exists(&self, table: String, #[default] key: StashKey) -> Result<bool> {
        Ok(match key {
            StashKey::None => self.stash.table_exists(&table)?,
            key => self.stash.exists(&table, key)?,
        })
    }

    #[action]
    fn stash_incr(&self, table: String, key: StashKey, #[default = 1] by: i64) -> Result<i64> {
        self.increase(&table, &key, by)
    }

    #[action]
    fn stash_loop(&self, op: String, n: u64, size: usize) -> Result<f64> {
        let (table, value) = ("stash_loop", Bytes::from(vec![b'x'; size]));
        self.stash.put(table, "key", &value)?;
        let start = Instant::now();
        for _ in 0..n {
            match op.as_str() {
                "put" => self.stash.put(table, "key", &value)?,
                "get" => drop(self.stash.fetch::<Bytes>(table, "key")?),
                "incr" => drop(self.increase(table, &"count".into(), 1)?),
                other => Err(format!("no operation {other:?}: put, get or incr"))?,
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn close(&mut self) {
        self.environment.note_close();
    }
}

impl BenchApp {
    fn increase(&self, table: &str, key: &StashKey, by: i64) -> Result<i64> {
        let value = self.stash.get_or(table, key, 0_i64)? + by;
        self.stash.put(table, key, value)?;
        Ok(value)
    }

    fn counted(&self) -> Counted {
        Counted(Arc::clone(&self.streams))
    }
}

impl Counted {
    fn produced(&self) {
        self.0.produced.fetch_add(1, Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}

/// 0 … n-1, then an error.
fn failing(stream: Counted, n: u64) -> impl Iterator<Item = Result<u64>> {
    (0..=n).map(move |i| {
        if i == n {
            return Err(ActionError::msg(format!("stream failed after {n}")));
        }
        stream.produced();
        Ok(i)
    })
}

fn duration(seconds: &Value) -> Result<Duration> {
    let seconds = match seconds {
        Value::Int(seconds) => *seconds as f64,
        Value::Float(seconds) => *seconds,
        other => return Err(ActionError::msg(format!("seconds must be int or float, not {}", other.kind()))),
    };
    Ok(Duration::try_from_secs_f64(seconds)?)
}

fn signed(count: &AtomicU64) -> i64 {
    i64::try_from(count.load(Relaxed)).unwrap_or(i64::MAX)
}

macro_rules! same_actions {
    ($($(#[$doc:meta])* $name:ident { $($item:item)* })*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(BenchApp);

        impl DirtyApp for $name {
            $($item)*

            fn init(context: &InitContext) -> Result<Self> {
                BenchApp::init(context).map($name)
            }

            fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>> {
                DirtyApp::call(&self.0, call)
            }

            fn close(&mut self) {
                self.0.close();
            }
        }
    )*};
}

same_actions! {
    /// To be limited by the configuration, as `bench_app:LimitedApp:1`.
    LimitedApp {}
    /// Limits itself to two workers.
    AttrLimitedApp { const WORKERS: Option<u32> = Some(2); }
    /// Declares two stashes.
    StashDeclApp { const STASHES: &'static [&'static str] = &["declared_one", "declared_two"]; }
}
