//! Clients that are slow, stalled or greedy, and those beside them.

use std::io::{Read, Write};

use gunmetal_protocol::{StashOp, Value, value};

use super::{put_frame, reply, stash};
use crate::router::tests::rig::{Peer, Rig};

#[test]
fn half_received_values_take_one_budget_and_who_stalls_loses_its_place() {
    let rig = Rig::new();
    let frame = put_frame("big", 40 << 20);
    // One has most of the budget and stops; nobody else wants it yet.
    let mut stalled = rig.client();
    stalled.stream.write_all(&frame[..10 << 20]).unwrap();
    // What fits in beside it is not held up.
    let mut small = rig.client();
    assert_eq!(small.put("t", "small", "value"), Ok(true.into()));
    assert_eq!(small.ask(&put_frame("medium", 1 << 20)), Ok(true.into()));
    // What does not waits until the other one has stopped for too long.
    let mut waiting = rig.client();
    assert_eq!(waiting.ask(&frame), Ok(true.into()));
    let (error_type, message, _) = reply(stalled.frame()).unwrap_err();
    assert_eq!(error_type, "DirtyProtocolError");
    assert!(message.contains("the rest of a frame did not come in time"), "{message}");
    assert!(stalled.ends());
    let value = small.get("t", "big").unwrap();
    assert_eq!(value.as_bytes().unwrap().len(), 40 << 20);
}

#[test]
fn a_client_that_goes_while_it_waits_for_memory_is_forgotten() {
    let rig = Rig::new();
    let frame = put_frame("big", 40 << 20);
    let mut first = rig.client();
    first.stream.write_all(&frame[..1 << 20]).unwrap();
    for _ in 0..10 {
        let mut gone = rig.client();
        gone.stream.write_all(&frame[..100 << 10]).unwrap();
    }
    drop(first);
    assert_eq!(rig.client().ask(&frame), Ok(true.into()));
}

#[test]
fn a_client_that_does_not_read_holds_up_itself_alone() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.put("t", "large", Value::Bytes(vec![7; 4 << 20].into())).unwrap();
    let mut deaf = rig.client();
    let get = stash(1, StashOp::Get, "t", Some(&"large".into()), None);
    deaf.stream.write_all(&get.repeat(200)).unwrap();
    for number in 0..100 {
        assert_eq!(client.put("t", number, number), Ok(true.into()));
    }
    // Its answers are still what they have to be.
    for _ in 0..200 {
        assert_eq!(reply(deaf.frame()).unwrap().as_bytes().unwrap().len(), 4 << 20);
    }
}

#[test]
fn lists_that_nobody_reads_take_a_limited_amount_of_memory() {
    let rig = Rig::new();
    let mut client = rig.client();
    for number in 0..600 {
        client.put("t", format!("{number}{}", "k".repeat(100 << 10)), 0).unwrap();
    }
    // Each of them is sent a list of 60 MB and reads nothing of it.
    let keys = stash(1, StashOp::Keys, "t", None, None);
    let deaf: Vec<Peer> = (0..4)
        .map(|_| {
            let mut deaf = rig.client();
            deaf.stream.write_all(&keys).unwrap();
            // The answer is on its way.
            deaf.stream.read_exact(&mut [0]).unwrap();
            deaf
        })
        .collect();
    let (error_type, message, _) = client.op(StashOp::Keys, "t").unwrap_err();
    assert_eq!(error_type, "StashError");
    assert!(message.contains("wait to be read"), "{message}");
    assert_eq!(client.keys("t", "1[0-9]k*").unwrap().as_list().unwrap().len(), 10);
    drop(deaf);
    while client.op(StashOp::Keys, "t").is_err() {}
}

#[test]
fn values_that_were_replaced_and_that_nobody_reads_count_until_their_clients_leave() {
    let rig = Rig::with(|config| config.stash_limit = Some(16 << 20));
    let mut client = rig.client();
    let large = Value::Bytes(vec![7; 4 << 20].into());
    let get = stash(1, StashOp::Get, "t", Some(&"large".into()), None);
    let mut deaf = Vec::new();
    let refused = loop {
        if let Err(error) = client.put("t", "large", large.clone()) {
            break error;
        }
        assert!(deaf.len() < 8, "{} values of 4 MiB are in memory", deaf.len());
        let mut peer = rig.client();
        peer.stream.write_all(&get).unwrap();
        // The answer is on its way.
        peer.stream.read_exact(&mut [0]).unwrap();
        deaf.push(peer);
    };
    assert_eq!(refused.0, "StashError");
    drop(deaf);
    while client.put("t", "large", large.clone()).is_err() {}
}

/// Puts 300000 keys.
fn fill(client: &mut Peer, table: &str) {
    let frames: Vec<u8> = (0..300_000_i64)
        .flat_map(|key| stash(1, StashOp::Put, table, Some(&key.into()), Some(&key.into())))
        .collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&frames).unwrap());
    for _ in 0..300_000 {
        client.frame();
    }
    writing.join().unwrap();
}

#[test]
fn keys_are_not_listed_for_clients_that_left() {
    let rig = Rig::new();
    let mut client = rig.client();
    fill(&mut client, "t");
    let mut list = || assert_eq!(client.op(StashOp::Keys, "t").unwrap().as_list().unwrap().len(), 300_000);
    let before = rig.run_time();
    list();
    let one = rig.run_time() - before;

    let keys = stash(1, StashOp::Keys, "t", None, None);
    let before = rig.run_time();
    for _ in 0..50 {
        let mut gone = rig.client();
        // It is served before it leaves.
        gone.op(StashOp::Ensure, "t").unwrap();
        gone.stream.write_all(&keys.repeat(3)).unwrap();
    }
    list();
    let all = rig.run_time() - before;
    assert!(all < 20 * one, "151 listings took {all} ns of work, one takes {one} ns");
}

#[test]
fn keys_are_listed_for_clients_that_have_nothing_more_to_ask() {
    let rig = Rig::new();
    let mut client = rig.client();
    fill(&mut client, "t");
    client.stream.write_all(&stash(1, StashOp::Keys, "t", None, None)).unwrap();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut first = [0; 16];
    client.stream.read_exact(&mut first).unwrap();
    assert_eq!(first[3], 2, "not the header of a RESPONSE: {first:?}");
}

#[test]
fn clearing_and_listing_large_tables_does_not_keep_others_waiting() {
    let mut rig = Rig::new();
    let mut worker = rig.worker(1);
    let mut client = rig.client();
    fill(&mut client, "t");
    // Many listings at once, and then it is all thrown away.
    let mut busy = rig.client();
    let keys = stash(1, StashOp::Keys, "t", None, None);
    busy.stream.write_all(&keys.repeat(5)).unwrap();
    busy.stream.write_all(&stash(1, StashOp::Clear, "t", None, None)).unwrap();
    busy.stream.write_all(&stash(1, StashOp::DeleteTable, "t", None, None)).unwrap();
    // Meanwhile others are served: their calls and their stash.
    let serving = std::thread::spawn(move || {
        for _ in 0..50 {
            worker.lane().echo();
        }
        worker
    });
    for id in 0..50 {
        client.call(id, "echo", "call");
        assert_eq!(client.result(id), Value::from("call"));
        assert_eq!(client.put("u", 1, 1), Ok(true.into()));
    }
    drop(serving.join().unwrap());
    for _ in 0..5 {
        assert_eq!(reply(busy.frame()).unwrap().as_list().unwrap().len(), 300_000);
    }
    assert_eq!((reply(busy.frame()), reply(busy.frame())), (Ok(true.into()), Ok(true.into())));
    assert_eq!(client.op(StashOp::Tables, ""), Ok(value!(["u"])));
}
