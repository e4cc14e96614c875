//! An HTTP worker process, at the moment of its birth.

use std::io;

use gunmetal_supervise::{
    Heartbeat, NoticeWriter, ReadyWriter, STARTUP_FAILED, Signal, WorkerId, notice_pipe, readiness_pipe,
    spawn_child,
};

use crate::crew::{Member, Pulse};
use crate::http_listeners::HttpListeners;
use crate::{HttpWorkerProcess, Listener, MasterConfig, hooks, report};

/// What an HTTP worker process has from its master.
#[derive(Debug)]
pub struct HttpProcess {
    /// Its name.
    pub worker: WorkerId,
    /// What hooks are told of it.
    pub process: HttpWorkerProcess,
    /// The listeners, in the order of the `bind` setting.
    pub listeners: Vec<Listener>,
    /// Where it says that it serves, or why it cannot.
    pub readiness: ReadyWriter,
    /// Where it says that it has had its share and wants to be replaced, with the reason for the log.
    pub wish: NoticeWriter,
    /// What it touches to show that it is alive, if it does so at all.
    pub heartbeat: Heartbeat,
}

/// Forks an HTTP worker, which runs the body of the configuration and exits with the code that it returns. SIGUSR1 is blocked in it: it means the
/// log file, and must not end a worker that has not got that far yet.
pub(crate) fn spawn(
    worker: WorkerId,
    age: u64,
    config: &MasterConfig,
    listeners: &HttpListeners,
) -> io::Result<Member> {
    let Some(body) = config.http.as_deref() else {
        return Err(io::Error::other("this service has no HTTP workers"));
    };
    let master_pid = std::process::id();
    let process = HttpWorkerProcess::new(worker, None, master_pid, age);
    hooks::in_parent("pre_fork", || config.hooks.pre_fork(&process));
    let (reader, writer) = readiness_pipe()?;
    let (wish_reader, wish) = notice_pipe()?;
    // The child takes its own; both processes have a copy of these values, and the fork decides who uses which.
    let (mut writer, mut wish, mut pulse) = (Some(writer), Some(wish), Some(Pulse::new(&config.processes)?));
    let mut listeners = Some(listeners.for_worker()?);
    let child = spawn_child(|newborn| {
        let (Some(readiness), Some(wish), Some(pulse), Some(listeners)) =
            (writer.take(), wish.take(), pulse.take(), listeners.take())
        else {
            return STARTUP_FAILED;
        };
        let heartbeat = pulse.heartbeat;
        let mut setup = config
            .processes
            .worker_setup("http worker")
            .keep(&readiness)
            .keep(&wish)
            .keep(&heartbeat)
            .hold_back([Signal::SIGUSR1])
            // What is sent to the whole group, by a terminal or a supervisor, is the master's to pass on.
            .own_group();
        for listener in &listeners {
            setup = setup.keep(listener);
        }
        let process = HttpWorkerProcess { pid: Some(std::process::id()), ..process.clone() };
        let begun = newborn.become_child(setup).map_err(|error| report::chain(&error));
        let begun = begun.and_then(|_| hooks::in_child("post_fork", || config.hooks.post_fork(&process)));
        if let Err(reason) = begun {
            // Tells the master; if there is none any more, nobody needs to know.
            let _ = readiness.failed(&reason);
            return STARTUP_FAILED;
        }
        body(HttpProcess { worker, process, listeners, readiness, wish, heartbeat })
    })
    .map_err(io::Error::other)?;
    drop((writer, wish));
    Ok(Member::new(child, age, Some(reader), pulse).with_wish(wish_reader))
}
