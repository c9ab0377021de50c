//! Requests between twins, without a host that answers them: who waits for whom, what is counted, what is saved.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::body::Record;
use crate::dispatch::Step;

/// Twins that ask and answer.
const DECLARATION: &str = r#"{
    "app": "asking", "zone": "UTC",
    "settings": {"max_sends": 100, "max_hops": 8, "max_rounds": 4, "busy_bound": 10, "max_asks": 3, "commit_turns": 50,
        "handler_seconds": 5.0, "journal_seconds": 0.0},
    "populations": [{"name": "One", "pattern": [{"literal": "one"}, {"parameter": "id"}],
        "columns": [{"name": "asked", "type": "int64", "default": 0}], "maps": [],
        "commands": [{"name": "go", "body": "nothing", "handler": true},
            {"name": "ask", "body": "nothing", "handler": false, "request": {"methods": [], "single": false}},
            {"name": "web", "body": "nothing", "request": {"methods": ["get"], "single": false}}],
        "folds": [{"out": 0, "input": {"command": {"command": 1, "slots": []}}, "fold": "count"}],
        "changed": [], "hooks": {}, "timers": [], "members": []}]}"#;
const ONE: PopulationId = PopulationId(0);
const GO: u16 = 0;
const ASK: u16 = 1;
const WEB: u16 = 2;

fn shard() -> Shard {
    let declaration =
        DECLARATION.replace(r#""hooks": {}"#, r#""hooks": {"create": false, "start": false, "stop": false}"#);
    Shard::new(serde_json::from_str(&declaration).unwrap(), true, false).unwrap()
}

/// Runs until the next handler is due.
fn step(shard: &mut Shard) -> Step {
    shard.batch(Duration::from_secs(10));
    shard.advance()
}

/// Has a twin begin a turn that waits; gives its number.
fn waits(shard: &mut Shard, id: &str) -> u64 {
    let body = Body::Record(Record::default());
    shard.post("test".into(), Node::Key(ONE, id.into()), Lane::Command(GO), body);
    assert_eq!(step(shard), Step::Call(What::Handler(GO)));
    shard.park()
}

fn asks(shard: &mut Shard, turn: u64, id: &str) -> Result<u64, Refusal> {
    shard.ask_twin(Some(Within::Parked(turn)), (ONE, id.into()), ASK, Body::Record(Record::default()))
}

fn answers(shard: &mut Shard) -> Step {
    let step = step(shard);
    assert_eq!(step, Step::Call(What::Answer { command: ASK, method: None }));
    step
}

#[test]
fn an_answer_is_there_when_its_turn_is_kept() {
    let mut shard = shard();
    let turn = waits(&mut shard, "a");
    let number = asks(&mut shard, turn, "b").unwrap();
    assert_eq!(shard.inner_counts.waiting(), 1);
    answers(&mut shard);
    shard.put_reply(Within::Open, Value::Int(5)).unwrap();
    assert_eq!(shard.requests.take_answered(), []);
    assert_eq!(shard.advance(), Step::Idle);
    assert_eq!(shard.requests.take_answered(), [(number, Ok(Value::Int(5)))]);
    let row = shard.populations[0].table.find(b"b").unwrap();
    assert_eq!(shard.populations[0].table.columns[0].get(row), Value::Int(1));
    assert_eq!((shard.requests.waiting(), shard.requests.in_flight()), (0, 0));
    assert_eq!((shard.inner_counts.applied, shard.inner_counts.waiting()), (1, 0));
}

#[test]
fn a_turn_that_fails_tells_its_asker_and_is_a_dead_letter() {
    let mut shard = shard();
    let turn = waits(&mut shard, "a");
    let number = asks(&mut shard, turn, "b").unwrap();
    answers(&mut shard);
    shard.put_reply(Within::Open, Value::Int(5)).unwrap();
    shard.fail(Kind::Rejected, "no");
    assert_eq!(shard.advance(), Step::Idle);
    assert_eq!(shard.requests.take_answered(), [(number, Err((Kind::Rejected, "no".to_owned())))]);
    let [letter] = shard.dead.as_slice() else { panic!("{:?}", shard.dead) };
    assert_eq!((letter.origin.as_str(), letter.node.as_str(), letter.lane.as_str()), ("/one/a", "/one/b", "ask"));
    assert_eq!((shard.inner_counts.dead, shard.inner_counts.waiting()), (1, 0));
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let mut shard = shard();
    let turn = waits(&mut shard, "a");
    let number = asks(&mut shard, turn, "b").unwrap();
    assert!(shard.requests.forget(number));
    assert!(!shard.requests.forget(number));
    answers(&mut shard);
    assert_eq!(shard.advance(), Step::Idle);
    assert_eq!(shard.requests.take_answered(), []);
    assert_eq!((shard.inner_counts.applied, shard.requests.in_flight()), (1, 0));
}

#[test]
fn a_way_back_to_the_asker_is_found_over_several_twins_and_only_while_they_wait() {
    let mut shard = shard();
    let (a, b, c) = (waits(&mut shard, "a"), waits(&mut shard, "b"), waits(&mut shard, "c"));
    let way = |refused: Result<u64, Refusal>| match refused {
        Err(Refusal::Deadlock(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(way(asks(&mut shard, a, "a")), "/one/a would wait for itself: /one/a → /one/a");
    asks(&mut shard, a, "b").unwrap();
    let to_c = asks(&mut shard, b, "c").unwrap();
    assert_eq!(way(asks(&mut shard, c, "a")), "/one/c would wait for itself: /one/c → /one/a → /one/b → /one/c");
    // b has given up: c may ask a
    shard.requests.forget(to_c);
    asks(&mut shard, c, "a").unwrap();
    // nothing is kept of whom nobody asks any more
    for number in shard.requests.pending.keys().copied().collect::<Vec<_>>() {
        shard.requests.forget(number);
    }
    assert!(shard.requests.of.is_empty());
}

#[test]
fn a_turn_that_has_ended_waits_for_nobody() {
    let mut shard = shard();
    let a = waits(&mut shard, "a");
    asks(&mut shard, a, "b").unwrap();
    shard.finish(a, Ok(()));
    answers(&mut shard);
    let b = shard.park();
    asks(&mut shard, b, "a").unwrap();
}

#[test]
fn bounds_and_lanes_without_a_handler_refuse() {
    let mut shard = shard();
    let turn = waits(&mut shard, "a");
    let none = shard.ask_twin(Some(Within::Parked(turn)), (ONE, "b".into()), WEB, Body::Record(Record::default()));
    assert!(matches!(none, Err(Refusal::Ask(reason)) if reason.contains("only methods of HTTP")));
    for id in ["b", "c", "d"] {
        asks(&mut shard, turn, id).unwrap();
    }
    let full = asks(&mut shard, turn, "e");
    assert!(matches!(full, Err(Refusal::Ask(reason)) if reason.contains("max_asks")));
}

fn opened(folder: &Path) -> Shard {
    let mut shard = shard();
    shard.open_store(folder, &[]).unwrap();
    shard
}

#[test]
fn a_request_in_flight_is_not_repeated_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut shard = opened(&folder);
    let turn = waits(&mut shard, "a");
    asks(&mut shard, turn, "b").unwrap();
    shard.commit();
    assert_eq!(shard.inner_counts.waiting(), 1);
    // all that is on the disk, as a kill leaves it
    shard.close_journal(Duration::from_secs(20)).unwrap();
    drop(shard);
    let mut shard = opened(&folder);
    assert_eq!(shard.inner_counts.waiting(), 0);
    assert!(shard.inner.is_empty());
    assert_eq!(step(&mut shard), Step::Idle);
    // and the books are balanced when it is asked anew
    let turn = waits(&mut shard, "a");
    asks(&mut shard, turn, "b").unwrap();
    answers(&mut shard);
    assert_eq!(shard.advance(), Step::Idle);
    assert_eq!((shard.inner_counts.applied, shard.inner_counts.waiting()), (1, 0));
}

#[test]
fn a_methods_own_handler_answers_only_it() {
    let shard = shard();
    let commands = &shard.populations[0].decl.commands;
    assert_eq!(commands[WEB as usize].allowed(), "GET, HEAD, OPTIONS");
    assert_eq!(commands[ASK as usize].allowed(), "GET, HEAD, PUT, POST, DELETE, OPTIONS");
    assert!(!commands[WEB as usize].answers(None) && commands[WEB as usize].answers(Some(Method::Get)));
}
