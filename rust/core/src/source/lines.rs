//! JSON Lines: a record a line. Blank lines are none, but count as lines.

use memchr::{memchr, memchr_iter};

use crate::batch::Span;

use super::filling::{Filling, Split};

pub(super) struct Lines {
    /// Number of the line that starts at or continues in the next chunk, from 1.
    line: u64,
}

impl Lines {
    /// `line`: number of the first line that it will see.
    pub(super) fn from(line: u64) -> Lines {
        Lines { line }
    }

    /// The way of nearly all lines: none of the chunk can be over the limit.
    fn scan_short(&mut self, chunk: &[u8], filling: &mut Filling) -> usize {
        let base = filling.bytes.len();
        filling.extend(chunk);
        for at in memchr_iter(b'\n', chunk) {
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

fn is_blank(line: &[u8]) -> bool {
    line.first().is_none_or(|byte| *byte <= b' ') && line.iter().all(u8::is_ascii_whitespace)
}

impl Split for Lines {
    fn scan(&mut self, chunk: &[u8], filling: &mut Filling) -> Result<usize, String> {
        if filling.fits(chunk.len()) {
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
        if filling.pending() > 0 {
            let problem = cut.then(|| "the file ends in the middle of this line".into());
            self.end_line(filling, problem);
        }
        Ok(())
    }
}
