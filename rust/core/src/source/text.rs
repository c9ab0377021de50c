//! The text of a file: unpacked, without a BOM, in UTF-8 as far as the first bytes tell.

use std::io::{BufRead, BufReader, Chain, Cursor, Error, ErrorKind, Read, Result};
use std::rc::Rc;

use super::opened::{Bytes, Opened};

/// Bytes asked from the file at once: they are still in the processor's cache when they are looked through.
pub(super) const CHUNK: usize = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];
/// Their first bytes mean something; a pipe is read on until it is clear whether it starts with one of them.
const MARKS: [&[u8]; 5] = [GZIP, ZSTD, BOM, &[0xff, 0xfe], &[0xfe, 0xff]];

/// What unpacks a file, after the first bytes, which were looked at.
type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

pub(super) struct Text {
    opened: Rc<Opened>,
    /// How it is packed, for messages; "" if it is not.
    packing: &'static str,
    reader: BufReader<Peeked>,
    /// Records must not wait for a batch to be full.
    pub(super) live: bool,
}

impl Text {
    /// Looks at the first bytes and puts what unpacks them in between.
    ///
    /// Errors: it cannot be read, is cut off before its first byte, or is UTF-16.
    pub(super) fn unpack(opened: Rc<Opened>) -> std::result::Result<Text, String> {
        let live = opened.is_live();
        let name = opened.name().to_owned();
        let mut bytes = Bytes::of(opened.clone()).map_err(|error| error.to_string())?;
        let head = peek(&mut bytes).map_err(|error| describe(&name, "", &error))?;
        let packed = |suffix: &str| name.to_ascii_lowercase().ends_with(suffix);
        let starts = |mark: &[u8]| head.starts_with(mark);
        let (packing, mut unpacked): (_, Box<dyn Read>) = if starts(GZIP) {
            let bytes = BufReader::with_capacity(CHUNK, Cursor::new(head).chain(bytes));
            ("gzip", Box::new(flate2::bufread::MultiGzDecoder::new(bytes)))
        } else if starts(ZSTD) {
            let decoder = zstd::stream::read::Decoder::new(Cursor::new(head).chain(bytes));
            ("zstd", Box::new(decoder.map_err(|error| describe(&name, "zstd", &error))?))
        } else if (packed(".gz") && GZIP.starts_with(&head)) || (packed(".zst") && ZSTD.starts_with(&head)) {
            // Not even the mark of its kind is there. A whole mark is not asked for: a browser may have unpacked it.
            return Err(describe(&name, "packed", &ErrorKind::UnexpectedEof.into()));
        } else {
            ("", Box::new(Cursor::new(head).chain(bytes)))
        };
        let mut head = peek(&mut unpacked).map_err(|error| describe(&name, packing, &error))?;
        let wide = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
        if wide || head.first() == Some(&0) || head.get(1) == Some(&0) {
            let unpacked = if packing.is_empty() { name.clone() } else { format!("the text in {name}") };
            return Err(format!("{unpacked} is UTF-16; convert it with iconv -f utf-16 -t utf-8 and read the result"));
        }
        if head.starts_with(BOM) {
            head.drain(..BOM.len());
        }
        let reader = BufReader::with_capacity(CHUNK, Cursor::new(head).chain(unpacked));
        Ok(Text { opened, packing, reader, live })
    }

    pub(super) fn name(&self) -> &str {
        self.opened.name()
    }

    /// The next bytes, at least one; none at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        // The borrow checker does not take `return reader.fill_buf()` in a loop: hence the second call, which is free.
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.reader.fill_buf()
    }

    /// At its end: whether the file was changed while it was read, so that this is not where its writer ended it.
    pub(super) fn is_cut(&self) -> bool {
        self.opened.changed(true).is_some()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }

    /// What a failure of `fill` means to a person.
    pub(super) fn describe(&self, error: &Error) -> String {
        describe(self.name(), self.packing, error)
    }
}

fn describe(name: &str, packing: &str, error: &Error) -> String {
    match (packing, error.kind()) {
        ("", _) => format!("{name} cannot be read any further: {error}"),
        (_, ErrorKind::UnexpectedEof) => {
            format!("{name} ends in the middle of its {packing} data, so records are missing; fetch or pack it again")
        }
        _ => {
            format!("{name} is damaged, its {packing} data cannot be unpacked any further: {error}")
        }
    }
}

/// Reads the first bytes, no more than it takes to know what they are.
fn peek(reader: &mut dyn Read) -> Result<Vec<u8>> {
    let mut head = vec![0; CHUNK];
    let mut count = 0;
    loop {
        match reader.read(&mut head[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let undecided = |mark: &&[u8]| mark.len() > count && mark.starts_with(&head[..count]);
        if !MARKS.iter().any(undecided) {
            break;
        }
    }
    head.truncate(count);
    Ok(head)
}
