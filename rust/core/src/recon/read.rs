//! The grammar, as swim-java reads it, in one pass. Open braces, brackets and parentheses are frames on a heap, so no
//! depth of nesting touches the stack.
//!
//! An expression, the unit between separators, is a run of attributes and values that flattens into one record:
//! `@a b@c{d}` is [@a, b, @c, d]. So a brace behind an attribute opens no record of its own: its items go into the
//! record of the expression.

use std::borrow::Cow;

use super::number::{self, Number};
use super::scan::{Plain, Scanner};
use super::{MAX_DEPTH, ReconError};
use crate::decode::number as json;

/// What is made of a text.
pub trait Build<'a> {
    type Value;
    /// A record whose items are still coming.
    type Record;
    type Error: From<ReconError>;

    /// Nothing at all: an empty text.
    fn absent(&mut self) -> Self::Value;
    /// There, but empty: the value of `a:`.
    fn extant(&mut self) -> Self::Value;
    fn bool(&mut self, x: bool) -> Self::Value;
    /// `at`: where the number ends.
    ///
    /// # Errors
    /// A number that the values cannot hold.
    fn number(&mut self, x: Number, at: usize) -> Result<Self::Value, Self::Error>;
    /// # Errors
    /// What the host of the values says.
    fn text(&mut self, text: Cow<'a, str>) -> Result<Self::Value, Self::Error>;
    /// # Errors
    /// What the host of the values says.
    fn data(&mut self, bytes: Vec<u8>) -> Result<Self::Value, Self::Error>;

    fn record(&mut self) -> Self::Record;
    /// Adds a plain value.
    ///
    /// # Errors
    /// What the host of the values says.
    fn push(&mut self, record: &mut Self::Record, value: Self::Value) -> Result<(), Self::Error>;
    /// # Errors
    /// What the host of the values says.
    fn slot(
        &mut self,
        record: &mut Self::Record,
        key: Key<'a, Self::Value>,
        value: Self::Value,
    ) -> Result<(), Self::Error>;
    /// # Errors
    /// What the host of the values says.
    fn attr(&mut self, record: &mut Self::Record, name: Cow<'a, str>, value: Self::Value) -> Result<(), Self::Error>;
    /// A record whose items have all come; `at`: where it ends.
    ///
    /// # Errors
    /// A record that the values cannot hold.
    fn end(&mut self, record: Self::Record, at: usize) -> Result<Self::Value, Self::Error>;
    /// The value of a block that is not empty: one plain value is that value, anything else a record.
    ///
    /// # Errors
    /// As `end`.
    fn block(&mut self, record: Self::Record, at: usize) -> Result<Self::Value, Self::Error>;
}

/// The key of a slot.
pub enum Key<'a, V> {
    Text(Cow<'a, str>),
    Other(V),
}

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

/// Reads the attribute whose `@` is at `at`; gives its name, its value and the offset after it.
pub(crate) fn first_attribute<'a, B: Build<'a>>(
    text: &'a str,
    at: usize,
    rules: Rules,
    build: B,
) -> Result<(Cow<'a, str>, Option<B::Value>, usize), B::Error> {
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

    // -- items

    fn item(&mut self) -> Result<(), B::Error> {
        if matches!(self.frame.kind, Kind::Braces) {
            self.members()?;
        }
        self.frame.separated |= self.scan.skip_blank();
        let c = self.scan.peek();
        match &self.frame.kind {
            Kind::Braces => match c {
                Some(b'}') => return self.close_record(),
                Some(_) => {}
                None => return Err(self.unexpected("`}`").into()),
            },
            Kind::Arguments(_) => match c {
                Some(b')') if !(self.frame.separated && self.rules.strict_arguments) => {
                    return self.close_arguments();
                }
                Some(_) if self.starts_expression() => {}
                _ => return Err(self.unexpected("a value or `)`").into()),
            },
            _ => match c {
                None => {
                    self.state = State::Done;
                    return Ok(());
                }
                Some(_) if self.starts_expression() => {}
                Some(_) => return Err(self.unexpected("a value").into()),
            },
        }
        if self.frame.items > 0 && self.rules.one_value && self.outer.is_empty() {
            return Err(self.unexpected("the end: a body is one value").into());
        }
        self.state = State::Expression;
        Ok(())
    }

    /// Members as most writers write them, `name:value` with a plain value: `{a:1,b:"x"}`. Stops where another item
    /// begins, or the closing brace.
    #[inline]
    fn members(&mut self) -> Result<(), B::Error> {
        let Some(mut record) = self.frame.record.take() else { return Ok(()) };
        let result = self.members_of(&mut record);
        self.frame.record = Some(record);
        result
    }

    #[inline(always)]
    fn members_of(&mut self, record: &mut B::Record) -> Result<(), B::Error> {
        let Reader { scan, build, frame, .. } = self;
        while let Some(member) = scan.member() {
            let value = match member.value {
                Plain::Text(text) => build.text(Cow::Borrowed(text))?,
                Plain::Bool(x) => build.bool(x),
                Plain::Number(json::Number::Int(x)) => build.number(Number::Int(x), scan.at)?,
                Plain::Number(json::Number::Float(x)) => build.number(Number::Float(x), scan.at)?,
            };
            build.slot(record, Key::Text(Cow::Borrowed(member.name)), value)?;
            frame.items += 1;
            if member.end == b'}' {
                break;
            }
            scan.at += 1;
        }
        Ok(())
    }

    fn starts_expression(&self) -> bool {
        match self.scan.peek() {
            Some(
                b'!' | b'"' | b'$' | b'%' | b'\'' | b'(' | b'+' | b'-' | b'0'..=b'9' | b'@' | b'[' | b'{' | b'`' | b'~',
            ) => true,
            _ => self.scan.at_ident(),
        }
    }

    /// The end of an expression in a place of items.
    fn end_item(&mut self) -> Result<(), B::Error> {
        if self.scan.peek() == Some(b':') && self.frame.key.is_none() {
            return self.end_key();
        }
        self.commit()?;
        match self.scan.peek() {
            Some(b',' | b';' | b'\n' | b'\r') => {
                self.scan.at += 1;
                self.frame.separated = true;
                self.state = State::Item;
            }
            Some(b'#') => self.state = State::Item,
            Some(b'}') if matches!(self.frame.kind, Kind::Braces) => return self.close_record(),
            Some(b')') if matches!(self.frame.kind, Kind::Arguments(_)) => return self.close_arguments(),
            None if matches!(self.frame.kind, Kind::Top) => self.state = State::Done,
            _ => {
                let expected = match self.frame.kind {
                    Kind::Braces => "a separator or `}`",
                    Kind::Arguments(_) => "a separator or `)`",
                    _ => "a separator or the end",
                };
                return Err(self.unexpected_after_value(expected).into());
            }
        }
        Ok(())
    }

    /// As `unexpected`, where a value has just been committed: operators are told apart.
    #[cold]
    fn unexpected_after_value(&self, expected: &str) -> ReconError {
        match self.scan.peek() {
            Some(
                b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'=' | b'<' | b'>' | b'?' | b'.' | b'(' | b'!',
            ) => ReconError { offset: self.scan.at, reason: self.no_expressions() },
            _ => self.unexpected(expected),
        }
    }

    /// What stands before the colon that is next becomes the key of a slot.
    fn end_key(&mut self) -> Result<(), B::Error> {
        if self.rules.one_value && self.outer.is_empty() {
            return Err(self.unexpected("the end: a body is one value").into());
        }
        self.scan.at += 1;
        self.frame.key = Some(match std::mem::replace(&mut self.frame.expression, Expression::Nothing) {
            Expression::Text(text) => Key::Text(text),
            other => Key::Other(self.value_of(other)?),
        });
        self.scan.skip_spaces();
        // swim-java takes a record that is cut off right behind a colon, if no other encloses it.
        if self.scan.peek().is_none()
            && matches!(self.frame.kind, Kind::Braces)
            && matches!(&self.outer[..], [top] if matches!(top.kind, Kind::Top))
        {
            self.commit()?;
            return self.close();
        }
        self.state = State::Expression;
        Ok(())
    }

    fn value_of(&mut self, expression: Expression<'a, B>) -> Result<B::Value, B::Error> {
        Ok(match expression {
            Expression::Nothing => self.build.extant(),
            Expression::Text(text) => self.build.text(text)?,
            Expression::Number(number) => self.build.number(number, self.scan.at)?,
            Expression::Value(value) => value,
            Expression::Record(record) => self.build.end(record, self.scan.at)?,
        })
    }

    /// Adds what has been read as an item of the frame.
    fn commit(&mut self) -> Result<(), B::Error> {
        let expression = std::mem::replace(&mut self.frame.expression, Expression::Nothing);
        let value = self.value_of(expression)?;
        let key = self.frame.key.take();
        if let Some(record) = &mut self.frame.record {
            match key {
                Some(key) => self.build.slot(record, key, value)?,
                None => self.build.push(record, value)?,
            }
        }
        self.frame.items += 1;
        self.frame.separated = false;
        Ok(())
    }

    // -- expressions

    fn expression(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        let Some(c) = self.scan.peek() else {
            self.state = State::After;
            return Ok(());
        };
        match c {
            b'@' => return self.attribute(),
            b'{' => return self.open(Kind::Braces),
            b'[' => return self.open(Kind::Markup),
            b'(' => {
                let expression = std::mem::replace(&mut self.frame.expression, Expression::Nothing);
                return self.open_frame(Frame::new(Kind::Group { negative: false }, None, expression));
            }
            b'"' | b'\'' => {
                let text = self.scan.string().map_err(|fault| *fault)?;
                self.add(Expression::Text(text))?;
            }
            b'`' => {
                let text = self.scan.raw_string().map_err(|fault| *fault)?;
                self.add(Expression::Text(Cow::Owned(text)))?;
            }
            b'%' => {
                let bytes = self.scan.data().map_err(|fault| *fault)?;
                let value = self.build.data(bytes)?;
                self.add(Expression::Value(value))?;
            }
            b'0'..=b'9' => self.number(false)?,
            b'-' => return self.minus(),
            b'+' | b'!' | b'~' | b'$' => {
                return Err(ReconError { offset: self.scan.at, reason: self.no_expressions() }.into());
            }
            _ if self.scan.at_ident() => match self.scan.ident() {
                word @ ("true" | "false") => {
                    let value = self.build.bool(word == "true");
                    self.add(Expression::Value(value))?;
                }
                word => self.add(Expression::Text(Cow::Borrowed(word)))?,
            },
            // Nothing, or only attributes, stand here; what comes is the business of who is around.
            _ => {}
        }
        self.state = State::After;
        Ok(())
    }

    fn number(&mut self, negative: bool) -> Result<(), B::Error> {
        let (number, end) = number::read(self.scan.bytes, self.scan.at, negative).map_err(|fault| *fault)?;
        self.scan.at = end;
        self.add(Expression::Number(number))
    }

    /// Minus signs, and the number or the group behind them.
    fn minus(&mut self) -> Result<(), B::Error> {
        let mut negative = false;
        while self.scan.peek() == Some(b'-') {
            negative = !negative;
            self.scan.at += 1;
            self.scan.skip_spaces();
        }
        match self.scan.peek() {
            Some(b'0'..=b'9') => {
                self.number(negative)?;
                self.state = State::After;
                Ok(())
            }
            Some(b'(') => self.open_frame(Frame::new(Kind::Group { negative }, None, Expression::Nothing)),
            Some(_) if self.starts_expression() => {
                let reason = "selectors and expressions are not supported (`-`): only a number has a sign".to_string();
                Err(ReconError { offset: self.scan.at, reason }.into())
            }
            _ => Err(self.unexpected("a digit").into()),
        }
    }

    /// Adds a value to the expression.
    fn add(&mut self, value: Expression<'a, B>) -> Result<(), B::Error> {
        if matches!(self.frame.expression, Expression::Nothing) {
            self.frame.expression = value;
            return Ok(());
        }
        let value = self.value_of(value)?;
        let mut record = self.take_record()?;
        self.build.push(&mut record, value)?;
        self.frame.expression = Expression::Record(record);
        Ok(())
    }

    /// What has been read of the expression, as a record to go on with.
    fn take_record(&mut self) -> Result<B::Record, B::Error> {
        match std::mem::replace(&mut self.frame.expression, Expression::Nothing) {
            Expression::Record(record) => Ok(record),
            Expression::Nothing => Ok(self.build.record()),
            scalar => {
                let value = self.value_of(scalar)?;
                let mut record = self.build.record();
                self.build.push(&mut record, value)?;
                Ok(record)
            }
        }
    }

    /// An attribute whose `@` is next.
    fn attribute(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        let start = self.scan.at;
        let name = match self.scan.peek() {
            Some(b'"' | b'\'') => self.scan.string().map_err(|fault| *fault)?,
            Some(_) if self.scan.at_ident() => match self.scan.ident() {
                word @ ("true" | "false") => {
                    let reason = format!("`{word}` is no name of an attribute: write @\"{word}\"");
                    return Err(ReconError { offset: start, reason }.into());
                }
                word => Cow::Borrowed(word),
            },
            _ => return Err(self.unexpected("the name of an attribute").into()),
        };
        if self.scan.peek() == Some(b'(') {
            let record = Some(self.build.record());
            self.open_frame(Frame::new(Kind::Arguments(name), record, Expression::Nothing))?;
            self.state = State::Item;
            return Ok(());
        }
        if self.only_attribute && self.outer.is_empty() {
            self.attribute = Some((name, None));
            self.state = State::Done;
            return Ok(());
        }
        let value = self.build.extant();
        self.end_attribute(name, value)
    }

    fn end_attribute(&mut self, name: Cow<'a, str>, value: B::Value) -> Result<(), B::Error> {
        let mut record = self.take_record()?;
        self.build.attr(&mut record, name, value)?;
        if !matches!(self.frame.kind, Kind::Markup) {
            self.frame.expression = Expression::Record(record);
            self.state = State::Expression;
            return Ok(());
        }
        // In markup each attribute is an item of its own, with the braces right behind it.
        match self.scan.peek() {
            Some(c @ (b'{' | b'[')) => {
                self.frame.expression = Expression::Record(record);
                self.open(if c == b'{' { Kind::Braces } else { Kind::Markup })
            }
            _ => {
                let value = self.build.end(record, self.scan.at)?;
                self.push(value)?;
                self.state = State::Markup;
                Ok(())
            }
        }
    }

    fn push(&mut self, value: B::Value) -> Result<(), B::Error> {
        if let Some(record) = &mut self.frame.record {
            self.build.push(record, value)?;
        }
        self.frame.items += 1;
        Ok(())
    }

    /// The end of an expression, or an attribute behind its value.
    fn after(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        if self.scan.peek() == Some(b'@') {
            self.state = State::Expression;
            return Ok(());
        }
        match self.frame.kind {
            Kind::Group { negative } => match self.scan.peek() {
                Some(b')') => self.close_group(negative),
                Some(b',') => {
                    let reason = "selectors and expressions are not supported (`(a,b)`): write `{a,b}`".to_string();
                    Err(ReconError { offset: self.scan.at, reason }.into())
                }
                _ => Err(self.unexpected("`)`").into()),
            },
            _ => self.end_item(),
        }
    }

    // -- frames

    /// Opens the brace or bracket that is next, behind what has been read of the expression.
    fn open(&mut self, kind: Kind<'a>) -> Result<(), B::Error> {
        let state = if matches!(kind, Kind::Markup) { State::Markup } else { State::Item };
        let record = self.take_record()?;
        self.open_frame(Frame::new(kind, Some(record), Expression::Nothing))?;
        self.state = state;
        Ok(())
    }

    fn open_frame(&mut self, frame: Frame<'a, B>) -> Result<(), B::Error> {
        if self.outer.len() == MAX_DEPTH {
            let reason = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(ReconError { offset: self.scan.at, reason }.into());
        }
        self.scan.at += 1;
        self.outer.push(std::mem::replace(&mut self.frame, frame));
        self.state = State::Expression;
        Ok(())
    }

    /// Leaves the innermost frame; gives it.
    fn leave(&mut self) -> Option<Frame<'a, B>> {
        let outer = self.outer.pop()?;
        Some(std::mem::replace(&mut self.frame, outer))
    }

    /// The closing brace or bracket is next.
    fn close_record(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        self.close()
    }

    fn close(&mut self) -> Result<(), B::Error> {
        let Some(frame) = self.leave() else { return Ok(()) };
        let Some(record) = frame.record else { return Ok(()) };
        if !matches!(self.frame.kind, Kind::Markup) {
            self.frame.expression = Expression::Record(record);
            self.state = State::After;
            return Ok(());
        }
        if frame.spliced {
            self.frame.record = Some(record);
        } else {
            let value = self.build.end(record, self.scan.at)?;
            self.push(value)?;
        }
        self.state = State::Markup;
        Ok(())
    }

    /// The closing parenthesis of arguments is next.
    fn close_arguments(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        let Some(frame) = self.leave() else { return Ok(()) };
        let (Kind::Arguments(name), Some(record)) = (frame.kind, frame.record) else { return Ok(()) };
        let value = match frame.items {
            0 => None,
            _ => Some(self.build.block(record, self.scan.at)?),
        };
        if self.only_attribute && self.outer.is_empty() {
            self.attribute = Some((name, value));
            self.state = State::Done;
            return Ok(());
        }
        let value = match value {
            Some(value) => value,
            None => self.build.extant(),
        };
        self.end_attribute(name, value)
    }

    /// The closing parenthesis of a group is next.
    fn close_group(&mut self, negative: bool) -> Result<(), B::Error> {
        let Some(frame) = self.leave() else { return Ok(()) };
        match frame.expression {
            Expression::Number(number) if negative => self.add(Expression::Number(number.negated()))?,
            _ if negative => {
                let reason = "selectors and expressions are not supported (`-`): only a number has a sign".to_string();
                return Err(ReconError { offset: self.scan.at, reason }.into());
            }
            Expression::Nothing => {
                let value = self.build.extant();
                self.add(Expression::Value(value))?;
            }
            // It had taken over what stood before it.
            other => self.add(other)?,
        }
        self.scan.at += 1;
        self.state = State::After;
        Ok(())
    }

    // -- markup

    /// The text of `[…]` up to what is no text.
    fn markup(&mut self) -> Result<(), B::Error> {
        let opened = self.scan.at;
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let start = self.scan.at;
            while let Some(c) = self.scan.peek()
                && !matches!(c, b'@' | b'[' | b']' | b'{' | b'}' | b'\\')
            {
                self.scan.at += 1;
            }
            let run = &self.scan.text[start..self.scan.at];
            match &mut text {
                Cow::Borrowed("") => text = Cow::Borrowed(run),
                text => text.to_mut().push_str(run),
            }
            match self.scan.peek() {
                Some(b'\\') => {
                    let c = self.scan.escape(false).map_err(|fault| *fault)?;
                    text.to_mut().push(c);
                }
                Some(b'}') => return Err(self.unexpected("`]`: write \\} in markup").into()),
                None => return Err(self.unexpected("`]`").into()),
                _ => break,
            }
        }
        if self.scan.at > opened {
            let value = self.build.text(text)?;
            self.push(value)?;
        }
        match self.scan.peek() {
            Some(b'@') => self.attribute(),
            Some(b']') => self.close_record(),
            c => {
                let kind = if c == Some(b'{') { Kind::Braces } else { Kind::Markup };
                let state = if matches!(kind, Kind::Markup) { State::Markup } else { State::Item };
                let record = self.frame.record.take();
                self.open_frame(Frame { spliced: true, ..Frame::new(kind, record, Expression::Nothing) })?;
                self.state = state;
                Ok(())
            }
        }
    }
}

/// Builds nothing: only the grammar is checked.
struct Nothing;

impl<'a> Build<'a> for Nothing {
    type Value = ();
    type Record = ();
    type Error = ReconError;

    fn absent(&mut self) {}
    fn extant(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn number(&mut self, _: Number, _: usize) -> Result<(), ReconError> {
        Ok(())
    }
    fn text(&mut self, _: Cow<'a, str>) -> Result<(), ReconError> {
        Ok(())
    }
    fn data(&mut self, _: Vec<u8>) -> Result<(), ReconError> {
        Ok(())
    }
    fn record(&mut self) {}
    fn push(&mut self, (): &mut (), (): ()) -> Result<(), ReconError> {
        Ok(())
    }
    fn slot(&mut self, (): &mut (), _: Key<'a, ()>, (): ()) -> Result<(), ReconError> {
        Ok(())
    }
    fn attr(&mut self, (): &mut (), _: Cow<'a, str>, (): ()) -> Result<(), ReconError> {
        Ok(())
    }
    fn end(&mut self, (): (), _: usize) -> Result<(), ReconError> {
        Ok(())
    }
    fn block(&mut self, (): (), _: usize) -> Result<(), ReconError> {
        Ok(())
    }
}
