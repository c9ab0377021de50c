//! What a turn leaves in the journal besides its cells.

use std::sync::Arc;

use super::*;
use crate::population::TwinId;
use crate::timers::TimerKey;

const PATIENCE: Duration = Duration::from_secs(20);

fn declared(change: impl Fn(&mut serde_json::Value)) -> Shard {
    let mut declaration = serde_json::from_str(DECLARATION).unwrap();
    change(&mut declaration);
    Shard::new(serde_json::from_value(declaration).unwrap(), true, false).unwrap()
}

fn opened(mut shard: Shard, folder: &Path) -> Shard {
    shard.open_store(folder, &[]).unwrap();
    shard
}

fn closed(mut shard: Shard) {
    shard.close_journal(PATIENCE).unwrap();
}

/// Until the disk has all records, as the loop would: a commit at each wake-up.
fn settled(shard: &mut Shard, until: impl Fn(&Shard) -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !until(shard) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
        shard.commit();
    }
    true
}

#[test]
fn timers_that_are_due_together_keep_their_order_through_two_starts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut shard = reopened(&folder);
    perform(&mut shard, &Act::Report(1, 1.0, 1));
    (0..20).for_each(|_| perform(&mut shard, &Act::Advance(7_000_000)));
    closed(shard);
    // set later than the other, in a run that has set fewer
    let mut shard = reopened(&folder);
    perform(&mut shard, &Act::Report(2, 1.0, 1));
    closed(shard);
    let mut shard = reopened(&folder);
    let due = shard.clock.now() + 7_000_000;
    let mut order = Vec::new();
    while let Some((TimerKey { twin, .. }, at, _)) = shard.timers.take(due) {
        assert_eq!(at, due);
        order.push(twin);
    }
    assert_eq!(order, [TwinId(1), TwinId(2)]);
}

#[test]
fn the_id_of_a_twin_that_lived_between_two_records_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut shard = reopened(&folder);
    let (row, id) = shard.create(PopulationId(0), "short");
    shard.forget_twin(PopulationId(0), row);
    // something else is worth a record
    shard.create(PopulationId(1), "");
    closed(shard);
    let mut shard = reopened(&folder);
    let (_, next) = shard.create(PopulationId(0), "next");
    assert!(next > id, "{next:?} after {id:?}");
}

fn synced(declaration: &mut serde_json::Value) {
    declaration["populations"][0]["timers"] = serde_json::json!([]);
    declaration["populations"][0]["columns"][6]["save"] = "sync".into();
}

#[test]
fn the_fence_falls_though_the_twin_that_raised_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut shard = opened(declared(synced), &folder.path().join("store"));
    let fence = Arc::clone(&shard.exchange.fence);
    let node = Node::Uri("/bus/1".into());
    shard.post("test".into(), node, Lane::Named("route".into()), Body::Tree(Value::Text("r".into())));
    shard.batch(Duration::from_secs(10));
    while let Step::Admit { .. } = shard.advance() {
        admit(&mut shard);
    }
    let row = shard.populations[0].table.find(b"1").unwrap();
    shard.forget_twin(PopulationId(0), row);
    assert!(fence.is_up());
    shard.commit();
    assert!(settled(&mut shard, |shard| !shard.exchange.fence.is_up()), "it stays up for ever");
    closed(shard);
}

#[test]
fn nothing_leaves_before_the_deletion_of_what_was_saved_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut shard = opened(declared(synced), &folder.path().join("store"));
    set(&mut shard, 1, "route", Value::Text("r".into()));
    assert!(settled(&mut shard, |shard| !shard.exchange.fence.is_up()));
    let row = shard.populations[0].table.find(b"1").unwrap();
    let id = shard.populations[0].table.id(row).unwrap();
    shard.open(PopulationId(0), row, id, 0);
    shard.turn.deleted = true;
    shard.keep();
    assert!(shard.exchange.fence.is_up());
    shard.commit();
    assert!(settled(&mut shard, |shard| !shard.exchange.fence.is_up()));
    closed(shard);
}

/// Twins made by an event get it in the batch in which they were made: a record between the two would have what
/// `on_create` sends go before it, after a crash.
#[test]
fn no_record_is_cut_between_a_creation_and_the_event_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let one = |declaration: &mut serde_json::Value| {
        declaration["settings"]["commit_turns"] = 1.into();
        declaration["populations"][0]["hooks"]["create"] = true.into();
    };
    let mut shard = opened(declared(one), &folder.path().join("store"));
    let body = [("speed".into(), Value::Float(1.0)), ("n".into(), Value::Int(1))];
    shard.post(
        "test".into(),
        Node::Uri("/bus/1".into()),
        Lane::Named("report".into()),
        Body::Tree(Value::Map(body.into())),
    );
    for _ in 0..3 {
        shard.batch(PATIENCE);
        while shard.advance() != Step::Idle {}
        shard.commit();
        assert_eq!(shard.hand, None);
    }
    assert_eq!(shard.outside_counts.applied, 1);
    closed(shard);
}

#[test]
fn a_run_goes_on_when_its_records_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let small = |declaration: &mut serde_json::Value| declaration["settings"]["journal_max_bytes"] = 200.into();
    let mut shard = opened(declared(small), &folder.path().join("store"));
    let mut paused = 0;
    for n in 0.. {
        perform(&mut shard, &Act::Report(1, 1.0, n));
        let wake = Arc::clone(&shard.wake);
        assert!(
            settled(&mut shard, |shard| shard.journal_status().unwrap().risk.changes == 0),
            "not durable: {:?}",
            shard.journal_status()
        );
        if paused == 2 {
            break;
        }
        if shard.is_paused() {
            paused += 1;
            // the loop sleeps until somebody rings, or `next_wake`
            let deadline = Instant::now() + PATIENCE;
            while shard.is_paused() {
                assert!(Instant::now() < deadline, "nobody wakes the loop");
                let mut poll = libc::pollfd { fd: wake.fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one descriptor, which lives
                let rung = unsafe { libc::poll(&mut poll, 1, 10) } > 0;
                if rung || shard.next_wake().is_some_and(|after| after.is_zero()) {
                    wake.reset();
                    shard.commit();
                }
            }
        }
    }
    assert!(shard.journal_status().unwrap().progress.checkpoint > 0);
    closed(shard);
}
