//! The control socket over real connections.

mod server;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::client::{MAX_LINE_LEN, MAX_REPLY_LEN};
use super::*;

use server::{Peer, Server};

#[test]
fn a_request_is_answered_with_one_line() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.send(b"{\"cmd\":\"stop\",\"name\":\"a\"}\n");
    assert_eq!(server.line(&mut client), r#"{"ok":true,"message":"stop a"}"#);
    client.send(b"{\"cmd\":\"status\",\"name\":\"b\"}\n");
    assert_eq!(server.line(&mut client), r#"{"ok":true,"companions":[]}"#);
    client.send(b"{\"cmd\":\"reread\"}\n");
    assert_eq!(
        server.line(&mut client),
        r#"{"ok":true,"added":[],"removed":[],"restarted":[],"unchanged":[]}"#
    );
    let expected = [Request::Stop("a".into()), Request::Status { name: Some("b".into()) }, Request::Reread];
    assert_eq!(server.asked, expected);
}

#[test]
fn a_bad_line_is_answered_and_the_connection_goes_on() {
    let mut server = Server::new();
    let mut client = server.connect();
    for (line, expected) in [
        (&b"\n"[..], "the line is empty"),
        (b"GET / HTTP/1.1\r\n", "the line is no JSON"),
        (b"{\"cmd\":\"status\"\n", "the line is no JSON"),
        (b"[]\n", "the line is []"),
        (b"{}\n", "\\\"cmd\\\" is missing"),
        (b"{\"cmd\":\"explode\"}\n", "unknown \\\"cmd\\\" \\\"explode\\\": allowed are \\\"status\\\""),
        (b"{\"cmd\":\"start\"}\n", "\\\"start\\\" needs a \\\"name\\\""),
        (b"{\"cmd\":\"start\",\"name\":[]}\n", "\\\"name\\\" of \\\"start\\\" is []"),
        (b"{\"cmd\":\"reread\",\"force\":true}\n", "\\\"reread\\\" has no field \\\"force\\\""),
        (b"{\"cmd\":\"\x80\"}\n", "byte 9 of the line is not UTF-8"),
        (b"\0\0\0\0\n", "the line is no JSON"),
    ] {
        client.send(line);
        let reply = server.line(&mut client);
        let expected = format!("{{\"ok\":false,\"error\":\"{expected}");
        assert!(
            reply.starts_with(&expected) && reply.contains("allowed") || reply.contains("needs"),
            "{reply}"
        );
    }
    assert_eq!(server.asked, []);
    client.send(STATUS);
    assert_eq!(server.line(&mut client), NOBODY);
}

#[test]
fn requests_in_one_write_are_answered_in_their_order() {
    let mut server = Server::new();
    let mut client = server.connect();
    // More than are answered in one round.
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let lines: Vec<String> =
        names.iter().map(|name| format!("{{\"cmd\":\"restart\",\"name\":\"{name}\"}}\n")).collect();
    client.send(lines.concat().as_bytes());
    for name in names {
        assert_eq!(server.line(&mut client), format!(r#"{{"ok":true,"message":"restart {name}"}}"#));
    }
}

#[test]
fn who_asks_for_many_things_does_not_keep_others_waiting() {
    let mut server = Server::new();
    let (mut greedy, mut modest) = (server.connect(), server.connect());
    greedy.send(&STATUS.repeat(1000));
    modest.send(STATUS);
    assert_eq!(server.line(&mut modest), NOBODY);
    // A socket has room for some hundred answers.
    assert!(server.asked.len() < 100, "{} were answered first", server.asked.len());
    for _ in 0..1000 {
        assert_eq!(server.line(&mut greedy), NOBODY);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut server = Server::new();
    let mut client = server.connect();
    for byte in STATUS {
        assert_eq!(server.asked, []);
        client.send(&[*byte]);
        server.turn();
    }
    assert_eq!(server.line(&mut client), NOBODY);
}

#[test]
fn who_half_closes_gets_all_answers_and_then_the_end() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.send(&STATUS.repeat(40));
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.rest(&mut client), format!("{NOBODY}\n").repeat(40));
    assert_eq!(server.control.clients.len(), 0);
}

#[test]
fn the_last_line_needs_no_end() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.send(b"{\"cmd\":\"stop\",\"name\":\"a\"}\n{\"cmd\":\"start\",\"name\":\"a\"}");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        server.rest(&mut client),
        "{\"ok\":true,\"message\":\"stop a\"}\n{\"ok\":true,\"message\":\"start a\"}\n"
    );
}

#[test]
fn half_a_line_and_then_the_end_is_an_error_and_no_request() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.send(b"{\"cmd\":\"stop\",\"na");
    client.stream.shutdown(Shutdown::Write).unwrap();
    let reply = server.rest(&mut client);
    assert!(reply.starts_with("{\"ok\":false,\"error\":\"the line is no JSON (EOF"), "{reply}");
    assert_eq!(server.asked, []);
}

#[test]
fn who_is_gone_before_the_answer_has_given_the_command_and_harms_nobody() {
    let mut server = Server::new();
    for _ in 0..3 {
        let mut client = server.connect();
        client.send(b"{\"cmd\":\"stop\",\"name\":\"a\"}\n");
        drop(client);
    }
    server.until("the commands", |server| (server.asked.len() == 3).then_some(()));
    server.until("the end of the connections", |server| server.control.clients.is_empty().then_some(()));
}

#[test]
fn a_line_that_is_too_long_is_answered_and_ends_the_connection() {
    for end in ["", "\n"] {
        let mut server = Server::new();
        let mut client = server.connect();
        client.send(format!("{}{end}", "x".repeat(MAX_LINE_LEN + 1)).as_bytes());
        assert_eq!(
            server.rest(&mut client),
            "{\"ok\":false,\"error\":\"the line has more than 65536 bytes, which is what is allowed\"}\n"
        );
        assert_eq!(server.asked, []);
    }
}

#[test]
fn the_longest_line_is_still_a_request() {
    let mut server = Server::new();
    let mut client = server.connect();
    let blanks = " ".repeat(MAX_LINE_LEN + 1 - STATUS.len());
    client.send(blanks.as_bytes());
    client.send(STATUS);
    assert_eq!(server.line(&mut client), NOBODY);
}

#[test]
fn who_never_reads_is_heard_no_further_and_given_up_after_a_while() {
    let mut server = Server::new();
    server.message = "m".repeat(MAX_REPLY_LEN / 2);
    let mut client = server.connect();
    client.send(&b"{\"cmd\":\"stop\",\"name\":\"a\"}\n".repeat(50));
    server.until("an answer that does not fit", |server| {
        server.control.next_deadline().filter(|_| !server.asked.is_empty())
    });
    let asked = server.settle();
    assert!(asked < 50, "all requests were answered");
    // Others are served meanwhile, and its silence has an end.
    let mut other = server.connect();
    other.send(STATUS);
    assert_eq!(server.line(&mut other), NOBODY);
    let deadline = server.control.next_deadline().unwrap();
    server.control.tick_at(deadline - Duration::from_millis(1));
    assert_eq!(server.control.clients.len(), 2);
    server.control.tick_at(deadline);
    assert_eq!(server.control.clients.len(), 1);
    assert_eq!(server.control.next_deadline(), None);
}

#[test]
fn who_reads_slowly_gets_every_answer() {
    let mut server = Server::new();
    server.message = "m".repeat(MAX_REPLY_LEN / 2);
    let mut client = server.connect();
    client.send(&b"{\"cmd\":\"stop\",\"name\":\"a\"}\n".repeat(5));
    for _ in 0..5 {
        server.settle();
        assert_eq!(
            server.line(&mut client).len(),
            server.message.len() + "{\"ok\":true,\"message\":\"\"}".len()
        );
    }
}

#[test]
fn an_answer_that_is_too_long_is_an_error() {
    let mut server = Server::new();
    server.message = "m".repeat(MAX_REPLY_LEN);
    let mut client = server.connect();
    client.send(b"{\"cmd\":\"stop\",\"name\":\"a\"}\n");
    let reply = server.line(&mut client);
    assert!(reply.contains("the answer has 1048600 bytes, allowed are 1048576"), "{reply}");
}

#[test]
fn half_a_line_is_given_up_after_a_while_and_silence_before_one_is_not() {
    let mut server = Server::new();
    let (mut half, mut silent) = (server.connect(), server.connect());
    half.send(b"{\"cmd\"");
    let deadline = server.until("half a line", |server| server.control.next_deadline());
    assert!(deadline > Instant::now() + PATIENCE / 2, "not a moment's patience");
    // Another byte, another while.
    half.send(b":");
    server.until("the next byte", |server| server.control.next_deadline().filter(|next| *next > deadline));
    server.control.tick_at(deadline);
    assert_eq!(server.control.clients.len(), 2);
    server.control.tick_at(deadline + PATIENCE);
    assert_eq!(server.rest(&mut half), "");
    silent.send(STATUS);
    assert_eq!(server.line(&mut silent), NOBODY);
}

#[test]
fn a_hundred_silent_clients_lock_nobody_out() {
    let mut server = Server::new();
    let mut silent: Vec<Peer> = (0..100).map(|_| server.connect()).collect();
    let mut operator = server.connect();
    operator.send(STATUS);
    assert_eq!(server.line(&mut operator), NOBODY);
    assert_eq!(server.control.clients.len(), MAX_CLIENTS);
    // Those who came first went first.
    assert_eq!(server.rest(&mut silent[0]), "");
    silent[99].send(STATUS);
    assert_eq!(server.line(&mut silent[99]), NOBODY);
}

#[test]
fn who_has_asked_lately_outlives_those_who_are_silent() {
    let mut server = Server::new();
    let mut first = server.connect();
    server.turn();
    let _silent: Vec<Peer> = (0..MAX_CLIENTS - 1).map(|_| server.connect()).collect();
    server.until("all clients", |server| (server.control.clients.len() == MAX_CLIENTS).then_some(()));
    first.send(STATUS);
    assert_eq!(server.line(&mut first), NOBODY);
    let mut more: Vec<Peer> = (0..10).map(|_| server.connect()).collect();
    more[9].send(STATUS);
    assert_eq!(server.line(&mut more[9]), NOBODY);
    first.send(STATUS);
    assert_eq!(server.line(&mut first), NOBODY);
}

#[test]
fn only_the_own_user_and_root_may_command() {
    let [root, own, other] = [0, 1000, 1001].map(Uid::from_raw);
    assert!(may_command(own, own));
    assert!(may_command(root, own));
    assert!(may_command(root, root));
    assert!(!may_command(other, own));
    assert!(!may_command(own, root));
}

#[test]
fn another_user_is_told_so_and_given_nothing() {
    if !geteuid().is_root() {
        return;
    }
    let mut server = Server::with_mode(0o666);
    let directory = server.directory.path();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    // The program may lie where nobody else may go.
    let program = directory.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let child = Command::new(program)
        .args(["companions::control::tests::client_of_another_user", "--exact", "--nocapture"])
        .env(CHILD, server.path())
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Guard(child);
    server.until("the end of the client", |_| child.0.try_wait().unwrap());
    let mut printed = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let expected = "{\"ok\":false,\"error\":\"user 65534 may not control these companions: allowed are user 0, as which their manager runs, and root\"}";
    assert!(printed.contains(expected), "{printed}");
    assert_eq!(server.asked, []);
    assert_eq!(server.control.clients.len(), 0);
}

/// Does nothing but in the process that the test above starts.
#[test]
fn client_of_another_user() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut stream = UnixStream::connect(path).unwrap();
    // The manager may have closed the connection by now.
    let _ = stream.write_all(STATUS);
    let mut reply = Vec::new();
    // A reset, if the request was never read, comes behind the answer.
    let _ = stream.read_to_end(&mut reply);
    println!("{}", String::from_utf8(reply).unwrap());
}

#[test]
fn the_socket_has_the_mode_that_it_is_given() {
    for mode in [0o600, 0o660] {
        let server = Server::with_mode(mode);
        let metadata = fs::symlink_metadata(server.path()).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_socket_whose_file_is_gone_is_made_anew_and_clients_go_on() {
    let mut server = Server::new();
    let mut old = server.connect();
    old.send(STATUS);
    server.line(&mut old);
    assert!(!server.control.restore(0o600).unwrap());
    fs::remove_file(server.path()).unwrap();
    assert!(server.control.restore(0o600).unwrap());
    for mut client in [old, server.connect()] {
        client.send(STATUS);
        server.line(&mut client);
    }
    let path = server.path();
    server.control.close();
    assert!(!path.exists());
}

#[test]
fn a_second_manager_is_refused_while_the_first_listens() {
    let server = Server::new();
    let error = Control::bind(&server.path(), 0o600).unwrap_err();
    assert!(error.to_string().starts_with("another process listens on /"), "{error}");
    let path = server.path();
    server.control.close();
    assert!(!path.exists());
    Control::bind(&path, 0o600).unwrap().close();
}

#[test]
fn a_socket_in_the_place_of_ours_is_left_alone() {
    let server = Server::new();
    let path = server.path();
    fs::remove_file(&path).unwrap();
    let other = Control::bind(&path, 0o600).unwrap();
    server.control.close();
    assert!(path.exists());
    other.close();
    assert!(!path.exists());
}

#[test]
fn without_descriptors_nobody_is_accepted_for_a_while_and_the_loop_does_not_spin() {
    // The limit is the whole process's, so it has one of its own.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["companions::control::tests::manager_without_descriptors", "--exact"])
        .env(CHILD, "")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

/// Does nothing but in the process that the test above starts.
#[test]
fn manager_without_descriptors() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut server = Server::new();
    let mut client = server.connect();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 3, most).unwrap();
    let until = server.until("the pause", |server| server.control.next_deadline());
    assert!(until <= Instant::now() + ACCEPT_PAUSE);
    // While it lasts there is nothing to wait for.
    let mut poller = Poller::new();
    server.control.watch(&mut poller, |watch| watch);
    assert_eq!(poller.wait(Some(Instant::now())).unwrap(), []);
    setrlimit(Resource::RLIMIT_NOFILE, most.min(1024), most).unwrap();
    client.send(STATUS);
    assert_eq!(server.line(&mut client), NOBODY);
}

/// The variable that makes a test be what another test needs in a process of its own.
const CHILD: &str = "GUNMETAL_TEST_CONTROL_CHILD";
const STATUS: &[u8] = b"{\"cmd\":\"status\"}\n";
/// The answer to it.
const NOBODY: &str = r#"{"ok":true,"companions":[]}"#;

/// Ends a child with the test.
struct Guard(std::process::Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
