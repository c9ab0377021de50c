//! SQLite's write-ahead log, read before SQLite does: it ends the log at the first frame whose checksum is wrong, and
//! says nothing, be it the tail of a transaction that a power cut left unfinished, or damage with synced transactions
//! behind it. The format is sqlite.org/fileformat2.html#walformat.
//!
//! `store` sees to it that each transaction writes one page that all of them write, and none writes a page twice, so
//! that a page number that comes again is another transaction. It was begun after the one before was synced: then what
//! does not verify before it is damage. A sector of 512 bytes is taken to be written whole or not at all.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::files::{Disk, absent};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const SECTOR: usize = 512;

/// `0x377f0682`; the last bit says that the checksums read words as big-endian.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// What of a log is whole.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Log {
    /// Up to and with the last frame of the last whole transaction, or the header; empty: there is no log.
    pub whole: Vec<u8>,
    /// The bytes of one unfinished transaction behind it.
    pub torn: u64,
    /// Why it is not one unfinished transaction that is behind it.
    pub damage: Option<String>,
}

/// A checksum: two words, each step of which depends on the one before.
type Sums = (u32, u32);

struct Header {
    /// The checksums read words as big-endian.
    big: bool,
    /// Of this use of the file: frames of an earlier one, further behind, have others.
    salts: [u8; 8],
    sums: Sums,
}

struct Frame<'a> {
    bytes: &'a [u8],
    /// A power cut may have left its first 8 bytes as they were before, and the rest new.
    divided: bool,
}

impl Log {
    /// `page`: the size of a page of the file that the log belongs to.
    pub fn scan(path: &Path, page: u32) -> io::Result<Log> {
        match fs::read(path) {
            Ok(bytes) => Ok(Log::of(bytes, page as usize)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Log::default()),
            Err(error) => Err(error),
        }
    }

    fn of(mut bytes: Vec<u8>, page: usize) -> Log {
        // SQLite syncs the header before it writes a frame: a short one has nothing behind it that could be lost.
        if bytes.len() <= HEADER {
            return Log::default();
        }
        let Some(header) = Header::read(&bytes, page) else {
            return Log { damage: Some("its header is not readable".into()), ..Log::default() };
        };
        let frames = Frame::all(&bytes[HEADER..], page);
        let rest = &bytes[HEADER + frames.len() * (FRAME_HEADER + page)..];
        let mut sums = header.sums;
        let mut verified = 0;
        let mut whole = 0;
        for frame in &frames {
            sums = frame.sum(&header, sums);
            if *frame.salts() != header.salts || frame.page() == 0 || frame.sums() != sums {
                break;
            }
            verified += 1;
            if frame.commit() {
                whole = verified;
            }
        }
        let end = HEADER + whole * (FRAME_HEADER + page);
        let (torn, damage) = header.tail(&frames[whole..], rest, verified - whole);
        drop(frames);
        bytes.truncate(end);
        Log { whole: bytes, torn, damage }
    }

    /// The log as it would be if no frame of it were damaged, for a repair, which verifies whatever it reads: with the
    /// marks and checksums that its frames should have, up to the last end of a transaction; and whether it is sure
    /// which frames are its own.
    pub fn trusting(bytes: &[u8], page: usize) -> (Vec<u8>, bool) {
        let Some(first) = bytes.get(HEADER..HEADER + FRAME_HEADER) else { return (Vec::new(), bytes.is_empty()) };
        let readable = Header::read(bytes, page).is_some();
        let salts = if readable { &bytes[16..24] } else { &first[8..16] };
        let sure = *salts == bytes[16..24];
        let mut log = Vec::with_capacity(bytes.len());
        for number in [MAGIC, VERSION, page as u32, 0] {
            log.extend(number.to_be_bytes());
        }
        log.extend(salts);
        let mut header = Header { big: false, salts: [0; 8], sums: (0, 0) };
        header.salts.copy_from_slice(salts);
        let mut sums = header.sum(&log, (0, 0));
        log.extend(sums.0.to_be_bytes());
        log.extend(sums.1.to_be_bytes());
        let mut whole = log.len();
        let frames = Frame::all(&bytes[HEADER..], page);
        let own = frames.iter().rposition(|frame| frame.marks(&header) == 2).map_or(0, |last| last + 1);
        for frame in &frames[..own] {
            let mut begin = [0; 8];
            begin.copy_from_slice(&frame.bytes[..8]);
            if frame.page() == 0 {
                // SQLite would end the log here; a page that no table has is in nobody's way.
                begin[..4].copy_from_slice(&i32::MAX.to_be_bytes());
            }
            sums = header.sum(&frame.bytes[FRAME_HEADER..], header.sum(&begin, sums));
            log.extend(begin);
            log.extend(salts);
            log.extend(sums.0.to_be_bytes());
            log.extend(sums.1.to_be_bytes());
            log.extend(&frame.bytes[FRAME_HEADER..]);
            if frame.commit() {
                whole = log.len();
            }
        }
        log.truncate(whole);
        (log, sure)
    }

    /// Leaves the whole part alone in the file: a new file, since what a failed sync left is not sure to be on the
    /// disk although it can be read.
    pub fn keep(&self, disk: &Disk, path: &Path) -> io::Result<()> {
        let new = path.with_file_name("journal.sqlite-wal.new");
        absent(disk.remove(&new))?;
        if self.whole.len() <= HEADER {
            return absent(disk.remove(path));
        }
        let mut file = disk.create(&new)?;
        file.write_all(&self.whole)?;
        file.sync()?;
        drop(file);
        disk.rename(&new, path)?;
        disk.sync_folder(path.parent().unwrap_or(path))
    }
}

impl Header {
    /// None: not one, or not of a file with such pages.
    fn read(bytes: &[u8], page: usize) -> Option<Header> {
        let magic = word(bytes, 0);
        let size = word(bytes, 8) as usize;
        let mut salts = [0; 8];
        salts.copy_from_slice(bytes.get(16..24)?);
        let mut header = Header { big: magic & 1 == 1, salts, sums: (0, 0) };
        header.sums = header.sum(&bytes[..24], (0, 0));
        let known = magic & !1 == MAGIC && word(bytes, 4) == VERSION && size == page;
        (known && header.sums == (word(bytes, 24), word(bytes, 28))).then_some(header)
    }

    fn sum(&self, bytes: &[u8], sums: Sums) -> Sums {
        let word = if self.big { u32::from_be_bytes } else { u32::from_le_bytes };
        bytes.as_chunks::<8>().0.iter().fold(sums, |(first, second), [a, b, c, d, e, f, g, h]| {
            let first = first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(second);
            (first, second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(first))
        })
    }

    /// What follows the last whole transaction, its bytes and what is wrong with it.
    fn tail(&self, frames: &[Frame], rest: &[u8], verified: usize) -> (u64, Option<String>) {
        let mut torn = 0;
        let mut pages = HashSet::new();
        let mut committed = false;
        for (at, frame) in frames.iter().enumerate() {
            match frame.marks(self) {
                0 => continue,
                1 => return (torn, Some(format!("page {} in it has half of a mark", frame.page()))),
                _ => {}
            }
            if committed {
                return (torn, Some("a transaction in it that was saved does not verify".into()));
            }
            torn += frame.bytes.len() as u64;
            if frame.divided && at >= verified {
                continue;
            }
            if !pages.insert(frame.page()) {
                return (torn, Some("a transaction in it that was saved does not verify".into()));
            }
            committed = frame.commit();
        }
        let begun = torn > 0 || rest.get(8..16).is_some_and(|salts| salts == self.salts);
        (torn + if begun { rest.len() as u64 } else { 0 }, None)
    }
}

impl<'a> Frame<'a> {
    fn all(bytes: &'a [u8], page: usize) -> Vec<Frame<'a>> {
        let size = FRAME_HEADER + page;
        let at = |index: usize| HEADER + index * size + 8;
        bytes
            .chunks_exact(size)
            .enumerate()
            .map(|(index, bytes)| Frame { bytes, divided: at(index).is_multiple_of(SECTOR) })
            .collect()
    }

    fn page(&self) -> u32 {
        word(self.bytes, 0)
    }

    /// The last one of its transaction.
    fn commit(&self) -> bool {
        word(self.bytes, 4) != 0
    }

    fn salts(&self) -> &[u8] {
        &self.bytes[8..16]
    }

    /// How many of its two salts are the log's: one alone is not what a power cut leaves.
    fn marks(&self, header: &Header) -> usize {
        (0..2).filter(|half| self.bytes[8 + half * 4..][..4] == header.salts[half * 4..][..4]).count()
    }

    fn sums(&self) -> Sums {
        (word(self.bytes, 16), word(self.bytes, 20))
    }

    /// Its own checksum and salts are not summed.
    fn sum(&self, header: &Header, sums: Sums) -> Sums {
        header.sum(&self.bytes[FRAME_HEADER..], header.sum(&self.bytes[..8], sums))
    }
}

/// Big-endian, as all numbers in the log.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;
    const SIZE: usize = FRAME_HEADER + PAGE;

    /// Transactions of so many frames, each with the pages 2, 10, 11, …, marked by `salt`.
    fn log(salt: u8, transactions: &[usize]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[16..24].fill(salt);
        for frames in transactions {
            for at in 0..*frames {
                let page = if at == 0 { 2 } else { 9 + at as u32 };
                let size = if at + 1 == *frames { 99_u32 } else { 0 };
                bytes.extend(page.to_be_bytes());
                bytes.extend(size.to_be_bytes());
                bytes.extend([salt; 16]);
                bytes.extend((0..PAGE).map(|byte| (byte + at) as u8));
            }
        }
        let (log, _) = Log::trusting(&bytes, PAGE);
        assert_eq!(log.len(), bytes.len());
        log
    }

    fn frames(count: usize) -> usize {
        HEADER + count * SIZE
    }

    #[test]
    fn whole_transactions_are_whole() {
        let bytes = log(7, &[1, 3, 40, 2]);
        assert_eq!(Log::of(bytes.clone(), PAGE), Log { whole: bytes, torn: 0, damage: None });
    }

    #[test]
    fn frames_of_an_earlier_use_are_nothing() {
        let (mut bytes, older) = (log(7, &[1, 3]), log(6, &[2, 2, 2, 2]));
        bytes.extend(&older[bytes.len()..]);
        assert_eq!(Log::of(bytes, PAGE), Log { whole: log(7, &[1, 3]), torn: 0, damage: None });
    }

    #[test]
    fn any_part_of_one_transaction_is_a_torn_tail() {
        // The others hold what an earlier use has left, the last of which ends a transaction.
        let (bytes, older) = (log(7, &[2, 5]), log(6, &[3, 4]));
        for kept in 0..(1_u32 << 5) - 1 {
            let mut torn = bytes.clone();
            for at in (0..5).filter(|at| kept & (1 << at) == 0) {
                torn[frames(2 + at)..frames(3 + at)].copy_from_slice(&older[frames(2 + at)..frames(3 + at)]);
            }
            let count = u64::from(kept.count_ones());
            assert_eq!(Log::of(torn, PAGE), Log { whole: log(7, &[2]), torn: count * SIZE as u64, damage: None });
        }
    }

    #[test]
    fn a_mark_that_a_sector_has_cut_off_tells_nothing() {
        // Frame 41's first 8 bytes lie at the end of a sector: they may be an earlier use's, and end a transaction.
        let older = log(6, &[42, 4]);
        for (at, damaged) in [(41, false), (40, true)] {
            let mut bytes = log(7, &[3, 42]);
            bytes[frames(at)..frames(at) + 8].copy_from_slice(&older[frames(41)..frames(41) + 8]);
            assert_eq!(Log::of(bytes, PAGE).damage.is_some(), damaged, "frame {at}");
        }
    }

    #[test]
    fn two_transactions_behind_the_whole_ones_are_damage() {
        let bytes = log(7, &[2, 3, 3]);
        // Each byte of each frame's head, and one of its page, of the transaction before the last.
        for at in (2..5).flat_map(|frame| (0..=FRAME_HEADER).map(move |byte| frames(frame) + byte)) {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let found = Log::of(flipped, PAGE);
                assert!(found.damage.is_some() && found.whole == log(7, &[2]), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_header_matters_only_with_frames_behind_it() {
        assert_eq!(Log::of(Vec::new(), PAGE), Log::default());
        assert_eq!(Log::of(vec![0; HEADER], PAGE), Log::default());
        let mut bytes = log(7, &[2]);
        assert_eq!(Log::of(bytes.clone(), 8192).damage.as_deref(), Some("its header is not readable"));
        bytes[25] ^= 1;
        assert_eq!(Log::of(bytes, PAGE).damage.as_deref(), Some("its header is not readable"));
    }
}
