//! JSON Lines: a record a line. Blank lines are none, but count as lines.

use memchr::{memchr, memchr_iter};

use crate::batch::Span;

use super::filling::{Filling, Split};

pub(super) struct Lines {
    /// Number of the line that starts at or continues in the next chunk, from 1.
    line: u64,
    /// That line has begun, and is one to be passed over.
    passing: bool,
}

impl Lines {
    /// `line`: number of the first line that it will see.
    pub(super) fn from(line: u64) -> Lines {
        Lines { line, passing: false }
    }

    /// The way of nearly all lines: none of the chunk can be over the limit.
    fn scan_short(&mut self, chunk: &[u8], filling: &mut Filling) -> usize {
        let base = filling.bytes.len();
        filling.extend(chunk);
        for at in LineEnds::of(chunk) {
            let end = base + at;
            let line = &filling.bytes[filling.start..end];
            if !is_blank(line) {
                let start = filling.start as u32;
                let end = (end - usize::from(line.ends_with(b"\r"))) as u32;
                let (position, problem) = (self.line, None);
                filling.records.push(Span { start, end, position, problem });
            }
            filling.start = end + 1;
            self.line += 1;
            if filling.room() == 0 {
                filling.bytes.truncate(end + 1);
                return at + 1;
            }
        }
        chunk.len()
    }

    /// Passes over the lines before line `to`, without a look at them.
    fn pass(&mut self, chunk: &[u8], to: u64) -> usize {
        let missing = to - self.line;
        let ends = memchr_iter(b'\n', chunk).count() as u64;
        let last = if ends < missing { None } else { memchr_iter(b'\n', chunk).nth(missing as usize - 1) };
        self.line += ends.min(missing);
        let taken = last.map_or(chunk.len(), |at| at + 1);
        self.passing = !chunk[..taken].ends_with(b"\n");
        taken
    }

    fn end_line(&mut self, filling: &mut Filling, problem: Option<Box<str>>) {
        let problem = filling.too_long("line").or(problem);
        if problem.is_none() {
            if is_blank(&filling.bytes[filling.start..]) {
                filling.forget();
                return;
            }
            if filling.bytes.last() == Some(&b'\r') {
                filling.bytes.pop();
            }
        }
        filling.end_record(self.line, problem);
    }
}

/// Where the line ends of a chunk are. Blocks of 64 bytes are looked through at once: lines are so short that starting a
/// search for each costs more than the searching.
struct LineEnds<'a> {
    chunk: &'a [u8],
    /// Where the present block starts, and which of its bytes are line ends that are still to be given.
    block: usize,
    ends: u64,
}

impl LineEnds<'_> {
    fn of(chunk: &[u8]) -> LineEnds<'_> {
        LineEnds { chunk, block: 0, ends: ends(chunk) }
    }
}

impl Iterator for LineEnds<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.ends == 0 {
            self.block += 64;
            self.ends = ends(self.chunk.get(self.block..)?);
        }
        let at = self.block + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        Some(at)
    }
}

/// Which of the first 64 bytes are line ends, the first byte in the lowest bit.
#[inline(always)]
fn ends(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<64>() {
        Some(block) => ends_of_block(block),
        None => bytes.iter().rev().fold(0, |ends, byte| ends << 1 | u64::from(*byte == b'\n')),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ends_of_block(block: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    let quarter = |at: usize| {
        // SAFETY: SSE2 belongs to every x86-64, and 16 bytes from `at` lie in the block.
        let equal = unsafe {
            let bytes = _mm_loadu_si128(block.as_ptr().add(at).cast::<__m128i>());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8)))
        };
        u64::from(equal as u32) << at
    };
    quarter(0) | quarter(16) | quarter(32) | quarter(48)
}

#[cfg(not(target_arch = "x86_64"))]
fn ends_of_block(block: &[u8; 64]) -> u64 {
    block.iter().rev().fold(0, |ends, byte| ends << 1 | u64::from(*byte == b'\n'))
}

fn is_blank(line: &[u8]) -> bool {
    line.first().is_none_or(|byte| *byte <= b' ') && line.iter().all(u8::is_ascii_whitespace)
}

impl Split for Lines {
    fn scan(&mut self, chunk: &[u8], filling: &mut Filling) -> Result<usize, String> {
        let wanted = filling.wanted.next(self.line);
        if wanted > self.line {
            return Ok(self.pass(chunk, wanted));
        }
        if filling.wanted.all(self.line) && filling.fits(chunk.len()) {
            return Ok(self.scan_short(chunk, filling));
        }
        let Some(at) = memchr(b'\n', chunk) else {
            filling.extend(chunk);
            return Ok(chunk.len());
        };
        filling.extend(&chunk[..at]);
        self.end_line(filling, None);
        self.line += 1;
        Ok(at + 1)
    }

    fn end(&mut self, filling: &mut Filling, cut: bool) -> Result<(), String> {
        let begun = self.passing || filling.pending() > 0;
        if filling.pending() > 0 {
            let problem = cut.then(|| "the file ends in the middle of this line".into());
            self.end_line(filling, problem);
        }
        // blank lines count
        filling.last = self.line - u64::from(!begun);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LineEnds;

    proptest! {
        #[test]
        fn every_line_end_is_found(chunk in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300)) {
            let found: Vec<usize> = LineEnds::of(&chunk).collect();
            let all: Vec<usize> = (0..chunk.len()).filter(|at| chunk[*at] == b'\n').collect();
            prop_assert_eq!(found, all);
        }
    }
}
