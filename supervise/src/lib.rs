//! Process supervision: a pure machine that decides which worker processes there should be, and the small unix layer
//! that makes it so.
//!
//! # Theory of operation
//!
//! A parent process has one thread and one loop. In the middle sits a [`Pool`], a plain value that knows neither clock
//! nor process: it takes [`Event`]s with the time they happened, and yields [`Action`]s and the next deadline. Around
//! it the loop forks, signals, reaps and waits. Every decision is the pool's, so every decision can be tested without
//! a process; the loop decides nothing, so there is little in it to test.
//!
//! ```text
//!            ┌───────────────── Event, now ─────────────────┐
//!            │                                              ▼
//!   ┌─────────────────┐                                ┌─────────┐
//!   │  the loop       │        poll_action()           │  Pool   │
//!   │  spawn_child    │ ◀───────── Action ──────────── │         │
//!   │  Child, Signals │                                │         │
//!   │  ReadyReader    │        next_deadline()         │         │
//!   │  Poller         │ ◀───────── Instant ─────────── │         │
//!   └─────────────────┘                                └─────────┘
//! ```
//!
//! A *slot* is a place in the pool; it outlives its processes and carries what is assigned to them. A *generation*
//! counts the processes of a slot. Together they are a [`WorkerId`], which names one process for ever, whatever
//! becomes of its pid.
//!
//! ## A process
//!
//! ```text
//!            ┌──────────┐  Ready  ┌─────────┐  at once, or when the   ┌─────────┐
//!   Spawn ──▶│ Starting │ ──────▶ │ Standby │ ──whole reload is ────▶ │ Serving │
//!            └──────────┘         └─────────┘  ready                  └─────────┘
//! ```
//!
//! From there it goes on only towards its end. Each state that must not last owns the deadline that ends it, so no
//! timer outlives its reason, and [`Pool::next_deadline`] is simply the earliest.
//!
//! | in | when | it gets | and is | for at most |
//! |---|---|---|---|---|
//! | Starting | [`InitFailed`](Event::InitFailed) | | Failing | `kill_grace` |
//! | Starting | `boot_timeout` | SIGABRT | Aborting | `kill_grace` |
//! | Serving | retired: reload, resize | [`Drain`](Action::Drain) | Draining | `graceful_timeout` |
//! | Serving | its recycling has a successor | [`Drain`](Action::Drain) | Draining | for ever |
//! | Draining, retired | [`Drained`](Event::Drained) | SIGTERM | Stopping | what is left of it |
//! | Draining, retired | deadline | SIGTERM | Stopping | `kill_grace` |
//! | Serving | [`Condemn`](Event::Condemn) | [`Drain`](Action::Drain) | Draining | `condemn_timeout` |
//! | Draining, condemned | [`Drained`](Event::Drained), deadline | SIGABRT | Aborting | `kill_grace` |
//! | Serving, Draining, Stopping without a `graceful_timeout` | [`HeartbeatStale`](Event::HeartbeatStale) | SIGABRT | Aborting | `kill_grace` |
//! | Standby | retired | SIGTERM | Stopping | `graceful_timeout` |
//! | any but condemned | [`Stop`](Event::Stop), graceful | SIGTERM | Stopping | `graceful_timeout` |
//! | any but condemned | [`Stop`](Event::Stop), now | SIGINT | Stopping | `kill_grace` |
//! | Draining, condemned | [`Stop`](Event::Stop), now | SIGABRT | Aborting | `kill_grace` |
//! | Failing, Stopping, Aborting | deadline | SIGKILL | Killed | the kernel ends it |
//!
//! An exit ends any of them. What follows depends on what the process was to its slot:
//!
//! | it ended | and the pool | then |
//! |---|---|---|
//! | before it was ready | has not booted | [`Action::GiveUp`] with its own words; everything stops |
//! | before it was ready | reloads, and it is of the new generation | [`Action::ReloadFailed`]; the old one stays in service |
//! | before it was ready | serves, and it is the successor of a recycled one | [`Action::RecycleFailed`]; the old one stays in service |
//! | before it was ready | serves | [`Action::BackingOff`], longer each time |
//! | after it was ready, unasked or condemned | serves | a replacement at once; after a wait if it keeps happening ([`RestartPolicy`]) |
//! | because it was retired or stopped | | [`Action::Gone`], nothing else |
//!
//! ## A pool
//!
//! ```text
//!   Booting ──every slot was ready──▶ Running ◀──done or failed──▶ Reloading
//!      │ startup failure                 │                            │
//!      └────── GiveUp ──────▶ Stopping ◀─┴─────────── Stop ───────────┘
//!                                │ the last process is gone
//!                                ▼
//!                             Stopped
//! ```
//!
//! A reload is all or nothing. Each slot gets a second process beside the one that serves; the new ones stand by
//! until all are ready, then all of them serve, and only after that the old ones drain. So the only moment with two
//! processes in service for one slot lies between two actions of the same event.
//!
//! [`Recycle`](Event::Recycle) is the same for one worker alone: its successor takes over once it is ready, and is tried
//! again, ever later, if it fails to start. One slot at a time has such a successor.
//!
//! ## The life of a worker
//!
//! 1. [`Action::Spawn`]: the loop makes a [`readiness_pipe`] and a [`Heartbeat`], and calls [`spawn_child`]. That
//!    refuses if the process has another thread ([`ThreadsError`] names it), and returns a [`Child`], whose pidfd
//!    means that process and no other.
//! 2. In the child, [`Newborn::become_child`] closes every descriptor that the [`ChildSetup`] does not name, resets
//!    signal dispositions and mask, sets the title that `ps` shows, and arms the parent-death signal, without a
//!    moment in which the parent's death could be missed.
//! 3. The child says [`ReadyWriter::ready`] or [`ReadyWriter::failed`]; the loop hears it through a [`Poller`] and
//!    reports it.
//! 4. [`Action::Serve`]: the worker gets work, until [`Action::Drain`] or its end.
//! 5. The pidfd becomes readable. The loop reports the child's [last words](ReadyReader::last_words), then its
//!    [`ExitStatus`], and is told that the worker is [`Gone`](Action::Gone), and why ([`Departure`]).
//!
//! `tests/processes/driver.rs` is such a loop, complete in a hundred lines.
//!
//! ## When the loop dies
//!
//! Workers may outlive their parent if there is a subreaper above it ([`adopt_orphans`]). They then hold [`Ancestors`], so
//! that they live as long as one of the two does. A sibling of the dead parent gets handles on them ([`Child::adopt`], by
//! [`ProcessIdentity`], and [`Heartbeat::of_process`]), and its pool goes on with them ([`Pool::adopting`]). Which
//! processes those are, the dead must have written down; in a [`Ledger`], the processes do it themselves.
//!
//! ## Work that is not ours
//!
//! A process that takes no part in all this, such as a program to execute, is started by [`Launch`]: in its working
//! directory, with its variables and streams, and with a sentence for the parent if one of them cannot be had.
//!
//! # What a fork must not carry over
//!
//! - **Locks.** Only a process with one thread forks; see [`SingleThread`].
//! - **Descriptors.** Everything here is close-on-exec, and a child closes what it does not name. Values that owned a
//!   closed descriptor must not be dropped in the child: [`spawn_child`] ends the child without unwinding into the
//!   caller.
//! - **Signals.** Parents read signals from a descriptor ([`Signals`]); there are no handlers that a child could
//!   inherit, and the blocked mask is reset in the child.
//! - **Random state.** `RandomState` or a random generator used before a fork yields the same values in every child.
//!   Nothing here draws any; seed [`PoolConfig::jitter_seed`] from the kernel.
//!
//! # Platform
//!
//! Linux 5.9 or later. All `unsafe` code of the workspace is in this crate's private `sys` module.
#![deny(unsafe_code)]

mod accept;
mod account;
mod adopt;
mod ancestors;
mod child_setup;
mod close_on_exec;
mod companions;
mod daemon;
mod environment;
mod exit_status;
mod file_lock;
mod fork;
mod heartbeat;
mod inherited;
mod launch;
mod ledger;
mod memory;
mod notice;
mod orphans;
mod other_process;
mod pid_file;
mod pinned;
mod poller;
mod pool;
mod process_identity;
mod readiness;
mod resident;
mod restart_policy;
mod run_dir;
mod signals;
mod sys;
mod tcp_socket;
mod threads;
mod title;
mod unix_socket;
mod worker_id;

pub use accept::accept_interruptible;
pub use account::Account;
pub use adopt::AdoptError;
pub use ancestors::Ancestors;
pub use child_setup::{BecomeChildError, ChildSetup, Parent};
pub use close_on_exec::{OnExec, set_on_exec};
pub use companions::{
    CommandError, CommandOutcome, Companion, CompanionAction, CompanionCommand, CompanionEnd, CompanionEvent,
    CompanionSpec, CompanionState, Companions, LaunchId, RereadOutcome, Rest, Sequel,
};
pub use daemon::{DaemonError, Daemonized, daemonize};
pub use environment::{remove_env, set_env};
pub use exit_status::ExitStatus;
pub use fork::{Child, Fork, ForkError, Newborn, fork, spawn_child};
pub use heartbeat::Heartbeat;
pub use inherited::{InheritedError, InheritedListener, take_inherited, take_inherited_listener};
pub use launch::{Launch, Launched, Output, Work};
pub use ledger::{Ledger, LedgerError, Leftover};
pub use memory::{keep_buffers_up_to, keep_large_buffers};
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use notice::{NoticeReader, NoticeWriter, notice_pipe};
pub use orphans::{adopt_orphans, reap_orphans};
pub use other_process::OtherProcess;
pub use pid_file::{PidFile, PidFileError};
pub use pinned::Pinned;
pub use poller::Poller;
pub use pool::{
    APP_LOAD_FAILED, Action, Departure, Event, Pool, PoolConfig, STARTUP_FAILED, StartupFailure, StopMode,
    WorkerState,
};
pub use process_identity::ProcessIdentity;
pub use readiness::{Readiness, ReadyReader, ReadyWriter, readiness_pipe};
pub use resident::resident_len;
pub use restart_policy::{Failure, Jitter, RestartHistory, RestartPolicy};
pub use run_dir::{RunDir, RunDirError};
pub use signals::Signals;
pub use tcp_socket::accept_with_data;
pub use threads::{SingleThread, ThreadsError};
pub use title::set_title;
pub use unix_socket::{BACKLOG, BindError, bind_unix, is_socket_deserted, set_send_buffer_len};
pub use worker_id::WorkerId;
