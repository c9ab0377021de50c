//! A .json file: the elements of one array are its records; without an array it is read as JSON Lines.
//!
//! Only brackets and quotes are looked at: whether an element is JSON is for its decoder to say. Positions are the
//! elements' numbers from 1.

use memchr::memchr2;

use super::filling::{Filling, Split, Stop};
use super::lines::Lines;
use super::text::Text;

/// Reads a text that is one array or has a JSON text a line.
pub(super) fn read(text: &mut Text, filling: &mut Filling) -> Result<(), Stop> {
    let mut line = 1;
    let first = loop {
        let chunk = match text.fill() {
            Ok(chunk) => chunk,
            Err(error) => return Err(Stop::Failed(text.describe(&error))),
        };
        let blank = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        line += chunk[..blank].iter().filter(|byte| **byte == b'\n').count() as u64;
        let first = chunk[blank..].to_vec();
        let ended = chunk.is_empty();
        text.consume(blank);
        if ended || !first.is_empty() {
            break first;
        }
    };
    if first.first() == Some(&b'[') {
        let name = text.name().to_owned();
        return filling.drain(text, &mut Elements::new(name));
    }
    let end = first.iter().position(|byte| *byte == b'\n');
    if end.is_some_and(|end| first[..end].trim_ascii() == b"{") {
        let name = text.name();
        return Err(Stop::Failed(format!(
            "{name} holds an object over many lines; write one record a line (jq -c . {name} > records.jsonl), or an \
             array of records"
        )));
    }
    filling.drain(text, &mut Lines::from(line))
}

/// What the next byte belongs to.
enum At {
    /// Before the array's bracket.
    Beginning,
    /// An element, or the bracket that ends the array; `first`: no comma was before.
    Between { first: bool },
    /// An element, inside so many brackets of its own.
    Element { depth: u64 },
    /// A string of an element; `escaped`: the byte after a backslash.
    Text { depth: u64, escaped: bool },
    /// After the array.
    Ended,
}

struct Elements {
    name: String,
    at: At,
    /// Number of the last element that began.
    element: u64,
}

impl Elements {
    fn new(name: String) -> Elements {
        Elements { name, at: At::Beginning, element: 0 }
    }

    fn end_element(&mut self, filling: &mut Filling) {
        let problem = filling.too_long("element");
        if problem.is_none() {
            let length = filling.bytes[filling.start..].trim_ascii_end().len();
            filling.bytes.truncate(filling.start + length);
        }
        filling.end_record(self.element, problem);
    }

    fn missing(&mut self, filling: &mut Filling) {
        self.element += 1;
        filling.end_record(self.element, Some("there is a comma but no element".into()));
    }
}

impl Split for Elements {
    fn scan(&mut self, chunk: &[u8], filling: &mut Filling) -> Result<usize, String> {
        // Before `from` all bytes are dealt with; from there to `at` they belong to the unfinished element.
        let (mut from, mut at) = (0, 0);
        while at < chunk.len() {
            let byte = chunk[at];
            match self.at {
                At::Text { depth, escaped: true } => self.at = At::Text { depth, escaped: false },
                At::Text { depth, .. } => match memchr2(b'"', b'\\', &chunk[at..]) {
                    None => at = chunk.len() - 1,
                    Some(skip) => {
                        at += skip;
                        let escaped = chunk[at] == b'\\';
                        self.at = if escaped { At::Text { depth, escaped } } else { At::Element { depth } };
                    }
                },
                At::Element { depth } => match byte {
                    b'"' => self.at = At::Text { depth, escaped: false },
                    b'[' | b'{' => self.at = At::Element { depth: depth + 1 },
                    b']' | b'}' if depth > 0 => self.at = At::Element { depth: depth - 1 },
                    b']' | b',' if depth == 0 => {
                        filling.extend(&chunk[from..at]);
                        self.end_element(filling);
                        self.at = if byte == b']' { At::Ended } else { At::Between { first: false } };
                        from = at + 1;
                        if filling.is_full() {
                            return Ok(from);
                        }
                    }
                    _ => {}
                },
                At::Beginning | At::Between { .. } | At::Ended if byte.is_ascii_whitespace() => from = at + 1,
                At::Beginning => {
                    self.at = At::Between { first: true };
                    from = at + 1;
                }
                At::Between { first } => match byte {
                    b']' | b',' => {
                        if byte == b',' || !first {
                            self.missing(filling);
                        }
                        self.at = if byte == b']' { At::Ended } else { At::Between { first: false } };
                        from = at + 1;
                        if filling.is_full() {
                            return Ok(from);
                        }
                    }
                    _ => {
                        self.element += 1;
                        self.at = At::Element { depth: 0 };
                        from = at;
                        continue;
                    }
                },
                At::Ended => {
                    return Err(format!(
                        "{} goes on after the end of its array; a .json file holds one array, or a record a line",
                        self.name
                    ));
                }
            }
            at += 1;
        }
        filling.extend(&chunk[from..]);
        Ok(chunk.len())
    }

    fn end(&mut self, filling: &mut Filling, cut: bool) -> Result<(), String> {
        if filling.pending() > 0 {
            let problem = filling.too_long("element");
            filling.end_record(self.element, problem.or(Some("the file ends in the middle of this element".into())));
        }
        if cut || matches!(self.at, At::Ended) {
            return Ok(());
        }
        Err(format!("{} ends in the middle of its array, so records are missing; fetch or write it again", self.name))
    }
}
