//! A SQLite VFS over the default one: each step of SQLite's goes to a tape. Its files have no shared memory, which a
//! connection with exclusive locking does not ask for.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use super::tape::{Failure, Tape};
use crate::journal::files::Step;

/// Registered while this lives.
#[derive(Debug)]
pub(super) struct Vfs {
    name: CString,
    vfs: *mut sqlite3_vfs,
}

// SAFETY: the pointer is only used to unregister; SQLite guards its list of VFSs by a mutex of its own.
unsafe impl Send for Vfs {}
// SAFETY: as above.
unsafe impl Sync for Vfs {}

/// What SQLite takes for its file; the default VFS's file lies behind it.
#[repr(C)]
struct File {
    methods: *const sqlite3_io_methods,
    tape: *const Tape,
    /// Boxed; null: a temporary file of SQLite's own, of which nothing is written down.
    path: *mut PathBuf,
    /// A log just made: the default VFS syncs its folder with the first sync of the file.
    new: bool,
}

impl Vfs {
    /// The tape must outlive every connection by it; it owns this.
    pub fn register(tape: *const Tape) -> Vfs {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = CString::new(format!("tape-{}", NUMBER.fetch_add(1, Ordering::Relaxed))).expect("no NUL");
        // SAFETY: the default VFS is there for ever; what is registered stays allocated until it is unregistered.
        let vfs = unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            let mut vfs: sqlite3_vfs = *real;
            vfs.iVersion = 2;
            vfs.szOsFile = size_of::<File>() as c_int + (*real).szOsFile;
            vfs.pNext = ptr::null_mut();
            vfs.zName = name.as_ptr();
            vfs.pAppData = tape.cast_mut().cast();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            let vfs = Box::into_raw(Box::new(vfs));
            assert_eq!(ffi::sqlite3_vfs_register(vfs, 0), ffi::SQLITE_OK);
            vfs
        };
        Vfs { name, vfs }
    }

    pub fn name(&self) -> &str {
        self.name.to_str().expect("ASCII")
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        // SAFETY: made by `register`, and no connection is left.
        unsafe {
            ffi::sqlite3_vfs_unregister(self.vfs);
            drop(Box::from_raw(self.vfs));
        }
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

unsafe fn default() -> *mut sqlite3_vfs {
    unsafe { ffi::sqlite3_vfs_find(ptr::null()) }
}

unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    unsafe { file.cast::<u8>().add(size_of::<File>()).cast() }
}

unsafe fn path_of(name: *const c_char) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()))
}

/// Calls a method of the default VFS's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        unsafe {
            let file = real($file);
            ((*(*file).pMethods).$method.expect("the default VFS has it"))(file $(, $argument)*)
        }
    };
}

fn code(failure: Failure, io: c_int) -> c_int {
    match failure {
        Failure::Short | Failure::NoSpace => ffi::SQLITE_FULL,
        Failure::Write | Failure::Sync | Failure::Links => io,
    }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a file of `szOsFile` bytes; pAppData is the tape, which lives.
    unsafe {
        let taped: *mut File = file.cast();
        (*taped).methods = ptr::null();
        let tape: *const Tape = (*vfs).pAppData.cast();
        let path = if name.is_null() { None } else { Some(path_of(name)) };
        let fresh = path.as_ref().filter(|path| flags & ffi::SQLITE_OPEN_CREATE != 0 && !path.exists());
        if let Some(path) = fresh
            && let Some(failure) = (*tape).refusal(&Step::Create(path.clone()))
        {
            return code(failure, ffi::SQLITE_CANTOPEN);
        }
        let default = default();
        let opened = (*default).xOpen.expect("xOpen")(default, name, real(file), flags, out);
        if opened != ffi::SQLITE_OK {
            let real = real(file);
            if let Some(methods) = (*real).pMethods.as_ref() {
                methods.xClose.expect("xClose")(real);
            }
            return opened;
        }
        let new = fresh.is_some();
        if let Some(path) = fresh {
            (*tape).note(Step::Create(path.clone()));
        }
        (*taped).tape = tape;
        (*taped).new = new && flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
        (*taped).path = path.map_or(ptr::null_mut(), |path| Box::into_raw(Box::new(path)));
        (*taped).methods = &METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let tape: *const Tape = (*vfs).pAppData.cast();
        let path = path_of(name);
        if let Some(failure) = (*tape).refusal(&Step::Remove(path.clone())) {
            return code(failure, ffi::SQLITE_IOERR_DELETE);
        }
        let default = default();
        let there = path.exists();
        let deleted = (*default).xDelete.expect("xDelete")(default, name, sync_folder);
        if deleted == ffi::SQLITE_OK && there {
            (*tape).note(Step::Remove(path.clone()));
            if sync_folder != 0 {
                (*tape).note(Step::SyncFolder(path.parent().unwrap_or(Path::new("/")).into()));
            }
        }
        deleted
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` has made the path; SQLite closes once.
    unsafe {
        let taped: *mut File = file.cast();
        if !(*taped).path.is_null() {
            drop(Box::from_raw((*taped).path));
            (*taped).path = ptr::null_mut();
        }
    }
    pass!(file, xClose)
}

/// The tape and the path of a file that has one.
unsafe fn taped<'a>(file: *mut sqlite3_file) -> Option<(&'a Tape, &'a Path)> {
    unsafe {
        let taped: *mut File = file.cast();
        (!(*taped).path.is_null()).then(|| (&*(*taped).tape, (*(*taped).path).as_path()))
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, size: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `size` bytes.
    let Some((tape, path)) = (unsafe { taped(file) }) else { return pass!(file, xWrite, bytes, size, at) };
    let all = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) };
    let step = |bytes: &[u8]| Step::Write { path: path.into(), at: at as u64, bytes: bytes.to_vec() };
    match tape.refusal(&step(&[])) {
        Some(Failure::Short) => {
            let half = size / 2;
            if pass!(file, xWrite, bytes, half, at) == ffi::SQLITE_OK {
                tape.note(step(&all[..half as usize]));
            }
            return ffi::SQLITE_FULL;
        }
        Some(failure) => return code(failure, ffi::SQLITE_IOERR_WRITE),
        None => {}
    }
    let written = pass!(file, xWrite, bytes, size, at);
    if written == ffi::SQLITE_OK {
        tape.note(step(all));
    }
    written
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: a file of `open`'s.
    let Some((tape, path)) = (unsafe { taped(file) }) else { return pass!(file, xTruncate, length) };
    let step = Step::Truncate { path: path.into(), length: length as u64 };
    if let Some(failure) = tape.refusal(&step) {
        return code(failure, ffi::SQLITE_IOERR_TRUNCATE);
    }
    let done = pass!(file, xTruncate, length);
    if done == ffi::SQLITE_OK {
        tape.note(step);
    }
    done
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: a file of `open`'s.
    let Some((tape, path)) = (unsafe { taped(file) }) else { return pass!(file, xSync, flags) };
    let step = Step::Sync(path.into());
    if tape.refusal(&step).is_some() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // The machine's disk is not asked: what is on the tape is what counts.
    tape.note(step);
    let taped: *mut File = file.cast();
    // SAFETY: as above.
    if std::mem::take(unsafe { &mut (*taped).new }) {
        tape.note(Step::SyncFolder(path.parent().unwrap_or(Path::new("/")).into()));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, size: c_int, at: sqlite3_int64) -> c_int {
    pass!(file, xRead, into, size, at)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    pass!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}
