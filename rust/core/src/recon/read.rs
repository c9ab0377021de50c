//! The grammar, as swim-java reads it, in one pass. Open braces, brackets and parentheses are frames on a heap, and so
//! are operators whose operands are still coming: no depth of nesting touches the stack.
//!
//! A run, the operand of comparisons and of what binds looser, is a row of attributes and values that flattens into one
//! record: `@a b@c{d}` is [@a, b, @c, d]. So a brace behind an attribute opens no record of its own: its items go into
//! the record of the run. The values of a run may be sums: `@a b + c` is [@a, b + c].
//!
//! Where swim-java hands the record of a run down into parentheses or a sum, the record takes all values that come, and
//! operators between them are lost. Such a run is called flat: `{a} + b` is [a, b], `@a (b == c)` is [@a, b, c]. An
//! operator that has its operands seals the record: `{a} + b + c` is refused.

mod frames;
mod items;
mod markup;
mod operator;
mod run;
mod selector;
mod waiting;

use std::borrow::Cow;

use super::ReconError;
use super::build::{Build, Key, Nothing, no_expressions};
use super::number::Number;
use super::scan::Scanner;
use waiting::Waiting;

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
/// What breaks the grammar, more than `MAX_DEPTH` levels, and what `build` refuses: mostly selectors and expressions.
pub fn read_with<'a, B: Build<'a>>(text: &'a str, rules: Rules, build: B) -> Result<B::Value, B::Error> {
    Reader::new(text, rules, build).run()
}

/// Whether `read_with` takes this text.
///
/// # Errors
/// As `read_with`; selectors and expressions.
pub fn check(text: &str, rules: Rules) -> Result<(), ReconError> {
    read_with(text, rules, Nothing)
}

/// Whether a text can be the body of an envelope: at most one value. Control characters in strings are taken.
///
/// # Errors
/// As `check`.
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
    reader.state = State::Run;
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
    /// `f(…)`.
    Call,
    /// `(…)`, which is what stands in it.
    Group,
    /// `$[…]`.
    Filter,
    Braces,
    Markup,
}

/// What becomes of a frame's value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The frame has the record of the run around it, and gives it back.
    Run,
    Operand,
    /// The key of a selector's step.
    Key,
    /// Opened directly in markup: the items are the markup's own.
    Spliced,
    /// Lost: the arguments of a function in a flat run.
    Nowhere,
}

/// Operators of a sum in a flat run that have no right operand yet.
#[derive(Clone, Copy, Default)]
struct FlatSum {
    sum: bool,
    product: bool,
    prefix: bool,
}

struct Frame<'a, B: Build<'a>> {
    kind: Kind<'a>,
    place: Place,
    /// Where the items go; a `Group` and a `Filter` have none.
    record: Option<B::Record>,
    /// The key of the slot whose value comes.
    key: Option<Key<'a, B::Value>>,
    expression: Expression<'a, B>,
    items: usize,
    /// A separator or a comment was the last thing read.
    separated: bool,
    /// From here on, what waits belongs to this frame.
    base: u32,
    /// Runs go on in one record, whatever is between them.
    flat: bool,
    /// The sum that is being read, where it is in a flat run.
    flat_sum: Option<FlatSum>,
    /// The record of the run takes no more.
    sealed: bool,
    /// Levels of records and operations below the expression, at most; and below the items before.
    height: u16,
    highest: u16,
}

impl<'a, B: Build<'a>> Frame<'a, B> {
    fn new(kind: Kind<'a>, place: Place, record: Option<B::Record>) -> Frame<'a, B> {
        Frame {
            kind,
            place,
            record,
            key: None,
            expression: Expression::Nothing,
            items: 0,
            separated: false,
            base: 0,
            flat: false,
            flat_sum: None,
            sealed: false,
            height: 0,
            highest: 0,
        }
    }
}

#[derive(Clone, Copy)]
enum State {
    /// Before an item.
    Item,
    /// Before an attribute or a value.
    Run,
    /// Before an operand of a sum or of what binds tighter.
    Operand,
    /// After a value: an attribute may follow, an operator, or the end of the expression.
    After,
    /// After the `$` of a selector; after a `.` in it; after a step.
    Selector,
    Step,
    Steps,
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
    /// Operators and selectors that are not complete, of all open frames.
    waiting: Vec<Waiting<'a, B>>,
    only_attribute: bool,
    attribute: Option<(Cow<'a, str>, Option<B::Value>)>,
}

impl<'a, B: Build<'a>> Reader<'a, B> {
    fn new(text: &'a str, rules: Rules, mut build: B) -> Reader<'a, B> {
        let mut scan = Scanner::new(text);
        scan.raw_controls = rules.raw_controls;
        let record = Some(build.record());
        let frame = Frame::new(Kind::Top, Place::Run, record);
        Reader {
            scan,
            build,
            rules,
            state: State::Item,
            frame,
            outer: Vec::new(),
            waiting: Vec::new(),
            only_attribute: false,
            attribute: None,
        }
    }

    fn run(&mut self) -> Result<B::Value, B::Error> {
        loop {
            match self.state {
                State::Item => self.item()?,
                State::Run => self.run_part()?,
                State::Operand => self.operand()?,
                State::After => self.after()?,
                State::Selector => self.step(true)?,
                State::Step => self.step(false)?,
                State::Steps => self.steps()?,
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
            ) if self.within_expression() && !self.build.takes_expressions() => return self.no_expressions(),
            Some(c) if c.is_control() => format!("expected {expected}, found {}", c.escape_unicode()),
            Some(c) => format!("expected {expected}, found `{c}`"),
        };
        ReconError { offset: at, reason }
    }

    fn within_expression(&self) -> bool {
        !matches!(self.frame.expression, Expression::Nothing)
    }

    #[cold]
    fn no_expressions(&self) -> ReconError {
        no_expressions(self.scan.next_char().unwrap_or(' ').encode_utf8(&mut [0; 4]), self.scan.at)
    }

    /// Refuses the operator or the selector that is next, if the values hold none.
    fn allow_expression(&self) -> Result<(), B::Error> {
        match self.build.takes_expressions() {
            true => Ok(()),
            false => Err(self.no_expressions().into()),
        }
    }
}
