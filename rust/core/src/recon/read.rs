//! The grammar, as swim-java reads it, in one pass. Open braces, brackets and parentheses are frames on a heap, so no
//! depth of nesting touches the stack.
//!
//! An expression, the unit between separators, is a run of attributes and values that flattens into one record:
//! `@a b@c{d}` is [@a, b, @c, d]. So a brace behind an attribute opens no record of its own: its items go into the
//! record of the expression.

mod expression;
mod frames;
mod items;
mod markup;

use std::borrow::Cow;

use super::ReconError;
use super::build::{Build, Key, Nothing};
use super::number::Number;
use super::scan::Scanner;

/// What is taken beyond, or less than, what swim-java takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// At most one value, no slot, as after the header of an envelope.
    pub one_value: bool,
    /// Control characters may stand in strings as they are (Swim's Rust peer takes them, its Python client sends them).
    pub raw_controls: bool,
    /// No separator or comment before `)`.
    pub strict_arguments: bool,
}

/// Reads a whole text.
///
/// # Errors
/// What breaks the grammar, selectors and expressions, more than `MAX_DEPTH` levels, and what `build` refuses.
pub fn read_with<'a, B: Build<'a>>(text: &'a str, rules: Rules, build: B) -> Result<B::Value, B::Error> {
    Reader::new(text, rules, build).run()
}

/// Whether `read_with` takes this text.
///
/// # Errors
/// As `read_with`.
pub fn check(text: &str, rules: Rules) -> Result<(), ReconError> {
    read_with(text, rules, Nothing)
}

/// Whether a text can be the body of an envelope: at most one value. Control characters in strings are taken.
///
/// # Errors
/// As `read_with`.
pub fn check_body(text: &str) -> Result<(), ReconError> {
    check(text, Rules { one_value: true, raw_controls: true, strict_arguments: false })
}

/// An attribute's name, its value if it has one, and the offset after it.
type Attribute<'a, V> = (Cow<'a, str>, Option<V>, usize);

/// Reads the attribute whose `@` is at `at`.
pub(crate) fn first_attribute<'a, B: Build<'a>>(
    text: &'a str,
    at: usize,
    rules: Rules,
    build: B,
) -> Result<Attribute<'a, B::Value>, B::Error> {
    let mut reader = Reader::new(text, rules, build);
    reader.scan.at = at;
    reader.only_attribute = true;
    reader.state = State::Expression;
    reader.run()?;
    match reader.attribute.take() {
        Some((name, value)) => Ok((name, value, reader.scan.at)),
        None => Err(reader.unexpected("an attribute").into()),
    }
}

/// What has been read of an expression.
enum Expression<'a, B: Build<'a>> {
    Nothing,
    Text(Cow<'a, str>),
    Number(Number),
    Value(B::Value),
    Record(B::Record),
}

enum Kind<'a> {
    /// The whole text.
    Top,
    /// `@name(…)`.
    Arguments(Cow<'a, str>),
    /// `(…)`, which is what stands in it; after an odd number of minus signs only a number may.
    Group {
        negative: bool,
    },
    Braces,
    Markup,
}

struct Frame<'a, B: Build<'a>> {
    kind: Kind<'a>,
    /// Where the items go; a `Group` has none.
    record: Option<B::Record>,
    /// Opened directly in markup: the items are the markup's own.
    spliced: bool,
    /// The key of the slot whose value comes.
    key: Option<Key<'a, B::Value>>,
    expression: Expression<'a, B>,
    items: usize,
    /// A separator or a comment was the last thing read.
    separated: bool,
}

impl<'a, B: Build<'a>> Frame<'a, B> {
    fn new(kind: Kind<'a>, record: Option<B::Record>, expression: Expression<'a, B>) -> Frame<'a, B> {
        Frame { kind, record, spliced: false, key: None, expression, items: 0, separated: false }
    }
}

#[derive(Clone, Copy)]
enum State {
    /// Before an item.
    Item,
    /// Before an attribute or a value.
    Expression,
    /// After a value: an attribute may follow, or the end of the expression.
    After,
    /// In the text of `[…]`.
    Markup,
    Done,
}

struct Reader<'a, B: Build<'a>> {
    scan: Scanner<'a>,
    build: B,
    rules: Rules,
    state: State,
    /// The innermost open one, and those around it.
    frame: Frame<'a, B>,
    outer: Vec<Frame<'a, B>>,
    only_attribute: bool,
    attribute: Option<(Cow<'a, str>, Option<B::Value>)>,
}

impl<'a, B: Build<'a>> Reader<'a, B> {
    fn new(text: &'a str, rules: Rules, mut build: B) -> Reader<'a, B> {
        let mut scan = Scanner::new(text);
        scan.raw_controls = rules.raw_controls;
        let record = Some(build.record());
        let frame = Frame::new(Kind::Top, record, Expression::Nothing);
        Reader {
            scan,
            build,
            rules,
            state: State::Item,
            frame,
            outer: Vec::new(),
            only_attribute: false,
            attribute: None,
        }
    }

    fn run(&mut self) -> Result<B::Value, B::Error> {
        loop {
            match self.state {
                State::Item => self.item()?,
                State::Expression => self.expression()?,
                State::After => self.after()?,
                State::Markup => self.markup()?,
                State::Done => break,
            }
        }
        match self.frame.record.take() {
            Some(record) if self.frame.items > 0 => self.build.block(record, self.scan.at),
            _ => Ok(self.build.absent()),
        }
    }

    /// What was expected instead of what comes next.
    #[cold]
    fn unexpected(&self, expected: &str) -> ReconError {
        let at = self.scan.at;
        let reason = match self.scan.next_char() {
            None => format!("expected {expected}, the text ends here"),
            Some(
                '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '=' | '<' | '>' | '?' | '.' | '(' | '!' | '~' | '$',
            ) if self.within_expression() => self.no_expressions(),
            Some(c) if c.is_control() => format!("expected {expected}, found {}", c.escape_unicode()),
            Some(c) => format!("expected {expected}, found `{c}`"),
        };
        ReconError { offset: at, reason }
    }

    fn within_expression(&self) -> bool {
        !matches!(self.frame.expression, Expression::Nothing)
    }

    #[cold]
    fn no_expressions(&self) -> String {
        let c = self.scan.next_char().unwrap_or(' ');
        format!("selectors and expressions are not supported (`{c}`): quote it if it is meant as text")
    }
}
