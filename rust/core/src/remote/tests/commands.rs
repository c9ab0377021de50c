//! Commands to other servers: when they count as sent, where they wait, and what becomes of those that cannot be.

use super::*;
use crate::shard::Counts;

fn counts(applied: u64, dead: u64, waiting: u64) -> Counts {
    Counts { read: applied + dead + waiting, applied, dead, ..Counts::default() }
}

#[test]
fn they_are_sent_in_order_and_count_when_they_are_written() {
    let mut pair = Pair::new();
    for n in 0..5_000 {
        pair.send("/unit/1", "publish", Value::Int(n));
    }
    pair.until("the last one is there", |pair| pair.far_cell(0) == Value::Int(4_999));
    assert_eq!(pair.far.outside_counts, counts(5_000, 0, 0));
    pair.until("all are counted", |pair| pair.near.inner_counts == counts(5_000, 0, 0));
    assert_eq!(pair.near.remotes.unsent(), 0);
}

#[test]
fn bodies_of_all_kinds_arrive_as_they_are() {
    let mut pair = Pair::new();
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    let body = text("é \"{@}\" \u{1F600}");
    pair.send("/unit/1", "note", body.clone());
    pair.until_news(RemoteNews::Event(id, Operation::Value(body)));
    // an entry of a map, as the tree that Recon makes of it
    let update = crate::recon::read_body("@update(key:\"a b\") 5").unwrap();
    let map = pair.open("/unit/1", "shopping", Shape::Map, true);
    pair.send("/unit/1", "shopping", update);
    pair.until_news(RemoteNews::Event(map, Operation::Update(text("a b"), Value::Int(5))));
}

#[test]
fn they_wait_while_the_server_is_down() {
    let mut pair = Pair::new();
    pair.stop();
    for n in 0..10 {
        pair.send("/unit/1", "publish", Value::Int(n));
    }
    pair.until("an attempt", |pair| !pair.near.remotes.status().is_empty());
    assert_eq!(pair.near.inner_counts, counts(0, 0, 10));
    pair.listen();
    pair.until("they are there", |pair| pair.far_cell(0) == Value::Int(9));
    pair.until("they are counted", |pair| pair.near.inner_counts == counts(10, 0, 0));
    assert_eq!(pair.far.outside_counts.applied, 10);
}

#[test]
fn more_than_may_wait_are_dead_letters() {
    let mut pair = Pair::with(serde_json::json!({"remote_queue": 3}));
    pair.stop();
    for n in 0..5 {
        pair.send("/unit/1", "publish", Value::Int(n));
    }
    run(&mut pair.near);
    assert_eq!(pair.near.inner_counts, counts(0, 2, 3));
    let letter = &pair.near.dead[0];
    assert_eq!(letter.kind, crate::envelope::Kind::Limit);
    assert!(letter.reason.contains("3 commands wait") && letter.reason.contains("remote_queue"), "{}", letter.reason);
    assert_eq!((&*letter.lane, &*letter.record), ("publish", &b"3"[..]));
}

#[test]
fn those_that_wait_too_long_are_dead_letters() {
    let mut pair = Pair::with(serde_json::json!({"remote_seconds": 0.1}));
    pair.stop();
    pair.send("/unit/1", "publish", Value::Int(1));
    pair.until("it is given up", |pair| pair.near.inner_counts == counts(0, 1, 0));
    let letter = &pair.near.dead[0];
    assert_eq!(letter.kind, crate::envelope::Kind::Unrouted);
    assert!(letter.reason.contains("remote_seconds") && letter.reason.contains("nobody listens"), "{}", letter.reason);
}

#[test]
fn an_address_that_is_none_is_a_dead_letter_that_says_why() {
    let mut pair = Pair::new();
    send(&mut pair.near, "warp://127.0.0.1:9001", "publish", Value::Null);
    send(&mut pair.near, "warp://127.0.0.1:9001/a", "", Value::Null);
    run(&mut pair.near);
    assert!(pair.near.dead[0].reason.contains("names no node"), "{}", pair.near.dead[0].reason);
    assert!(pair.near.dead[1].reason.contains("no lane's name"), "{}", pair.near.dead[1].reason);
}

#[test]
fn nothing_leaves_before_the_record_that_it_waits_for() {
    let mut pair = Pair::new();
    let id = pair.open("/unit/1", "note", Shape::Value, true);
    pair.until_news(RemoteNews::Synced(id));
    pair.near.exchange.fence.raise(7);
    pair.send("/unit/1", "publish", Value::Int(5));
    pair.open("/unit/1", "info", Shape::Value, true);
    // there and back: what was to leave has had its time
    pair.far_set("note", text("x"));
    pair.until_news(RemoteNews::Event(id, Operation::Value(text("x"))));
    assert_eq!((pair.far.outside_counts.applied, pair.far.links.len()), (1, 1));
    assert_eq!(pair.near.inner_counts, counts(0, 0, 1));
    pair.near.exchange.fence.reach(7);
    pair.near.wake.ring();
    pair.until("it is let go", |pair| pair.far_cell(0) == Value::Int(5) && pair.far.links.len() == 2);
    pair.until("it is counted", |pair| pair.near.inner_counts == counts(1, 0, 0));
}

#[test]
fn what_a_turn_sends_waits_for_what_it_has_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::new();
    pair.near.open_store(&folder.path().join("store"), &[]).unwrap();
    // in this order: what twins send goes before what programs post
    send(&mut pair.near, "/unit/9", "kept", Value::Int(1));
    pair.send("/unit/1", "publish", Value::Int(5));
    pair.until("it is there", |pair| pair.far_cell(0) == Value::Int(5));
    let fence = &pair.near.exchange.fence;
    assert!(fence.need() > 0 && fence.durable() >= fence.need());
    pair.near.close_journal(PATIENCE).unwrap();
}

fn stored(folder: &Path, settings: serde_json::Value) -> Shard {
    let mut shard = shard(settings);
    shard.open_store(folder, &[]).unwrap();
    shard
}

#[test]
fn those_that_waited_when_a_run_ended_are_sent_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut pair = Pair::new();
    pair.stop();
    let settings = serde_json::json!({"remote_first_pause": 0.02, "remote_longest_pause": 0.05});
    pair.near = stored(&folder, settings.clone());
    for n in 0..3 {
        pair.send("/unit/1", "publish", Value::Int(n));
    }
    run(&mut pair.near);
    pair.near.close_journal(PATIENCE).unwrap();
    pair.near = stored(&folder, settings.clone());
    run(&mut pair.near);
    assert_eq!(pair.near.inner_counts, counts(0, 0, 3));
    pair.listen();
    pair.until("they are there", |pair| pair.far_cell(0) == Value::Int(2));
    pair.until("they are counted", |pair| pair.near.inner_counts == counts(3, 0, 0));
    assert_eq!(pair.far.outside_counts.applied, 3);
    pair.near.close_journal(PATIENCE).unwrap();
    pair.near = stored(&folder, settings);
    run(&mut pair.near);
    assert_eq!((pair.near.inner_counts, pair.near.remotes.unsent()), (counts(3, 0, 0), 0));
}

#[test]
fn a_test_keeps_them() {
    let mut shard = Shard::new(declared(serde_json::json!({})), true, true).unwrap();
    send(&mut shard, "warps://other/bus/7", "report", Value::Int(1));
    run(&mut shard);
    assert_eq!(shard.remote, Some(vec![("warps://other/bus/7".to_owned(), "report".to_owned(), Value::Int(1))]));
    assert_eq!(shard.inner_counts, counts(1, 0, 0));
}
