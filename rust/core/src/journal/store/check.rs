//! What `shoal store check` and `shoal store compact` do: everything is verified; what nobody needs any more goes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::folder::Folder;
use super::{Cut, Store, StoreError, opening};
use crate::journal::files::Disk;
use crate::journal::{Epoch, Part, RecordNumber, ShardId};

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    pub app: String,
    pub shards: Vec<ShardReport>,
    pub checkpoints: Vec<CheckpointReport>,
    /// Folders below `checkpoints/` that no row makes valid: harmless, `compact` removes them.
    pub orphans: Vec<String>,
    pub cut: Option<Cut>,
    /// Sentences; none: all is as it was written.
    pub problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShardReport {
    pub shard: ShardId,
    pub epoch: Epoch,
    /// The records that are held: from `first` to `last`; none if `first` is the greater.
    pub first: RecordNumber,
    pub last: RecordNumber,
    pub bytes: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckpointReport {
    pub shard: ShardId,
    pub number: RecordNumber,
    pub folder: String,
    pub bytes: u64,
}

/// What `compact` has won.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compacted {
    /// Of the journal's file.
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub orphans: Vec<String>,
}

/// Opens the store as a run does, and so cuts a torn tail as well; reads and verifies every byte of it. An error is
/// what has nothing to do with damage.
pub fn check(dir: &Path) -> Result<Report, StoreError> {
    check_on(Disk::default(), dir)
}

pub(super) fn check_on(disk: Disk, dir: &Path) -> Result<Report, StoreError> {
    match Store::open_on(disk, dir, None) {
        Ok(store) => store.check(),
        Err(error @ StoreError::Damaged { .. }) => {
            Ok(Report { problems: vec![error.to_string()], ..Report::default() })
        }
        Err(error) => Err(error),
    }
}

/// Lets go what two checkpoints and all sinks have passed, removes folders that no row names, and gives the journal's
/// free pages back to the file system.
pub fn compact(dir: &Path) -> Result<Compacted, StoreError> {
    let mut store = Store::open_on(Disk::default(), dir, None)?;
    let journal = store.folder.journal();
    let size = |doing| {
        fs::metadata(&journal).map(|there| there.len()).map_err(|error| StoreError::io(&journal, doing, &error))
    };
    let bytes_before = size("measuring the journal")?;
    let passed = store.sinks()?.values().copied().min().unwrap_or(u64::MAX);
    let heads: Vec<(ShardId, Epoch)> = store.heads.iter().map(|(shard, head)| (*shard, head.epoch)).collect();
    for (shard, epoch) in heads {
        if let [_, earlier] = store.checkpoints(shard)?.as_slice() {
            let through = RecordNumber(earlier.number.0.min(passed));
            store.prune(shard, epoch, through)?;
        }
    }
    let orphans = store.orphans()?;
    for orphan in &orphans {
        let path = store.folder.checkpoints().join(orphan);
        let removed = if path.is_dir() { store.disk().remove_folder(&path) } else { store.disk().remove(&path) };
        removed.map_err(|error| StoreError::io(&path, "removing what no checkpoint names", &error))?;
    }
    store.settle()?;
    let vacuumed =
        store.connection.execute_batch("VACUUM").and_then(|()| opening::settle(&store.connection, "TRUNCATE"));
    store.noted("compacting the journal", vacuumed)?;
    let bytes_after = size("measuring the journal")?;
    store.close()?;
    Ok(Compacted { bytes_before, bytes_after, orphans })
}

impl Store {
    /// Everything that is to be read, verified.
    pub fn check(&self) -> Result<Report, StoreError> {
        let mut report = Report { app: self.app.clone(), cut: self.cut, ..Report::default() };
        for (shard, head) in &self.heads {
            let mut bytes = 0;
            let first = RecordNumber(head.pruned.0 + 1);
            let read = self.read(*shard, first, |_, _, body| {
                bytes += body.len() as u64;
                Ok::<(), StoreError>(())
            });
            damage(read, &mut report.problems)?;
            let (epoch, last) = (head.epoch, head.number);
            report.shards.push(ShardReport { shard: *shard, epoch, first, last, bytes });
            for checkpoint in self.checkpoints(*shard)? {
                let folder = self.folder.checkpoints().join(&checkpoint.folder);
                for part in &checkpoint.parts {
                    if let Some(what) = part_damage(&folder, part) {
                        let what = format!("checkpoints/{}/{}: {what}", checkpoint.folder, part.file);
                        report.problems.push(self.folder.damaged(what).to_string());
                    }
                }
                let bytes = checkpoint.parts.iter().map(|part| part.bytes).sum();
                let (number, folder) = (checkpoint.number, checkpoint.folder);
                report.checkpoints.push(CheckpointReport { shard: *shard, number, folder, bytes });
            }
        }
        report.orphans = self.orphans()?;
        Ok(report)
    }

    fn orphans(&self) -> Result<Vec<String>, StoreError> {
        let mut named = Vec::new();
        for shard in self.heads.keys() {
            named.extend(self.checkpoints(*shard)?.into_iter().map(|checkpoint| checkpoint.folder));
        }
        let found = folders(&self.folder)
            .map_err(|error| StoreError::io(&self.folder.checkpoints(), "listing the checkpoints", &error))?;
        Ok(found.into_iter().filter(|folder| !named.contains(folder)).collect())
    }
}

/// Damage is a problem to be told, anything else an error.
fn damage(read: Result<(), StoreError>, problems: &mut Vec<String>) -> Result<(), StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => problems.push(error.to_string()),
        other => other?,
    }
    Ok(())
}

/// In the order of their names.
fn folders(folder: &Folder) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder.checkpoints()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

/// None: the file of a checkpoint's folder is as it was written.
pub(in crate::journal) fn part_damage(folder: &Path, part: &Part) -> Option<String> {
    let measured = || -> io::Result<(u64, u64)> {
        let mut file = File::open(folder.join(&part.file))?;
        let (mut sum, mut length, mut buffer) = (Xxh3::new(), 0, vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((length, sum.digest())),
                read => {
                    sum.update(&buffer[..read]);
                    length += read as u64;
                }
            }
        }
    };
    match measured() {
        Err(error) => Some(error.to_string()),
        Ok((length, _)) if length != part.bytes => Some(format!("{length} bytes instead of {}", part.bytes)),
        Ok((_, checksum)) if checksum != part.checksum => Some("its checksum is another".into()),
        Ok(_) => None,
    }
}
