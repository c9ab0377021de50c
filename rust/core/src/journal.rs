//! The journal: what survives. At a commit the shard cuts a record of what has changed since the last one (`cut`,
//! `record`, `small`), a thread appends it to the store (`writer`, `store`); checkpoints make old records needless
//! (`checkpoint`); `recover` reads both back. `fence` holds back what must not leave before it is saved; `schema` has the
//! numbers by which records name lanes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use self::checkpoint::Job;
use self::fence::Fence;
use self::schema::Schema;
use self::small::{Mark, PendingGroup};
use self::writer::{Progress, Writer};
use crate::declaration::Save;
use crate::envelope::DeadLetter;
use crate::shard::{Class, Counts, Shard};

pub mod backup;
pub mod bytes;
pub mod checkpoint;
pub mod cut;
pub mod export;
pub mod fence;
pub mod files;
pub mod full;
pub mod record;
pub mod schema;
pub mod small;
pub mod store;
mod wal;
pub mod writer;

#[cfg(test)]
mod disk;
#[cfg(test)]
mod tests;

/// Names a record of a shard: from 1 on, without gaps.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct RecordNumber(pub u64);

/// Which run of a shard writes: a later one refuses what an earlier one still sends.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Epoch(pub u64);

#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ShardId(pub u16);

/// A file of a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name within the checkpoint's folder.
    pub file: String,
    pub bytes: u64,
    /// xxh3-64 of the whole file.
    pub checksum: u64,
}

/// The sink that takes dead letters: what it has, records need not keep.
pub const LETTERS: &str = "dead-letters";

/// Rows of one record: cutting it holds the turns up.
const ROWS: usize = 1 << 15;

/// A checkpoint that a full journal waits for is tried so often, s.
const AGAIN_SECONDS: f64 = 1.0;

/// When records are cut, and what may wait (docs/settings.md).
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// A record is cut after so long, s.
    pub journal_seconds: f64,
    /// Changes that are not on the disk after so long pause what comes from outside, s.
    pub max_loss_seconds: f64,
    /// So many bytes of records that wait for the disk do, too.
    pub journal_queue_bytes: usize,
    /// A checkpoint is taken when records hold so many bytes …
    pub checkpoint_bytes: u64,
    /// … or are so old, s.
    pub checkpoint_seconds: f64,
    /// Records that a checkpoint or a sink still needs pause what comes from outside, when they are more than this.
    pub journal_max_bytes: u64,
    /// Or the sinks that need them lose them.
    pub slow_sinks: SlowSinks,
}

/// What becomes of a sink that is more than `journal_max_bytes` behind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum SlowSinks {
    /// What comes from outside waits for it.
    #[default]
    Wait,
    /// Its records go; reading on, it is told from which one there are any.
    Cut,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            journal_seconds: 0.05,
            max_loss_seconds: 2.0,
            journal_queue_bytes: 64 << 20,
            checkpoint_bytes: 64 << 20,
            checkpoint_seconds: 300.0,
            journal_max_bytes: 1 << 30,
            slow_sinks: SlowSinks::Wait,
        }
    }
}

/// A record on its way to the disk.
struct Cut {
    number: RecordNumber,
    /// When the oldest of its changes was made.
    since: Instant,
    /// Turns until then.
    turns: u64,
}

/// What alone is no reason to cut a record, but at the end.
#[derive(Debug, PartialEq)]
struct Rest {
    /// Between twins, and from outside.
    counts: (Counts, Counts),
    /// Of a virtual clock.
    now: Option<i64>,
}

/// The shard's side of its journal.
pub struct Journal {
    schema: Schema,
    schema_is_new: bool,
    /// A bit a column, hidden ones too, then one a map, by population: they are saved.
    saved: Vec<Vec<u64>>,
    writer: Writer,
    fence: Arc<Fence>,
    bounds: Bounds,
    /// The next record's.
    next: RecordNumber,
    cut_at: Instant,
    /// The oldest change that no record holds.
    first_change: Option<Instant>,
    /// Records that are not durable yet; bounded by the pause.
    cuts: VecDeque<Cut>,
    /// Turns until the newest durable record.
    durable_turns: u64,
    /// Changes of lanes that are needed in full, for the next record; bounded by the turns of an interval.
    full: Vec<full::Change>,
    /// Somebody waits for the next record.
    wanted: bool,
    /// What the last record has said of these: the next one says what differs.
    marks: FxHashMap<EcoString, Mark>,
    waiting: FxHashSet<u64>,
    groups: Vec<PendingGroup>,
    rest: Rest,
    /// Dead letters by the record that holds them; nobody gets them before it is durable. Bounded by the pause.
    letters: VecDeque<(RecordNumber, Vec<DeadLetter>)>,
    last_letter: u64,
    /// What has changed before a checkpoint that failed is not known.
    checkpoint_all: bool,
    bytes_since_checkpoint: u64,
    checkpoint_at: Instant,
    paused: bool,
}

/// What may be lost if the process ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Risk {
    /// Age of the oldest change that is not durable, s; 0: there is none.
    pub seconds: f64,
    /// Turns that are not durable.
    pub changes: u64,
}

/// How a journal is doing.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub risk: Risk,
    pub durable: u64,
    pub paused: bool,
    pub progress: Progress,
}

/// What of a class is saved: a bit a column, then one a map. `which`: the strength that is asked for.
fn mask(class: &Class, which: impl Fn(Save) -> bool) -> Vec<u64> {
    let mut bits = vec![0u64; class.table.words()];
    let mut set = |at: usize| bits[at / 64] |= 1 << (at % 64);
    let declared = class.decl.columns.len();
    for (at, column) in class.decl.columns.iter().enumerate() {
        if which(column.save) {
            set(at);
        }
    }
    for (at, name) in class.programs.hidden_names.iter().enumerate() {
        // hidden state is as durable as its lane; the alarm of all windows is saved
        let lane = name.rsplit_once('.').map_or("", |(lane, _)| lane);
        let save =
            class.decl.columns.iter().find(|column| column.name == lane).map_or(Save::Async, |column| column.save);
        if which(save) {
            set(declared + at);
        }
    }
    for (at, map) in class.decl.maps.iter().enumerate() {
        if which(map.save) {
            set(class.table.columns.len() + at);
        }
    }
    bits
}

/// The lanes of a class that are saved.
pub fn saved(class: &Class) -> Vec<u64> {
    mask(class, |save| save != Save::Never)
}

/// The lanes of a class at which the fence is raised; empty: none.
pub fn synced(class: &Class) -> Vec<u64> {
    let bits = mask(class, |save| save == Save::Sync);
    if bits.iter().all(|word| *word == 0) { Vec::new() } else { bits }
}

impl Journal {
    pub(crate) fn new(
        start: writer::Start,
        schema: Schema,
        schema_is_new: bool,
        shard: &Shard,
    ) -> std::io::Result<Self> {
        let fence = Arc::clone(&shard.exchange.fence);
        let (newest, kept) = (start.newest, start.kept);
        let bounds = shard.settings.journal.clone();
        let small = &start.small;
        let marks = small.origins.iter().map(|(name, mark)| (name.clone(), mark.clone())).collect();
        let waiting = small.waiting.keys().copied().collect();
        let (groups, last_letter) = (small.groups.clone(), small.moment.letters);
        let moment = &small.moment;
        let now = shard.clock.is_virtual.then_some(moment.now);
        let rest = Rest { counts: (moment.inner, moment.outside), now };
        let now = Instant::now();
        Ok(Journal {
            saved: shard.populations.iter().map(saved).collect(),
            schema,
            schema_is_new,
            writer: Writer::start(start, &bounds, Arc::clone(&fence), Arc::clone(&shard.wake))?,
            fence,
            bounds,
            next: RecordNumber(newest.0 + 1),
            cut_at: now,
            first_change: None,
            cuts: VecDeque::new(),
            durable_turns: shard.turns,
            full: Vec::new(),
            wanted: false,
            marks,
            waiting,
            groups,
            rest,
            letters: VecDeque::new(),
            last_letter,
            checkpoint_all: true,
            bytes_since_checkpoint: kept,
            checkpoint_at: now,
            paused: false,
        })
    }

    /// Records that no checkpoint holds are more than they may be: what comes from outside waits for one.
    fn is_overfull(&self) -> bool {
        self.writer.kept() > self.bounds.journal_max_bytes
    }

    fn risk(&self, turns: u64) -> Risk {
        let first = self.cuts.front().map(|cut| cut.since).or(self.first_change);
        let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
        Risk { seconds, changes: if first.is_some() { turns - self.durable_turns } else { 0 } }
    }
}

impl Shard {
    /// The journal's part of a commit: a record is cut where one is due. Before anything of the commit is published.
    pub(crate) fn save(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        self.number_letters(&mut journal);
        let unsaved: usize = self.populations.iter().map(|class| class.table.unsaved()).sum();
        if journal.first_change.is_none()
            && self.turns > journal.cuts.back().map_or(journal.durable_turns, |cut| cut.turns)
        {
            journal.first_change = Some(Instant::now());
        }
        let age = journal.cut_at.elapsed().as_secs_f64();
        if journal.wanted || unsaved >= ROWS || age >= journal.bounds.journal_seconds {
            self.cut(&mut journal, false);
            self.take_checkpoint(&mut journal);
        }
        self.note_durable(&mut journal);
        self.journal = Some(journal);
    }

    fn number_letters(&mut self, journal: &mut Journal) {
        for letter in self.dead.iter_mut().filter(|letter| letter.number == 0) {
            journal.last_letter += 1;
            letter.number = journal.last_letter;
        }
    }

    /// How far the disk has come, and whether what comes from outside must wait for it.
    fn note_durable(&mut self, journal: &mut Journal) {
        let durable = journal.fence.durable();
        while let Some(cut) = journal.cuts.front()
            && cut.number.0 <= durable
        {
            journal.durable_turns = cut.turns;
            journal.cuts.pop_front();
        }
        if journal.cuts.is_empty() && journal.first_change.is_none() {
            journal.durable_turns = self.turns;
        }
        journal.paused = journal.risk(self.turns).seconds > journal.bounds.max_loss_seconds
            || journal.writer.waiting() > journal.bounds.journal_queue_bytes
            || journal.is_overfull();
    }

    /// A sync lane was written by the turn that is being kept: nothing leaves before the next record is durable.
    #[inline(never)]
    pub(crate) fn raise_fence(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.wanted = true;
            journal.fence.raise(journal.next.0);
        }
    }

    /// The record that will hold what has happened until now, cut at the next commit; None: there is no journal.
    pub(crate) fn await_record(&mut self) -> Option<u64> {
        let journal = self.journal.as_mut()?;
        journal.wanted = true;
        Some(journal.next.0)
    }

    /// What comes from outside waits: too much is not on the disk yet, or too many commands wait for another server.
    #[inline(always)]
    pub fn is_paused(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.paused) || self.remotes.is_crowded()
    }

    /// Why no turn may follow: a write has failed.
    pub fn lost(&self) -> Option<&str> {
        self.journal.as_ref()?.fence.failure()
    }

    /// Until a record must be cut, or a checkpoint tried again, though nothing happens.
    pub(crate) fn next_cut(&self) -> Option<Duration> {
        let journal = self.journal.as_ref()?;
        let after = |seconds: f64, since: Instant| {
            Some(Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(since.elapsed()))
        };
        let checkpoint = journal.is_overfull() && !journal.writer.is_checkpointing();
        let checkpoint = if checkpoint { after(AGAIN_SECONDS, journal.checkpoint_at) } else { None };
        let cut = journal.first_change.and_then(|_| after(journal.bounds.journal_seconds, journal.cut_at));
        cut.into_iter().chain(checkpoint).min()
    }

    pub fn journal_status(&self) -> Option<Status> {
        let journal = self.journal.as_ref()?;
        Some(Status {
            risk: journal.risk(self.turns),
            durable: journal.fence.durable(),
            paused: journal.paused,
            progress: journal.writer.progress(),
        })
    }

    /// Takes the dead letters that may be written to their file: with a journal, those of durable records.
    pub fn take_letters(&mut self) -> Vec<DeadLetter> {
        let Some(journal) = &mut self.journal else { return std::mem::take(&mut self.dead) };
        let durable = journal.fence.durable();
        let mut letters = Vec::new();
        while let Some((number, _)) = journal.letters.front()
            && number.0 <= durable
        {
            letters.extend(journal.letters.pop_front().into_iter().flat_map(|(_, letters)| letters));
        }
        letters
    }

    /// A sink has what it wants up to this position, on its own disk: a record's number; a letter's, of `LETTERS`. Records
    /// that all sinks and a checkpoint have passed may go.
    pub fn sink_has(&mut self, name: &str, position: u64) {
        if let Some(journal) = &mut self.journal {
            journal.writer.sink(name, position);
        }
    }

    /// Has a running store copied; the answer is a sentence, or why not.
    pub fn backup(&mut self, to: PathBuf, answer: SyncSender<Result<String, String>>) {
        match &mut self.journal {
            Some(journal) => journal.writer.backup(to, answer),
            None => _ = answer.try_send(Err("this run has no store".into())),
        }
    }

    fn take_checkpoint(&mut self, journal: &mut Journal) {
        let age = journal.checkpoint_at.elapsed().as_secs_f64();
        let due = journal.bytes_since_checkpoint >= journal.bounds.checkpoint_bytes
            || journal.bytes_since_checkpoint > 0 && age >= journal.bounds.checkpoint_seconds
            || journal.is_overfull();
        // one that has failed is tried again, but not at once
        let may = !journal.writer.has_problem() && journal.bytes_since_checkpoint > 0 || age >= AGAIN_SECONDS;
        if due && may && !journal.writer.is_checkpointing() {
            self.snapshot_to(journal);
        }
    }

    /// Has a checkpoint of the present state written in the background; a record has just been cut.
    fn snapshot_to(&mut self, journal: &mut Journal) {
        let all = std::mem::take(&mut journal.checkpoint_all) || journal.writer.has_problem();
        let changed = self.populations.iter_mut().map(|class| class.table.take_changed()).collect();
        let job = Job {
            schema: journal.schema.clone(),
            patterns: self.populations.iter().map(|class| class.decl.pattern.clone()).collect(),
            saved: journal.saved.clone(),
            snapshots: self.populations.iter().map(|class| class.table.snapshot()).collect(),
            changed: (!all).then_some(changed),
            previous: None,
            small: Vec::new(),
        };
        journal.bytes_since_checkpoint = 0;
        journal.checkpoint_at = Instant::now();
        journal.writer.checkpoint(job);
    }

    /// The columns are about to have other numbers: what is dirty is saved by the old ones.
    pub(crate) fn cut_before_growing(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        self.number_letters(&mut journal);
        self.cut(&mut journal, false);
        self.journal = Some(journal);
    }

    /// The classes have grown: the next record says how. Errors: they have not only grown.
    pub(crate) fn grow_journal(&mut self) -> Result<(), String> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let schema = Schema::of(&self.populations, Some(&journal.schema), &[]).map_err(|unfit| unfit.to_string())?;
        journal.schema_is_new = schema.number != journal.schema.number;
        journal.schema = schema;
        journal.saved = self.populations.iter().map(saved).collect();
        journal.checkpoint_all = true;
        for class in &mut self.populations {
            class.synced = synced(class);
            class.full = full::mask(class);
        }
        Ok(())
    }

    /// Cuts a record of all that has happened and has a checkpoint written, as soon as the one in progress is done.
    pub fn checkpoint(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        self.number_letters(&mut journal);
        self.cut(&mut journal, true);
        if !journal.writer.is_checkpointing() {
            self.snapshot_to(&mut journal);
        }
        self.journal = Some(journal);
    }

    /// Cuts the last record, waits for the disk, has a checkpoint written for the next start, and closes the store. No turn
    /// may follow; what waited at the fence leaves.
    ///
    /// Errors: what is not saved, and why.
    pub fn close_journal(&mut self, patience: Duration) -> Result<(), String> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        self.number_letters(&mut journal);
        if journal.fence.failure().is_none() {
            self.cut(&mut journal, true);
            if journal.bytes_since_checkpoint > 0 && !journal.writer.is_checkpointing() {
                self.snapshot_to(&mut journal);
            }
        }
        let ended = journal.writer.close(patience);
        let failure = journal.fence.failure().map(str::to_owned);
        self.note_durable(&mut journal);
        let risk = journal.risk(self.turns);
        self.journal = Some(journal);
        self.release();
        match (failure, ended) {
            (Some(reason), _) => Err(reason),
            (None, true) => Ok(()),
            // only the checkpoint is not done, and records do without it
            (None, false) if risk.changes == 0 => Ok(()),
            (None, false) => Err(format!(
                "the disk did not take the last records within {} s: {} changes may be lost",
                patience.as_secs(),
                risk.changes
            )),
        }
    }

    /// Lets go of what waited for records that are durable.
    pub(crate) fn release(&mut self) {
        let durable = self.exchange.fence.durable();
        while let Some((need, ..)) = self.held_answers.front()
            && *need <= durable
        {
            if let Some((_, waiter, answer)) = self.held_answers.pop_front() {
                waiter.answer(answer);
            }
        }
        self.flush_links();
        self.remotes.flush();
    }
}
