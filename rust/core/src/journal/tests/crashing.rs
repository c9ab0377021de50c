//! The whole stack on a disk that loses its power or fails: shard, records, SQLite, checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::sync::oneshot;

use super::*;
use crate::ask::{Answer, Waiter};
use crate::journal::disk::{Failure, Random, Tape, rebuild};
use crate::journal::files::Disk;

const PATIENCE: Duration = Duration::from_secs(20);

/// Every state that a shard had while a record was its newest, by that record.
type States = BTreeMap<u64, Vec<serde_json::Value>>;

struct Stage {
    shard: Shard,
    log: Log,
    random: Random,
}

struct Log {
    tape: Arc<Tape>,
    states: States,
    /// Answers that clients wait for, with the record that they may not be ahead of.
    answers: Vec<(u64, oneshot::Receiver<Answer>)>,
}

/// `route` is saved at once, all else in its time; records are cut at every commit.
fn saving_shard() -> Shard {
    let mut declaration: serde_json::Value = serde_json::from_str(DECLARATION).unwrap();
    declaration["populations"][0]["columns"][6]["save"] = "sync".into();
    Shard::new(serde_json::from_value(declaration).unwrap(), true, false).unwrap()
}

impl Stage {
    fn open(tape: &Arc<Tape>, dir: &Path, random: Random) -> Result<Stage, String> {
        let store =
            Store::open_on(Disk::taped(Arc::clone(tape)), dir, Some("journal")).map_err(|error| error.to_string())?;
        let mut shard = saving_shard();
        shard.open_from(store, &[])?;
        let mut log = Log { tape: Arc::clone(tape), states: States::new(), answers: Vec::new() };
        log.note(&mut shard);
        Ok(Stage { shard, log, random })
    }

    fn newest(&self) -> u64 {
        newest(&self.shard)
    }

    fn note(&mut self) {
        self.log.note(&mut self.shard);
    }

    fn ask(&mut self, durable: bool) {
        let (reply, answer) = oneshot::channel();
        let record = if durable { self.newest() + 1 } else { self.shard.exchange.fence.need() };
        let number = 1 + self.shard.asked.len() as u64;
        self.shard.asked.insert(number, Waiter::new(reply, Default::default(), durable));
        self.shard.reply(number, Answer::Accepted);
        self.log.answers.push((record, answer));
    }

    fn act(&mut self, act: &Act) {
        let log = &mut self.log;
        perform_and(&mut self.shard, act, &mut |shard| log.note(shard));
        match self.random.below(6) {
            0 => self.ask(true),
            1 => self.ask(false),
            2 => drop(self.settle()),
            _ => {}
        }
        self.shard.commit();
        self.note();
    }

    /// Waits until the disk has all; false: it has failed.
    fn settle(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.shard.exchange.fence.durable() < self.newest() {
            if self.shard.lost().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the disk says nothing");
            std::thread::yield_now();
        }
        true
    }
}

impl Log {
    /// Remembers the state, and tells the tape what has been acknowledged.
    fn note(&mut self, shard: &mut Shard) {
        let (newest, state) = (newest(shard), seen(shard));
        let states = self.states.entry(newest).or_default();
        if states.last() != Some(&state) {
            states.push(state);
        }
        shard.release();
        let durable = shard.exchange.fence.durable();
        self.answers.retain_mut(|(record, answer)| match answer.try_recv() {
            Ok(Answer::Accepted | Answer::Durable) => {
                // whoever got it may rely on it from here on
                assert!(*record <= durable, "an answer left before record {record}: {durable} is durable");
                self.tape.mark(*record);
                false
            }
            Ok(other) => panic!("{other:?}"),
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => false,
        });
        self.tape.mark(durable.max(self.tape.marked(self.tape.points() - 1)));
    }
}

fn newest(shard: &Shard) -> u64 {
    shard.journal.as_ref().unwrap().next.0 - 1
}

fn histories(seed: u64) -> impl FnMut() -> Vec<Act> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let strategy = acts();
    move || strategy.new_tree(&mut runner).unwrap().current()
}

/// The state that the store in `dir` comes to is one that the shard had, at its newest record or one before, but not
/// before `acknowledged`. Gives that record.
fn verify(dir: &Path, acknowledged: u64, states: &States) -> Result<u64, String> {
    let mut shard = saving_shard();
    shard.open_store(dir, &[])?;
    let newest = newest(&shard);
    if newest < acknowledged {
        return Err(format!("records up to {newest}, and {acknowledged} was acknowledged"));
    }
    let state = seen(&mut shard);
    shard.close_journal(PATIENCE)?;
    match states.get(&newest) {
        // the store is not older than the folder that it was cut from
        None if newest == 0 => Ok(0),
        Some(had) if had.contains(&state) => Ok(newest),
        Some(had) => Err(format!("record {newest} never had\n{state}\nbut\n{}", had[had.len() - 1])),
        None => Err(format!("record {newest} was never cut")),
    }
}

/// Runs, cuts the power at some points, recovers from each, goes on from the last one.
fn cuts(seed: u64, runs: usize, points: usize) {
    let mut history = histories(seed);
    let mut random = Random(seed);
    for _ in 0..runs {
        let mut before = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let dir = before.path().join("store");
            let tape = Tape::over(before.path());
            let mut stage = Stage::open(&tape, &dir, random.clone()).unwrap();
            history().iter().for_each(|act| stage.act(act));
            if random.below(2) == 0 {
                stage.shard.close_journal(PATIENCE).unwrap();
                stage.note();
            }
            let Stage { shard, log, random: moved } = stage;
            random = moved;
            let states = log.states;
            drop(log.tape);
            // what waits for the thread is not written; it closes the store
            drop(shard);
            let deadline = Instant::now() + PATIENCE;
            while Arc::strong_count(&tape) > 1 {
                assert!(Instant::now() < deadline, "the journal's thread does not end");
                std::thread::yield_now();
            }
            let mut next = None;
            for _ in 0..points {
                let point = random.below(tape.points());
                let after = tempfile::tempdir().unwrap();
                rebuild(&tape, point, &mut random, after.path());
                let acknowledged = tape.marked(point);
                if let Err(problem) = verify(&after.path().join("store"), acknowledged, &states) {
                    panic!("seed {seed}, round {round}, point {point} of {}: {problem}", tape.points());
                }
                next = Some(after);
            }
            before = next.unwrap();
        }
    }
}

#[test]
fn a_power_cut_leaves_a_state_that_was_there() {
    cuts(1, 2, 10);
}

#[test]
#[ignore = "long"]
fn long_power_cuts_of_everything() {
    for seed in 0..10 {
        cuts(500 + seed, 5, 10);
    }
}

/// A disk that fails once, at a countdown. What was acknowledged is there afterwards; nothing that came later was told.
fn fails(failure: Failure, countdowns: impl Iterator<Item = usize>) {
    let mut lost = 0;
    for after in countdowns {
        let mut history = histories(77);
        let before = tempfile::tempdir().unwrap();
        let dir = before.path().join("store");
        let tape = Tape::over(before.path());
        tape.fail(failure, after);
        let mut states = States::new();
        match Stage::open(&tape, &dir, Random(after as u64)) {
            Err(refused) => assert!(refused.contains("store"), "{refused}"),
            Ok(mut stage) => {
                for act in history().iter().chain(&history()) {
                    stage.act(act);
                    if stage.shard.lost().is_some() {
                        break;
                    }
                }
                stage.settle();
                let failed = stage.shard.lost().is_some();
                let durable = stage.shard.exchange.fence.durable();
                if failed {
                    lost += 1;
                    // a client that asks now is never answered
                    set(&mut stage.shard, 1, "route", Value::Text("late".into()));
                    stage.ask(true);
                    stage.ask(false);
                    stage.shard.commit();
                    stage.shard.release();
                    for (record, answer) in &mut stage.log.answers {
                        assert!(
                            *record <= durable || answer.try_recv().is_err(),
                            "told of record {record} after {durable}"
                        );
                    }
                    assert_eq!(stage.shard.exchange.fence.durable(), durable);
                }
                let closed = stage.shard.close_journal(PATIENCE);
                // the last record, too, is one that was there
                stage.note();
                assert!(!failed || closed.is_err());
                assert_eq!(
                    stage.shard.exchange.fence.durable() > durable,
                    !failed && closed.is_ok() && stage.newest() > durable
                );
                states = std::mem::take(&mut stage.log.states);
            }
        }
        // the process is gone; the disk works again
        let acknowledged = tape.marked(tape.points() - 1);
        verify(&dir, acknowledged, &states).unwrap_or_else(|problem| panic!("{failure:?} after {after}: {problem}"));
        if tape.failed().is_none() {
            break;
        }
    }
    assert!(lost > 2, "{failure:?} was met {lost} times");
}

#[test]
fn a_disk_that_fails_stops_the_shard_and_loses_nothing_that_was_told() {
    for failure in [Failure::NoSpace, Failure::Write, Failure::Sync, Failure::Short] {
        fails(failure, (0..).step_by(9));
    }
}

#[test]
#[ignore = "long"]
fn long_failures_at_every_countdown() {
    for failure in [Failure::NoSpace, Failure::Write, Failure::Sync, Failure::Short] {
        fails(failure, 0..);
    }
}
