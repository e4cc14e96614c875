//! STATUS and MANAGE, with a parent that answers or doesn't.

use std::io::Write;
use std::time::Duration;

use gunmetal_protocol::{Header, ManageOp, MessageType, Segments, Value};
use gunmetal_supervise::{WorkerId, WorkerState};

use super::rig::{Peer, Rig};
use crate::link::{self, FromRouter, ManageReport, ToRouter, WorkerReport};

/// A router that waits for its parent for as long as a test takes.
fn patient() -> Rig {
    Rig::with(|config| config.parent_patience = Duration::from_secs(600))
}

fn ask_status(client: &mut Peer, request_id: u64) {
    client.send_header(MessageType::Status, request_id, 0);
}

/// The token of the parent's next question, which is for STATUS.
fn asked_status(rig: &mut Rig) -> u64 {
    match rig.heard() {
        FromRouter::Status { token } => token,
        other => panic!("{other:?}"),
    }
}

fn report(worker: WorkerId, age: u64, state: WorkerState) -> WorkerReport {
    WorkerReport {
        worker,
        pid: 1000 + worker.slot,
        age,
        apps: vec!["a:A".to_owned()],
        state,
        booted: state != WorkerState::Starting,
        heartbeat_age: Some(0.25),
    }
}

fn workers(status: &Value) -> Vec<Value> {
    status.get("workers").unwrap().as_list().unwrap().iter().cloned().collect()
}

#[test]
fn status_is_what_the_parent_and_the_router_know() {
    let mut rig = patient();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    client.call(1, "echo", "x");
    worker.lane().echo();
    client.result(1);

    ask_status(&mut client, 2);
    let token = asked_status(&mut rig);
    let starting = WorkerId { slot: 9, generation: 1 };
    let reports =
        vec![report(starting, 7, WorkerState::Starting), report(worker.id, 1, WorkerState::Serving)];
    rig.tell(&ToRouter::Status { token, workers: reports });

    let status = client.result(2);
    let keys = ["arbiter_pid", "workers", "worker_count", "apps", "server", "extensions"];
    assert_eq!(status.as_dict().unwrap().keys().collect::<Vec<_>>(), keys);
    assert_eq!(status.get("worker_count"), Some(&Value::Int(2)));
    let apps: Vec<_> =
        status.get("apps").unwrap().as_list().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(apps, ["a:A", "b:B", "off:Off"]);
    let extensions = status.get("extensions").unwrap().as_list().unwrap();
    let extensions: Vec<_> = extensions.iter().filter_map(Value::as_str).collect();
    assert_eq!(extensions, ["cancel", "multiplex", "stash-scan"]);

    let [old, new] = &workers(&status)[..] else { panic!("{status:?}") };
    assert_eq!((old.get("pid"), old.get("age")), (Some(&Value::Int(1001)), Some(&Value::Int(1))));
    assert_eq!(old.get("booted"), Some(&Value::Bool(true)));
    assert_eq!(old.get("last_heartbeat"), Some(&Value::Float(0.25)));
    assert_eq!((old.get("calls"), old.get("running")), (Some(&Value::Int(1)), Some(&Value::Int(0))));
    assert_eq!(old.get("state"), Some(&Value::from("serving")));
    assert_eq!((new.get("booted"), new.get("age")), (Some(&Value::Bool(false)), Some(&Value::Int(7))));
    assert_eq!(new.get("state"), Some(&Value::from("starting")));
}

#[test]
fn those_who_ask_at_a_time_share_one_question() {
    let mut rig = patient();
    let mut clients: Vec<_> = (0..5).map(|_| rig.client()).collect();
    clients.iter_mut().for_each(|client| ask_status(client, 1));
    let token = asked_status(&mut rig);
    // So that all have been heard before the answer: nobody's answer comes before what was read earlier.
    for client in &mut clients {
        client.send_header(MessageType::Manage, 2, 0);
        client.error(2);
    }
    rig.tell(&ToRouter::Status { token, workers: Vec::new() });
    for client in &mut clients {
        assert_eq!(client.result(1).get("worker_count"), Some(&Value::Int(0)));
    }
    ask_status(&mut clients[0], 3);
    assert!(asked_status(&mut rig) > token, "a question too many was asked in between");
}

#[test]
fn a_silent_parent_is_waited_for_once_and_forgiven() {
    let mut rig = Rig::new();
    let worker = rig.worker(1);
    let mut client = rig.client();
    ask_status(&mut client, 1);
    let token = asked_status(&mut rig);
    let status = client.result(1);
    let only = &workers(&status)[0];
    assert_eq!((only.get("pid"), only.get("booted")), (Some(&Value::Int(1001)), Some(&Value::Bool(true))));
    assert_eq!(only.get("last_heartbeat"), Some(&Value::None));

    // Nobody asks it again, nor waits.
    for request_id in 2..12 {
        ask_status(&mut client, request_id);
        client.result(request_id);
    }

    rig.tell(&ToRouter::Status { token, workers: Vec::new() });
    // It has heard that once it connects to a worker that it is told about later.
    let second = rig.worker(1);
    ask_status(&mut client, 12);
    let token = asked_status(&mut rig);
    rig.tell(&ToRouter::Status { token, workers: vec![report(second.id, 2, WorkerState::Draining)] });
    let status = client.result(12);
    assert_eq!(workers(&status)[0].get("state"), Some(&Value::from("draining")));
    drop(worker);
}

#[test]
fn manage_is_the_parents_business() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    let mut frame = Segments::new();
    gunmetal_protocol::encode_manage(3, ManageOp::Remove, 2, &mut frame).unwrap();
    client.send(frame);
    let FromRouter::Manage { token, op: link::ManageOp::Remove, count: 2 } = rig.heard() else {
        panic!("not asked")
    };
    let report = ManageReport {
        changed: 1,
        starting: 0,
        failed: 0,
        reason: Some("one is needed".into()),
        total_workers: 1,
        target_workers: 1,
    };
    rig.tell(&ToRouter::ManageDone { token, outcome: Ok(report) });
    let expected = gunmetal_protocol::value!({
        "success": true,
        "operation": "remove",
        "requested": 2,
        "removed": 1,
        "reason": "one is needed",
        "total_workers": 1,
        "target_workers": 1,
    });
    assert_eq!(client.result(3), expected);
}

fn ask_manage(client: &mut Peer, request_id: u64) {
    let mut frame = Segments::new();
    gunmetal_protocol::encode_manage(request_id, ManageOp::Add, 1, &mut frame).unwrap();
    client.send(frame);
}

/// The token of the parent's next question, which is for MANAGE.
fn asked_manage(rig: &mut Rig) -> u64 {
    match rig.heard() {
        FromRouter::Manage { token, .. } => token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_has_a_hundred_open_questions_for_manage_at_most() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    (1..=101).for_each(|request_id| ask_manage(&mut client, request_id));
    let error = client.error(101);
    assert_eq!(error.error_type.to_string(), "DirtyError");
    assert!(error.message.contains("100 requests of this client wait"), "{}", error.message);
    assert!(error.message.contains("100 are the limit"), "{}", error.message);
    let tokens: Vec<u64> = (0..100).map(|_| asked_manage(&mut rig)).collect();

    // Others may ask.
    let mut other = rig.client();
    ask_manage(&mut other, 1);
    let token = asked_manage(&mut rig);
    rig.tell(&ToRouter::ManageDone { token, outcome: Err("not now".to_owned()) });
    assert_eq!(other.error(1).message, "not now");

    // One answer makes room for one question.
    rig.tell(&ToRouter::ManageDone { token: tokens[0], outcome: Err("not now".to_owned()) });
    assert_eq!(client.error(1).message, "not now");
    ask_manage(&mut client, 102);
    asked_manage(&mut rig);
    ask_manage(&mut client, 103);
    client.error(103);
}

#[test]
fn clients_that_come_and_go_do_not_fill_the_link_to_a_parent_that_does_not_read() {
    let rig = Rig::new();
    let refused = (0..1000).any(|_| {
        let mut client = rig.client();
        (1..=100).for_each(|request_id| ask_manage(&mut client, request_id));
        // Answered at once, behind all of them.
        client.send_header(MessageType::Manage, 101, 0);
        client.frame().header.request_id != 101
    });
    assert!(refused, "100000 questions wait for the parent");
}

#[test]
fn who_waits_for_status_a_hundred_times_is_told_at_once_what_the_router_knows() {
    let mut rig = patient();
    let worker = rig.worker(1);
    let mut client = rig.client();
    (1..=101).for_each(|request_id| ask_status(&mut client, request_id));
    assert_eq!(client.result(101).get("worker_count"), Some(&Value::Int(1)));
    let token = asked_status(&mut rig);
    let starting = report(WorkerId { slot: 9, generation: 1 }, 7, WorkerState::Starting);
    let workers = vec![starting, report(worker.id, 1, WorkerState::Serving)];
    rig.tell(&ToRouter::Status { token, workers });
    for request_id in 1..=100 {
        assert_eq!(client.result(request_id).get("worker_count"), Some(&Value::Int(2)));
    }
    ask_status(&mut client, 102);
    assert!(asked_status(&mut rig) > token);
}

#[test]
fn who_does_not_read_the_answers_to_status_is_not_read() {
    let mut rig = Rig::with(|config| {
        config.parent_patience = Duration::from_secs(600);
        config.server = "s".repeat(2000);
    });
    let mut client = rig.client();
    // One write, which the socket takes whole; the answers are far more than what may wait.
    let mut frames = Vec::new();
    for request_id in 1..=3000 {
        frames.extend(Header { message_type: MessageType::Status, payload_len: 0, request_id }.encode());
    }
    let mut manage = Segments::new();
    gunmetal_protocol::encode_manage(3001, ManageOp::Add, 1, &mut manage).unwrap();
    frames.extend_from_slice(&manage.into_contiguous());
    client.stream.write_all(&frames).unwrap();
    asked_status(&mut rig);
    assert!(rig.parent.is_silent_for(Duration::from_millis(300)), "read on with its answers unread");
    for request_id in 101..=3000 {
        client.result(request_id);
    }
    asked_manage(&mut rig);
}

#[test]
fn counts_below_one_are_one() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    for count in [0, -1, i64::MIN] {
        let mut frame = Segments::new();
        gunmetal_protocol::encode_manage(1, ManageOp::Add, count, &mut frame).unwrap();
        client.send(frame);
        let heard = rig.heard();
        assert!(matches!(heard, FromRouter::Manage { op: link::ManageOp::Add, count: 1, .. }), "{heard:?}");
    }
}

#[test]
fn a_manage_that_makes_no_sense_is_told_what_it_lacks() {
    let rig = Rig::new();
    let mut client = rig.client();
    let mut refused = |payload: Value| {
        let mut encoded = Segments::new();
        gunmetal_protocol::encode_value(&payload, &mut encoded).unwrap();
        client.send_header(MessageType::Manage, 1, u32::try_from(encoded.len()).unwrap());
        client.send(encoded);
        client.error(1).message
    };
    assert_eq!(refused(gunmetal_protocol::value!({"op": 7, "count": 1})), "Unknown manage operation: 7");
    assert_eq!(refused(gunmetal_protocol::value!({"count": 1})), "Unknown manage operation: None");
    let words = refused(gunmetal_protocol::value!({"op": 1, "count": "many"}));
    assert!(words.contains("count") && words.contains("str"), "{words}");
}
