//! The servers under test, each in processes of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gunmetal_benches::{Child, Options, Process, Tree};
use nix::unistd::Pid;

use crate::async_client::AsyncClient;
use crate::dialect::Dialect;

/// A way to ask a server.
pub(crate) struct Peer<'a> {
    pub(crate) name: String,
    pub(crate) server: &'a Server,
    pub(crate) client: Client,
}

/// Who asks.
pub(crate) enum Client {
    /// Prepared requests, the same for every server.
    Raw,
    /// Ours, of whose work Redis has no like here.
    Async(AsyncClient),
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    pub(crate) dialect: Dialect,
    pub(crate) socket: PathBuf,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Tree(Tree),
    Redis(Child),
}

/// Starts both, ours first.
pub(crate) fn start_all(dir: &Path, options: &Options) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for dialect in [Dialect::Gunmetal, Dialect::Redis] {
        if options.wants_peer(dialect.option()) {
            servers.push(Server::start(dialect, dir, "shared")?);
        }
    }
    Ok(servers)
}

/// Every server with the raw client, ours also with the async one.
pub(crate) fn peers(servers: &[Server]) -> Result<Vec<Peer<'_>>> {
    let raw = |server| Peer { name: Server::name(server).to_owned(), server, client: Client::Raw };
    let mut peers: Vec<Peer<'_>> = servers.iter().map(raw).collect();
    for server in servers.iter().filter(|server| server.dialect == Dialect::Gunmetal) {
        let client = Client::Async(AsyncClient::new(&server.socket)?);
        peers.push(Peer { name: "async client".into(), server, client });
    }
    Ok(peers)
}

impl Server {
    fn name(&self) -> &str {
        &self.name
    }

    /// A server whose socket is called after `purpose`.
    pub(crate) fn start(dialect: Dialect, dir: &Path, purpose: &str) -> Result<Server> {
        let socket = dir.join(format!("{}-{purpose}.sock", dialect.option()));
        let (name, running) = match dialect {
            Dialect::Gunmetal => {
                let tree = Tree::start(env!("CARGO_BIN_EXE_bench-app"), socket.clone(), &[])?;
                ("gunmetal".to_owned(), Running::Tree(tree))
            }
            Dialect::Redis => (redis_version()?, Running::Redis(start_redis(&socket)?)),
        };
        Ok(Server { name, dialect, socket, running })
    }

    /// Memory of the process that holds the data, in bytes.
    pub(crate) fn resident(&self) -> Result<usize> {
        let holder = match &self.running {
            Running::Redis(child) => process(child.pid(), |_| true)?,
            Running::Tree(tree) => process(tree.arbiter().pid(), |process| process.title.contains("router"))?,
        };
        Ok(holder.memory()?.resident)
    }
}

impl Dialect {
    /// The name for `--only`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Gunmetal => "gunmetal",
            Self::Redis => "redis",
        }
    }
}

fn process(root: Pid, is_it: impl Fn(&Process) -> bool) -> Result<Process> {
    Process::tree(root)?.into_iter().find(is_it).context("the process that holds the data is not there")
}

fn start_redis(socket: &Path) -> Result<Child> {
    let mut command = Command::new(REDIS);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Child::spawn(&mut command).context(MISSING)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(socket).is_err() {
        ensure!(Instant::now() < deadline, "redis-server does not listen after ten seconds");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// `redis 7.0.15`.
fn redis_version() -> Result<String> {
    let output = Command::new(REDIS).arg("--version").output().context(MISSING)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    Ok(format!("redis {}", version.unwrap_or("of unknown version")))
}

const REDIS: &str = "redis-server";
const MISSING: &str = "redis-server cannot be started: install it (Debian: apt-get install redis-server)";
