//! A look at the first records of a source before anybody knows what they are: kept, and handed over to the shard's
//! queue afterwards, so that standard input can be looked at, too.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Intake, Shape};
use crate::decode::row_tree;
use crate::decode::write_json;
use crate::inbox::SourceQueue;
use crate::source::{self, FileSpec};

/// Bytes of records that a look keeps; the reader waits when they are reached.
const BOUND: usize = 64 << 20;

#[derive(Default)]
struct Looked {
    batches: Vec<Batch>,
    records: usize,
    bytes: usize,
    /// Records that are asked for.
    wanted: usize,
    outcome: Option<Result<(), String>>,
    queue: Option<Arc<SourceQueue>>,
    closed: bool,
}

impl Looked {
    fn full(&self) -> bool {
        self.records >= self.wanted || self.bytes >= BOUND
    }
}

/// What reader and looker share; the lock is held for single steps, and while records are copied out.
#[derive(Default)]
struct Table {
    looked: Mutex<Looked>,
    changed: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Looked> {
        // single steps leave it whole whoever panics
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake for Table {
    fn offer(&self, batch: Batch) -> bool {
        let mut looked = self.lock();
        while looked.full() && looked.queue.is_none() && !looked.closed {
            looked = self.changed.wait(looked).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(queue) = looked.queue.clone() {
            drop(looked);
            return queue.offer(batch);
        }
        looked.records += batch.records.len();
        looked.bytes += batch.bytes.len();
        looked.batches.push(batch);
        self.changed.notify_all();
        !looked.closed
    }

    fn spare(&self) -> Option<Batch> {
        let queue = self.lock().queue.clone();
        queue.and_then(|queue| queue.spare())
    }

    fn finish(&self, outcome: Result<(), String>) {
        let mut looked = self.lock();
        match looked.queue.clone() {
            Some(queue) => {
                drop(looked);
                queue.finish(outcome);
            }
            None => {
                looked.outcome = Some(outcome);
                self.changed.notify_all();
            }
        }
    }
}

/// A source that has been opened to be looked at.
pub struct Preview {
    table: Arc<Table>,
    reader: Option<JoinHandle<()>>,
}

impl Preview {
    /// Opens the source. Errors: as `source::spawn`.
    pub fn open(spec: FileSpec) -> std::io::Result<Self> {
        let table = Arc::new(Table::default());
        let reader = Some(source::spawn(spec, Arc::clone(&table) as Arc<dyn Intake>)?);
        Ok(Preview { table, reader })
    }

    /// Records `from..to` as JSON texts, those that the reader could not make out left out: waits until they are there,
    /// the source has ended, or `patience` is over. A row is an object of its texts.
    ///
    /// Errors: the source cannot be read any further.
    pub fn look(&self, from: usize, to: usize, patience: Duration) -> Result<Vec<Vec<u8>>, String> {
        let end = Instant::now() + patience;
        let mut looked = self.table.lock();
        looked.wanted = looked.wanted.max(to);
        self.table.changed.notify_all();
        while !looked.full() && looked.outcome.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            looked = self.table.changed.wait_timeout(looked, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(Err(reason)) = &looked.outcome {
            return Err(reason.clone());
        }
        let spans = looked.batches.iter().flat_map(|batch| batch.records.iter().map(move |span| (batch, span)));
        Ok(spans
            .take(to)
            .skip(from)
            .filter(|(_, span)| span.problem.is_none())
            .map(|(batch, span)| {
                let bytes = &batch.bytes[span.start as usize..span.end as usize];
                match &batch.shape {
                    Shape::Json => bytes.to_vec(),
                    Shape::Row(header) => {
                        let mut out = Vec::new();
                        write_json(&row_tree(header, bytes), &mut out);
                        out
                    }
                }
            })
            .collect())
    }

    /// The columns' names, where records are rows of delimited text.
    pub fn header(&self) -> Option<Vec<String>> {
        match &self.table.lock().batches.first()?.shape {
            Shape::Row(header) => Some(header.iter().map(|name| name.to_string()).collect()),
            Shape::Json => None,
        }
    }

    /// How many records there are in all, if the source has been read to its end.
    pub fn total(&self) -> Option<usize> {
        let looked = self.table.lock();
        looked.outcome.as_ref().map(|_| looked.records)
    }

    /// Gives what has been read to a shard's queue, and all that follows.
    pub(crate) fn hand_over(mut self, queue: &Arc<SourceQueue>) -> Option<JoinHandle<()>> {
        let mut looked = self.table.lock();
        for batch in looked.batches.drain(..) {
            queue.push(batch);
        }
        if let Some(outcome) = looked.outcome.take() {
            queue.finish(outcome);
        }
        looked.queue = Some(Arc::clone(queue));
        self.table.changed.notify_all();
        drop(looked);
        self.reader.take()
    }
}

impl Drop for Preview {
    fn drop(&mut self) {
        // a reader that is blocked in a read of a pipe ends with the process
        self.table.lock().closed = true;
        self.table.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{Taken, Wake};

    #[test]
    fn what_was_looked_at_is_handed_over_in_order() {
        let path = std::env::temp_dir().join(format!("shoal-preview-{}.csv", std::process::id()));
        let rows: String = (0..50_000).map(|i| format!("m{},{i}\n", i % 7)).collect();
        std::fs::write(&path, format!("id,x\n{rows}")).unwrap();
        let preview = Preview::open(FileSpec::new(path.to_str().unwrap())).unwrap();
        let first = preview.look(0, 2, Duration::from_secs(10)).unwrap();
        assert_eq!(first, [br#"{"id":"m0","x":"0"}"#.to_vec(), br#"{"id":"m1","x":"1"}"#.to_vec()]);
        assert_eq!(preview.look(9_999, 10_001, Duration::from_secs(10)).unwrap().len(), 2);
        assert_eq!(preview.header(), Some(vec!["id".to_string(), "x".to_string()]));
        let queue = Arc::new(SourceQueue::new(Arc::new(Wake::new().unwrap())));
        let reader = preview.hand_over(&queue);
        let mut next = 2;
        loop {
            match queue.take() {
                Taken::Batch(batch) => {
                    for span in batch.records {
                        assert_eq!(span.position, next);
                        next += 1;
                    }
                }
                Taken::Empty => std::thread::yield_now(),
                Taken::Finished(outcome) => break assert_eq!(outcome, Ok(())),
            }
        }
        assert_eq!(next, 50_002);
        reader.unwrap().join().unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_look_that_is_dropped_ends_its_reader() {
        let path = std::env::temp_dir().join(format!("shoal-preview-{}.jsonl", std::process::id()));
        std::fs::write(&path, "{\"id\":1}\n".repeat(100_000)).unwrap();
        let mut preview = Preview::open(FileSpec::new(path.to_str().unwrap())).unwrap();
        assert_eq!(preview.look(0, 10, Duration::from_secs(10)).unwrap().len(), 10);
        let reader = preview.reader.take().unwrap();
        drop(preview);
        reader.join().unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
