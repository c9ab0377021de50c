//! A file of a checkpoint: written with its checksum, read back against it, linked from the checkpoint before.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema as Shape, SchemaRef};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::error::CheckpointError;
use crate::journal::Part;
use crate::journal::files::{Disk, NewFile};

/// Bytes that are gathered before they go to the system.
const BUFFER: usize = 256 << 10;

/// Counts and hashes what is written.
struct Sealing {
    output: NewFile,
    hasher: Xxh3,
    bytes: u64,
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The folder of a checkpoint that is being written, and the one before it.
pub(super) struct Folder<'a> {
    pub files: &'a Disk,
    pub path: PathBuf,
    pub parts: Vec<Part>,
    pub previous: Option<(PathBuf, Vec<Part>)>,
}

impl Folder<'_> {
    /// Writes a file and has it on the disk.
    pub fn write(
        &mut self,
        name: String,
        fill: impl FnOnce(&mut dyn Write, &Path) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let path = self.path.join(&name);
        let output = self.files.create(&path).map_err(|error| CheckpointError::write(&path, "made", error))?;
        let sealing = Sealing { output, hasher: Xxh3::new(), bytes: 0 };
        let mut writer = BufWriter::with_capacity(BUFFER, sealing);
        fill(&mut writer, &path)?;
        let written = writer.into_inner().map_err(io::IntoInnerError::into_error);
        let mut sealing = written.map_err(|error| CheckpointError::write(&path, "written", error))?;
        sealing.output.sync().map_err(|error| CheckpointError::write(&path, "synced", error))?;
        self.parts.push(Part { file: name, bytes: sealing.bytes, checksum: sealing.hasher.digest() });
        Ok(())
    }

    /// Writes a table, if there is one, as an Arrow IPC file. `same`: nothing of it has changed since the checkpoint before,
    /// whose file will do if it has this shape.
    pub fn write_table(
        &mut self,
        name: String,
        same: Option<Shape>,
        table: impl FnOnce() -> Result<Option<RecordBatch>, ArrowError>,
    ) -> Result<(), CheckpointError> {
        if let Some(shape) = same
            && self.take_over(&name, &shape)?
        {
            return Ok(());
        }
        let made = table().map_err(|error| CheckpointError::arrow(&self.path.join(&name), error))?;
        let Some(table) = made else { return Ok(()) };
        self.write(name, |out, path| {
            let write = || {
                let options = IpcWriteOptions::default().try_with_compression(compression())?;
                let mut writer = FileWriter::try_new_with_options(out, &table.schema(), options)?;
                writer.write(&table)?;
                writer.finish()
            };
            write().map_err(|error| CheckpointError::arrow(path, error))
        })
    }

    /// Takes a file over from the checkpoint before, if it is there and a table of this shape. False: it has to be written.
    fn take_over(&mut self, name: &str, shape: &Shape) -> Result<bool, CheckpointError> {
        let Some((folder, parts)) = &self.previous else { return Ok(false) };
        let Some(part) = parts.iter().find(|part| part.file == name) else { return Ok(false) };
        let (old, new) = (folder.join(name), self.path.join(name));
        if shape_of(&old).is_none_or(|found| *found != *shape) {
            return Ok(false);
        }
        let part = part.clone();
        if self.files.link(&old, &new).is_ok() {
            self.parts.push(part);
            return Ok(true);
        }
        // a file system without links, or a file with too many; what is damaged by now is written anew
        let Ok(bytes) = read(&old, &part) else { return Ok(false) };
        let copied = self.write(name.to_owned(), |out, path| {
            out.write_all(&bytes).map_err(|error| CheckpointError::write(path, "copied", error))
        });
        copied.map(|()| true)
    }
}

fn compression() -> Option<CompressionType> {
    Some(CompressionType::LZ4_FRAME)
}

/// The shape of an Arrow IPC file, from its end. None: it cannot be read.
fn shape_of(path: &Path) -> Option<SchemaRef> {
    FileReader::try_new(fs::File::open(path).ok()?, None).ok().map(|reader| reader.schema())
}

/// All bytes of a file. Errors: they are not those that were written.
pub(super) fn read(path: &Path, part: &Part) -> Result<Vec<u8>, CheckpointError> {
    let failed = |error| CheckpointError::read(path, error);
    let mut file = fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length != part.bytes {
        return Err(CheckpointError::damaged(path, format!("it has {length} bytes where {} were written", part.bytes)));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != part.bytes || xxh3_64(&bytes) != part.checksum {
        return Err(CheckpointError::damaged(path, "its checksum is not that of what was written"));
    }
    Ok(bytes)
}

/// Compares a file with what was written, a part at a time.
pub(super) fn verify(path: &Path, part: &Part) -> Result<(), CheckpointError> {
    let failed = |error| CheckpointError::read(path, error);
    let mut file = fs::File::open(path).map_err(failed)?;
    let (mut hasher, mut buffer, mut bytes) = (Xxh3::new(), vec![0; BUFFER], 0u64);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if bytes != part.bytes {
        return Err(CheckpointError::damaged(path, format!("it has {bytes} bytes where {} were written", part.bytes)));
    }
    if hasher.digest() != part.checksum {
        return Err(CheckpointError::damaged(path, "its checksum is not that of what was written"));
    }
    Ok(())
}
