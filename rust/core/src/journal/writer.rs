//! The journal's thread: appends what the shard hands over, all that waits in one transaction, and says how far it is.
//! It owns the store; the shard never waits for a disk.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ecow::EcoString;

use super::bytes::In;
use super::checkpoint::{self, Job};
use super::fence::Fence;
use super::schema::Schema;
use super::small::Small;
use super::store::{Checkpoint, Record, Store, StoreError, checkpoints_folder};
use super::{Bounds, Epoch, Part, RecordNumber, ShardId, SlowSinks};
use crate::inbox::Wake;

/// Buffers of records kept for their memory.
const SPARES: usize = 4;
/// A larger buffer is not kept.
const LARGE: usize = 4 << 20;

/// What the shard asks of the thread.
enum Work {
    Append {
        number: RecordNumber,
        schema_number: u32,
        schema: Option<Schema>,
        body: Vec<u8>,
    },
    /// All records that were appended before it make up its state.
    Checkpoint(Box<Job>),
    Checkpointed {
        number: RecordNumber,
        outcome: Result<Vec<Part>, String>,
        folder: String,
        took: Duration,
    },
    /// A sink has what it wants up to there.
    Sink {
        name: EcoString,
        position: u64,
    },
    Backup {
        to: PathBuf,
        answer: SyncSender<Result<String, String>>,
    },
}

/// How the writer is doing.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Since the run's start.
    pub records: u64,
    pub bytes: u64,
    pub transactions: u64,
    /// The newest record that a durable checkpoint holds.
    pub checkpoint: u64,
    pub checkpoint_seconds: f64,
    /// Why the last checkpoint could not be written; records are kept meanwhile.
    pub problem: Option<String>,
    /// Bytes of records that no checkpoint holds.
    pub kept_bytes: u64,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    /// Bytes of records in `work`; the shard's pause bounds them.
    waiting: usize,
    spares: Vec<Vec<u8>>,
    progress: Progress,
    closing: bool,
    closed: bool,
    checkpointing: bool,
}

/// The shard, the writer's thread and a checkpoint's thread share it; the lock is held for a push or a pop.
struct Shared {
    state: Mutex<State>,
    news: Condvar,
    fence: Arc<Fence>,
    wake: Arc<Wake>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // every change of it is a single step: whoever panicked left it whole
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard's hold of the thread; dropping it without `close` leaves what waits unwritten.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread begins with.
pub struct Start {
    pub store: Store,
    pub shard: ShardId,
    pub epoch: Epoch,
    pub small: Small,
    /// The newest record of the store.
    pub newest: RecordNumber,
    pub checkpoint: Option<Checkpoint>,
    /// Bytes of the records behind it.
    pub kept: u64,
}

impl Writer {
    /// Errors: the system gives no thread.
    pub fn start(start: Start, bounds: &Bounds, fence: Arc<Fence>, wake: Arc<Wake>) -> std::io::Result<Writer> {
        let keep = Keep { bytes: bounds.journal_max_bytes, cut: bounds.slow_sinks == SlowSinks::Cut };
        fence.reach(start.newest.0);
        let shared = Arc::new(Shared { state: Mutex::default(), news: Condvar::new(), fence, wake });
        {
            let progress = &mut shared.lock().progress;
            progress.checkpoint = start.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.number.0);
            progress.kept_bytes = start.kept;
        }
        let here = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("shoal-journal".into()).spawn(move || {
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Thread::new(start, keep, &here).run()));
            if outcome.is_err() {
                here.fence.fail(
                    "the journal's thread has panicked: this is a bug of Shoal; what was durable is in the store"
                        .into(),
                );
            }
            here.lock().closed = true;
            here.news.notify_all();
            here.wake.ring();
        })?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    fn push(&self, work: Work) {
        self.shared.lock().work.push_back(work);
        self.shared.news.notify_all();
    }

    pub fn append(&self, number: RecordNumber, schema_number: u32, schema: Option<Schema>, body: Vec<u8>) {
        self.shared.lock().waiting += body.len();
        self.push(Work::Append { number, schema_number, schema, body });
    }

    pub fn checkpoint(&self, job: Job) {
        self.shared.lock().checkpointing = true;
        self.push(Work::Checkpoint(Box::new(job)));
    }

    pub fn sink(&self, name: &str, position: u64) {
        self.push(Work::Sink { name: name.into(), position });
    }

    pub fn backup(&self, to: PathBuf, answer: SyncSender<Result<String, String>>) {
        self.push(Work::Backup { to, answer });
    }

    /// An empty buffer for a record.
    pub fn spare(&self) -> Vec<u8> {
        self.shared.lock().spares.pop().unwrap_or_default()
    }

    pub fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.shared.lock();
        if state.spares.len() < SPARES && buffer.capacity() <= LARGE {
            state.spares.push(buffer);
        }
    }

    /// Bytes of records that the thread has still to append.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    pub fn is_checkpointing(&self) -> bool {
        self.shared.lock().checkpointing
    }

    /// Bytes of records that a checkpoint or a sink still needs.
    pub fn kept(&self) -> u64 {
        self.shared.lock().progress.kept_bytes
    }

    /// The last checkpoint could not be written.
    pub fn has_problem(&self) -> bool {
        self.shared.lock().progress.problem.is_some()
    }

    pub fn progress(&self) -> Progress {
        self.shared.lock().progress.clone()
    }

    /// Appends what waits, ends the thread and closes the store. False: it did not come to an end within `patience`.
    pub fn close(&mut self, patience: Duration) -> bool {
        self.shared.lock().closing = true;
        self.shared.news.notify_all();
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        while !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        true
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().work.clear();
        // what it is in the middle of is let to its end, so that the store is free; a disk that hangs is not waited for
        self.close(Duration::from_secs(5));
    }
}

/// Which records are kept for sinks.
#[derive(Clone, Copy)]
struct Keep {
    /// So many bytes …
    bytes: u64,
    /// … and beyond them the sinks are cut loose.
    cut: bool,
}

struct Thread<'a> {
    start: Start,
    keep: Keep,
    shared: &'a Arc<Shared>,
    /// The checkpoint in progress.
    job: Option<JoinHandle<()>>,
    /// How far sinks have come, until the next transaction.
    sinks: BTreeMap<EcoString, u64>,
}

impl<'a> Thread<'a> {
    fn new(start: Start, keep: Keep, shared: &'a Arc<Shared>) -> Self {
        Thread { start, keep, shared, job: None, sinks: BTreeMap::new() }
    }

    fn run(mut self) {
        loop {
            let work = {
                let mut state = self.shared.lock();
                loop {
                    if !state.work.is_empty() {
                        break;
                    }
                    if state.closing {
                        drop(state);
                        return self.end();
                    }
                    // a spurious wake-up costs nothing, a lost one a second
                    let waited = self.shared.news.wait_timeout(state, Duration::from_secs(1));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                std::mem::take(&mut state.work)
            };
            if let Err(error) = self.work_off(work) {
                self.shared.fence.fail(error.to_string());
                self.shared.wake.ring();
                return self.end();
            }
        }
    }

    fn end(&mut self) {
        if let Some(job) = self.job.take() {
            _ = job.join();
            let work = std::mem::take(&mut self.shared.lock().work);
            if self.shared.fence.failure().is_none() {
                // a checkpoint that is ready counts
                if let Err(error) = self.work_off(work) {
                    self.shared.fence.fail(error.to_string());
                }
            }
        }
    }

    /// Appends run together: one transaction for all that stand behind each other.
    fn work_off(&mut self, work: VecDeque<Work>) -> Result<(), StoreError> {
        let (mut records, mut schemas) = (Vec::new(), Vec::new());
        for work in work {
            match work {
                Work::Append { number, schema_number, schema, body } => {
                    if let Some(schema) = schema {
                        let text = serde_json::to_string(&schema).unwrap_or_default();
                        schemas.push((schema.number, text));
                    }
                    records.push((number, schema_number, body));
                }
                other => {
                    self.append(&mut records, &mut schemas)?;
                    self.other(other)?;
                }
            }
        }
        self.append(&mut records, &mut schemas)
    }

    fn append(
        &mut self,
        records: &mut Vec<(RecordNumber, u32, Vec<u8>)>,
        schemas: &mut Vec<(u32, String)>,
    ) -> Result<(), StoreError> {
        let Some(newest) = records.last().map(|(number, ..)| *number) else { return Ok(()) };
        let Start { store, shard, epoch, small, .. } = &mut self.start;
        for (name, position) in std::mem::take(&mut self.sinks) {
            store.put_sink(&name, position)?;
            if name == super::LETTERS {
                small.forget_letters(position);
            }
        }
        let rows: Vec<Record<'_>> =
            records.iter().map(|(number, schema, body)| Record { number: *number, schema: *schema, body }).collect();
        store.append(*shard, *epoch, &rows, schemas)?;
        schemas.clear();
        self.start.newest = newest;
        self.shared.fence.reach(newest.0);
        self.shared.wake.ring();
        // nobody waits for what follows
        self.start.store.settle()?;
        let bytes: usize = records.iter().map(|(.., body)| body.len()).sum();
        for (.., body) in records.iter() {
            // written by this very program a moment ago
            if self.start.small.read(&mut In::new(body)).is_err() {
                debug_assert!(false, "a record that cannot be read back");
            }
        }
        let mut state = self.shared.lock();
        state.waiting -= bytes;
        state.progress.records += records.len() as u64;
        state.progress.bytes += bytes as u64;
        state.progress.kept_bytes += bytes as u64;
        state.progress.transactions += 1;
        for (.., mut buffer) in records.drain(..) {
            buffer.clear();
            if state.spares.len() < SPARES && buffer.capacity() <= LARGE {
                state.spares.push(buffer);
            }
        }
        Ok(())
    }

    fn other(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Append { .. } => Ok(()),
            Work::Sink { name, position } => {
                // with the next records: until then the sink itself knows
                self.sinks.insert(name, position);
                Ok(())
            }
            Work::Checkpoint(job) => {
                self.begin_checkpoint(job);
                Ok(())
            }
            Work::Checkpointed { number, outcome, folder, took } => self.end_checkpoint(number, outcome, folder, took),
            Work::Backup { to, answer } => {
                let outcome = self.start.store.backup(self.start.shard, &to);
                let told = match outcome {
                    Ok(()) => Ok(format!("{}: all records up to {}", to.display(), self.start.newest.0)),
                    Err(error) => Err(error.to_string()),
                };
                // whoever asked may have gone
                _ = answer.try_send(told);
                Ok(())
            }
        }
    }

    fn begin_checkpoint(&mut self, mut job: Box<Job>) {
        let number = self.start.newest;
        if number.0 <= self.start.checkpoint.as_ref().map_or(0, |before| before.number.0) {
            // there is one of this very state
            self.shared.lock().checkpointing = false;
            return;
        }
        let mut out = super::bytes::Out::default();
        self.start.small.write(&mut out);
        job.small = out.0;
        let folders = checkpoints_folder(self.start.store.dir());
        let name = format!("{:012}", number.0);
        let folder = folders.join(&name);
        job.previous =
            self.start.checkpoint.as_ref().map(|before| (folders.join(&before.folder), before.parts.clone()));
        let disk = self.start.store.disk().clone();
        if folder.exists() {
            // of a run that ended before it became valid
            _ = disk.remove_folder(&folder);
        }
        let shared = Arc::clone(self.shared);
        let spawned = std::thread::Builder::new().name("shoal-checkpoint".into()).spawn(move || {
            let begun = Instant::now();
            let written =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checkpoint::write(&disk, &folder, *job)));
            let outcome = match written {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_) => Err("the checkpoint's thread has panicked: this is a bug of Shoal".to_owned()),
            };
            let took = begun.elapsed();
            shared.lock().work.push_back(Work::Checkpointed { number, outcome, folder: name, took });
            shared.news.notify_all();
        });
        match spawned {
            Ok(job) => self.job = Some(job),
            Err(error) => self.checkpoint_failed(format!("no thread could be started: {error}")),
        }
    }

    fn checkpoint_failed(&self, reason: String) {
        let mut state = self.shared.lock();
        state.checkpointing = false;
        state.progress.problem = Some(reason);
        drop(state);
        self.shared.wake.ring();
    }

    fn end_checkpoint(
        &mut self,
        number: RecordNumber,
        outcome: Result<Vec<Part>, String>,
        folder: String,
        took: Duration,
    ) -> Result<(), StoreError> {
        if let Some(job) = self.job.take() {
            _ = job.join();
        }
        let parts = match outcome {
            Ok(parts) => parts,
            Err(reason) => {
                self.checkpoint_failed(reason);
                return Ok(());
            }
        };
        let Start { store, shard, epoch, checkpoint: latest, .. } = &mut self.start;
        let checkpoint = Checkpoint { number, folder, parts };
        store.put_checkpoint(*shard, *epoch, &checkpoint)?;
        // the checkpoint before it stays, with the records behind it: a damaged one can be done without
        let before = latest.replace(checkpoint).map_or(0, |before| before.number.0);
        let slowest = store.sinks()?.into_iter().filter(|(name, _)| name != super::LETTERS).map(|(_, at)| at).min();
        let slowest = slowest.unwrap_or(u64::MAX);
        let mut through = before.min(slowest);
        let behind = store.bytes_since(*shard, RecordNumber(number.0.min(slowest)))?;
        let is_cut = self.keep.cut && behind > self.keep.bytes;
        if is_cut {
            // a sink that reads on from there is told so
            through = before;
        }
        store.prune(*shard, *epoch, RecordNumber(through))?;
        let kept = if is_cut { store.bytes_since(*shard, number)? } else { behind };
        let keep: Vec<PathBuf> = store.checkpoints(*shard)?.iter().map(|kept| PathBuf::from(&kept.folder)).collect();
        // a folder that stays takes room and does no harm; the next checkpoint tries again
        _ = checkpoint::tidy(store.disk(), &checkpoints_folder(store.dir()), &keep);
        let mut state = self.shared.lock();
        state.checkpointing = false;
        state.progress.problem = None;
        state.progress.checkpoint = number.0;
        state.progress.checkpoint_seconds = took.as_secs_f64();
        state.progress.kept_bytes = kept;
        drop(state);
        // the shard may wait for room
        self.shared.wake.ring();
        Ok(())
    }
}
