//! Clients that come in crowds, stop half-way, or leave.

use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gunmetal::protocol::{ErrorType, MessageType};
use gunmetal::{Bytes, Value, args, value};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::support::Service;
use crate::support::probe::{APP, client, probe, wait_until_running};
use crate::support::raw::{Raw, frame_of, request};
use crate::support::traces::Traces;

/// gunicorn refuses 42 % of 200 and 56 % of 500. Ours: none, even if nobody can accept for a while.
#[test]
fn hundreds_of_clients_connect_at_once() {
    allow_many_connections();
    let service = probe(2, &[]);
    let traces = Traces::of(&service);
    let router = service.process("router");
    for count in [200, 500, 1000] {
        for stopped in [false, true] {
            if stopped {
                router.signal(libc::SIGSTOP);
            }
            let mut clients: Vec<Raw> = (0..count).map(|_| Raw::of(connect_at_once(&service))).collect();
            if stopped {
                router.signal(libc::SIGCONT);
            }
            for (i, client) in clients.iter_mut().enumerate() {
                client.call(i as u64, "echo", value!([i64::try_from(i).unwrap()]));
            }
            for (i, client) in clients.iter_mut().enumerate() {
                assert_eq!(client.result(i as u64), Value::from(i64::try_from(i).unwrap()));
            }
        }
    }
    traces.are_all_that_is_left(&service, 48 << 10);
}

/// gunicorn grows to 262 MB. Ours: one budget for all, whatever the frame is.
#[test]
fn eight_half_frames_of_32_mib() {
    let service = probe(2, &[]);
    let traces = Traces::of(&service);
    let client = client(&service);
    let bytes = Bytes::from(vec![7; 32 << 20]);
    let put = value!({"op": 1, "table": "t", "key": "k", "value": (bytes.clone())});
    for mut half in [request(1, "size", value!([bytes])), frame_of(MessageType::Stash, 1, &put)] {
        half.truncate(16 << 20);
        let router = service.process("router");
        let before = router.resident_kib();
        let halves: Vec<UnixStream> = (0..8)
            .map(|_| {
                let mut socket = UnixStream::connect(service.socket()).unwrap();
                socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
                // As much as is taken.
                let _ = socket.write_all(&half);
                socket
            })
            .collect();

        for i in 0..100 {
            assert_eq!(client.execute::<i64>(APP, "echo", args![i]).unwrap(), i);
        }
        let grown = router.resident_kib().saturating_sub(before);
        // Beside the budget for stash entries on their way, and what the sockets have.
        assert!(grown < 80 << 10, "the router grew by {grown} KiB");
        // Large ones of others are not in the way of each other either.
        let mut whole = Raw::connect(&service);
        let image = Bytes::from(vec![1; 8 << 20]);
        whole.call(1, "size", value!([(image.clone())]));
        assert_eq!(whole.result(1), value!(8 << 20));
        let put = value!({"op": 1, "table": "t", "key": "k", "value": image});
        whole.send(&frame_of(MessageType::Stash, 2, &put));
        assert_eq!(whole.result(2), value!(true));
        drop(halves);
    }
    drop(client);
    traces.are_all_that_is_left(&service, 128 << 10);
}

/// Whoever holds memory that others wait for, and sends no more, is told why its connection is closed.
#[test]
fn half_a_stash_frame_while_others_wait_for_the_memory() {
    let service = probe(1, &[]);
    let bytes = Bytes::from(vec![7; 40 << 20]);
    let put = value!({"op": 1, "table": "t", "key": "k", "value": bytes});
    let put = frame_of(MessageType::Stash, 9, &put);
    let mut half = Raw::connect(&service);
    half.send(&put[..put.len() / 2]);

    let mut whole = Raw::connect(&service);
    whole.send(&put);
    assert_eq!(whole.result(9), value!(true));

    let error = half.error(0);
    assert_eq!(error.error_type, ErrorType::Protocol, "{error:?}");
    assert!(half.receive().is_none());
}

/// With gunicorn its call runs. Ours: it does not.
#[test]
fn a_client_that_left_while_its_call_was_queued() {
    let service = probe(1, &[]);
    let client = client(&service);
    let mut busy = Raw::connect(&service);
    busy.call(1, "sleep", value!([1]));
    wait_until_running(&service, &client, 1);
    let leaving: Vec<Raw> = (0..20)
        .map(|id| {
            let mut raw = Raw::connect(&service);
            raw.call(id, "counter", value!([]));
            raw.is_heard();
            raw
        })
        .collect();
    drop(leaving);

    assert_eq!(busy.result(1), value!(1));
    let peek: Value = client.execute(APP, "peek", ()).unwrap();
    assert_eq!(peek.get("count"), Some(&value!(0)));
}

/// Connects as an event loop does: either at once or not at all.
fn connect_at_once(service: &Service) -> UnixStream {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    let address = UnixAddr::new(&service.socket()).unwrap();
    connect(socket.as_raw_fd(), &address).expect("refused");
    UnixStream::from(socket)
}

/// Each client is two descriptors of this process.
fn allow_many_connections() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
