//! CSV and TSV: a record a row, under a row of names. Quoted fields may hold delimiters, line breaks and doubled quotes.

use std::sync::Arc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::batch::Shape;

use super::filling::{Filling, Split};

/// Columns that a header may have.
const MOST_COLUMNS: usize = 65_536;

pub(super) struct Rows {
    name: String,
    /// `None` until the header was seen, if it is to tell.
    delimiter: Option<u8>,
    reader: Reader,
    header: Arc<[Box<str>]>,
    /// Fields of the row as far as it was read, unquoted, one after the other …
    fields: Vec<u8>,
    used: usize,
    /// … where each of them ends …
    ends: Vec<usize>,
    /// … and how many they are. Those that the header has no name for have no place in `ends`.
    count: usize,
    /// Line ends so far, and whether the last byte was a carriage return (whose line feed does not count).
    lines: u64,
    after_return: bool,
    /// The line in which the unfinished row starts; 0 between rows.
    begun: u64,
}

impl Rows {
    pub(super) fn new(name: String, delimiter: Option<u8>) -> Rows {
        Rows {
            name,
            delimiter,
            reader: Reader::new(),
            header: Arc::new([]),
            fields: vec![0; 4096],
            used: 0,
            ends: vec![0; 64],
            count: 0,
            lines: 0,
            after_return: false,
            begun: 0,
        }
    }

    fn count_lines(&mut self, bytes: &[u8]) {
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let after_return = if at == 0 { self.after_return } else { bytes[at - 1] == b'\r' };
            if bytes[at] == b'\r' || !after_return {
                self.lines += 1;
            }
        }
        self.after_return = bytes.last().map_or(self.after_return, |byte| *byte == b'\r');
    }

    /// Gives the next bytes of a row to the parser (none: the text is at its end), and says whether the row is complete
    /// and how many bytes it took.
    fn parse(&mut self, bytes: &[u8], filling: &mut Filling) -> (bool, usize) {
        let mut taken = 0;
        loop {
            let mut surplus = [0; 64];
            let ends = if self.count < self.ends.len() { &mut self.ends[self.count..] } else { &mut surplus[..] };
            let (found, read, wrote, ended) =
                self.reader.read_record(&bytes[taken..], &mut self.fields[self.used..], ends);
            let consumed = &bytes[taken..taken + read];
            filling.extend(consumed);
            self.count_lines(consumed);
            taken += read;
            self.used += wrote;
            self.count += ended;
            match found {
                ReadRecordResult::InputEmpty => return (false, taken),
                ReadRecordResult::Record => return (true, taken),
                ReadRecordResult::End => return (false, taken),
                // What is over the limit needs no fields: it is parsed only to find its end.
                ReadRecordResult::OutputFull if filling.dropped > 0 => self.used = 0,
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull if self.header.is_empty() && self.ends.len() < MOST_COLUMNS => {
                    self.ends.resize(2 * self.ends.len(), 0);
                }
                // Fields that the header has no name for are counted, not kept.
                ReadRecordResult::OutputEndsFull => {}
            }
        }
    }

    fn end_row(&mut self, filling: &mut Filling, ended: bool) -> Result<(), String> {
        let outcome = if self.header.is_empty() {
            let outcome = self.take_header(filling);
            filling.forget();
            outcome
        } else {
            match self.problem(filling, ended) {
                Some(problem) => {
                    let row = filling.bytes[filling.start..].trim_ascii_end().len();
                    filling.bytes.truncate(filling.start + row);
                    filling.end_record(self.begun, Some(problem));
                }
                None => self.write_row(filling),
            }
            Ok(())
        };
        (self.used, self.count, self.begun) = (0, 0, 0);
        outcome
    }

    fn problem(&self, filling: &Filling, ended: bool) -> Option<Box<str>> {
        let (count, named) = (self.count, self.header.len());
        if let Some(problem) = filling.too_long("row") {
            return Some(problem);
        }
        if !ended && self.is_open(&filling.bytes[filling.start..]) {
            return Some("a quote is opened in this row and never closed".into());
        }
        if count != named {
            let fields = if count == 1 { "field" } else { "fields" };
            return Some(format!("row has {count} {fields}, the header has {named}").into());
        }
        let Ok(text) = std::str::from_utf8(&self.fields[..self.used]) else {
            return Some("the row is not UTF-8; convert the file with iconv".into());
        };
        let whole = self.ends[..count].iter().all(|end| text.is_char_boundary(*end));
        (!whole).then(|| "the row is not UTF-8; convert the file with iconv".into())
    }

    /// The text ended inside a quoted field: the parser takes it as closed, but it may be half of one.
    fn is_open(&self, row: &[u8]) -> bool {
        let quotes = memchr::memchr_iter(b'"', row);
        // A quote elsewhere than at a field's beginning is a character like others (5" pipe).
        let opens = |at: usize| at == 0 || Some(row[at - 1]) == self.delimiter;
        quotes.clone().count() % 2 == 1 && quotes.into_iter().any(opens)
    }

    /// The row as `Shape::Row` says, in the place of its text.
    fn write_row(&self, filling: &mut Filling) {
        filling.forget();
        filling.reserve(self.used + 4 * self.count);
        let mut start = 0;
        for end in &self.ends[..self.count] {
            filling.bytes.extend_from_slice(&((end - start) as u32).to_le_bytes());
            filling.bytes.extend_from_slice(&self.fields[start..*end]);
            start = *end;
        }
        filling.end_record(self.begun, None);
    }

    fn take_header(&mut self, filling: &mut Filling) -> Result<(), String> {
        let place = format!("{}, line {}", self.name, self.begun);
        if self.count > MOST_COLUMNS || filling.too_long("header").is_some() {
            return Err(format!(
                "{place}: the header has more than {MOST_COLUMNS} columns or is over the limit of a line"
            ));
        }
        let mut names: Vec<Box<str>> = Vec::with_capacity(self.count);
        let mut start = 0;
        for (column, end) in self.ends[..self.count].iter().enumerate() {
            let Ok(name) = std::str::from_utf8(&self.fields[start..*end]) else {
                return Err(format!("{place}: the header is not UTF-8; convert the file with iconv"));
            };
            let name = name.trim();
            start = *end;
            if name.is_empty() {
                let column = column + 1;
                return Err(format!(
                    "{place}: column {column} of the header has no name; give it one in the first row"
                ));
            }
            if let Some(first) = names.iter().position(|earlier| **earlier == *name) {
                let (first, second) = (first + 1, column + 1);
                return Err(format!(
                    "{place}: columns {first} and {second} are both named {name:?}; rename one of them"
                ));
            }
            names.push(name.into());
        }
        self.ends.truncate(names.len());
        self.header = names.into();
        filling.shape = Shape::Row(self.header.clone());
        Ok(())
    }

    /// A comma, unless the first line has none outside quotes, but semicolons or tabs.
    fn guess_delimiter(chunk: &[u8]) -> u8 {
        let mut quoted = false;
        let mut found = b',';
        for byte in chunk {
            match byte {
                b'"' => quoted = !quoted,
                b'\n' | b'\r' if !quoted => break,
                b',' if !quoted => return b',',
                b';' | b'\t' if !quoted && found == b',' => found = *byte,
                _ => {}
            }
        }
        found
    }
}

impl Split for Rows {
    fn scan(&mut self, chunk: &[u8], filling: &mut Filling) -> Result<usize, String> {
        let mut taken = 0;
        while taken < chunk.len() && !filling.is_full() {
            let rest = &chunk[taken..];
            if self.begun == 0 {
                let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                self.count_lines(&rest[..blank]);
                taken += blank;
                if blank == rest.len() {
                    break;
                }
                self.begun = self.lines + 1;
                if self.header.is_empty() {
                    let delimiter = *self.delimiter.get_or_insert_with(|| Rows::guess_delimiter(&rest[blank..]));
                    self.reader = ReaderBuilder::new().delimiter(delimiter).build();
                }
            }
            let (whole, read) = self.parse(&chunk[taken..], filling);
            taken += read;
            if whole {
                self.end_row(filling, true)?;
            }
        }
        Ok(taken)
    }

    fn end(&mut self, filling: &mut Filling, cut: bool) -> Result<(), String> {
        if self.begun == 0 {
            return Ok(());
        }
        if cut {
            if !self.header.is_empty() {
                filling.end_record(self.begun, Some("the file ends in the middle of this row".into()));
            }
            return Ok(());
        }
        self.parse(&[], filling);
        self.end_row(filling, false)
    }
}
