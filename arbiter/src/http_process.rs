//! An HTTP worker process, at the moment of its birth.

use std::io;

use gunmetal_supervise::{
    ChildSetup, Heartbeat, NoticeWriter, ReadyWriter, STARTUP_FAILED, Signal, WorkerId, notice_pipe,
    readiness_pipe, spawn_child,
};

use crate::Listener;
use crate::crew::{Member, Pulse};
use crate::listener::HttpListener;
use crate::report;

/// What an HTTP worker process has from its master.
#[derive(Debug)]
pub struct HttpProcess {
    /// Its name.
    pub worker: WorkerId,
    /// How many HTTP workers were started up to it, itself included.
    pub age: u64,
    /// The listeners, in the order of the `bind` setting.
    pub listeners: Vec<Listener>,
    /// Where it says that it serves, or why it cannot.
    pub readiness: ReadyWriter,
    /// Where it says that it has had its share and wants to be replaced, with the reason for the log.
    pub wish: NoticeWriter,
    /// What it touches to show that it is alive, if it does so at all.
    pub heartbeat: Heartbeat,
}

/// Forks an HTTP worker, which runs `body` and exits with the code that it returns. SIGUSR1 is blocked in it: it means the
/// log file, and must not end a worker that has not got that far yet.
pub(crate) fn spawn(
    worker: WorkerId,
    age: u64,
    listeners: &[HttpListener],
    body: &dyn Fn(HttpProcess) -> i32,
) -> io::Result<Member> {
    let (reader, writer) = readiness_pipe()?;
    let (wish_reader, wish) = notice_pipe()?;
    // The child takes its own; both processes have a copy of these values, and the fork decides who uses which.
    let (mut writer, mut wish, mut pulse) = (Some(writer), Some(wish), Some(Pulse::new()?));
    let listeners =
        listeners.iter().map(|bound| bound.listener.try_clone()).collect::<io::Result<Vec<_>>>()?;
    let mut listeners = Some(listeners);
    let child = spawn_child(|newborn| {
        let (Some(readiness), Some(wish), Some(pulse), Some(listeners)) =
            (writer.take(), wish.take(), pulse.take(), listeners.take())
        else {
            return STARTUP_FAILED;
        };
        let heartbeat = pulse.heartbeat;
        let mut setup = ChildSetup::new("gunmetal: http worker")
            .keep(&readiness)
            .keep(&wish)
            .keep(&heartbeat)
            .hold_back([Signal::SIGUSR1]);
        for listener in &listeners {
            setup = setup.keep(listener);
        }
        match newborn.become_child(setup) {
            Ok(_parent) => body(HttpProcess { worker, age, listeners, readiness, wish, heartbeat }),
            Err(error) => {
                // Tells the master; if there is none any more, nobody needs to know.
                let _ = readiness.failed(&report::chain(&error));
                STARTUP_FAILED
            }
        }
    })
    .map_err(io::Error::other)?;
    drop((writer, wish));
    Ok(Member::new(child, age, Some(reader), pulse).with_wish(wish_reader))
}
