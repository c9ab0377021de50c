//! A copy of a store that a run goes on to write, elsewhere on this machine or on another disk.

use std::io;
use std::path::Path;

use super::files::Disk;
use super::store::{Store, StoreError, checkpoints_folder};
use super::{RecordNumber, ShardId};

/// Copies a store that nobody runs, as `Store::backup`. Gives the last record that is in the copy.
pub fn backup(dir: &Path, to: &Path) -> Result<RecordNumber, StoreError> {
    let store = Store::open_on(Disk::default(), dir, None)?;
    let shard = ShardId(0);
    store.backup(shard, to)?;
    let newest = store.head(shard);
    store.close()?;
    Ok(newest)
}

impl Store {
    /// Copies the checkpoints and the journal, as of now, into a folder that is made for them: durable on return, and
    /// complete once it has its name. The store's other writes wait meanwhile.
    ///
    /// Errors: there is something at `to` already, or it cannot be written.
    pub fn backup(&self, shard: ShardId, to: &Path) -> Result<(), StoreError> {
        let taken = std::fs::read_dir(to).map_or(to.exists(), |mut entries| entries.next().is_some());
        if taken {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "a backup goes into a new folder or an empty one");
            return Err(StoreError::io(to, "making the backup", &error));
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let partial = to.with_file_name(name);
        if partial.exists() {
            // of a backup that was cut off
            std::fs::remove_dir_all(&partial).map_err(|error| StoreError::io(&partial, "making the backup", &error))?;
        }
        let copied = self.copy_to(shard, &partial);
        let copied = copied.and_then(|()| {
            let io = |error| StoreError::io(to, "making the backup", &error);
            if to.exists() {
                std::fs::remove_dir(to).map_err(io)?;
            }
            self.disk().rename(&partial, to).map_err(io)?;
            let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.disk().sync_folder(parent).map_err(io)
        });
        if copied.is_err() {
            // what is left has a name that says what it is
            _ = std::fs::remove_dir_all(&partial);
        }
        copied
    }

    fn copy_to(&self, shard: ShardId, folder: &Path) -> Result<(), StoreError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| StoreError::io(&path, "making the backup", &error)
        };
        let checkpoints = checkpoints_folder(folder);
        std::fs::create_dir_all(&checkpoints).map_err(io(folder))?;
        for checkpoint in self.checkpoints(shard)? {
            let (from, to) =
                (checkpoints_folder(self.dir()).join(&checkpoint.folder), checkpoints.join(&checkpoint.folder));
            std::fs::create_dir(&to).map_err(io(&to))?;
            for part in &checkpoint.parts {
                let (from, to) = (from.join(&part.file), to.join(&part.file));
                // never changed in place, so that one file may be in both
                if std::fs::hard_link(&from, &to).is_err() {
                    std::fs::copy(&from, &to).map_err(io(&to))?;
                }
                self.disk().sync_file(&to).map_err(io(&to))?;
            }
            self.disk().sync_folder(&to).map_err(io(&to))?;
        }
        self.disk().sync_folder(&checkpoints).map_err(io(&checkpoints))?;
        self.backup_into(&folder.join("journal.sqlite"))
    }
}
