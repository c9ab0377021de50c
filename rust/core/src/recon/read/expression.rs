//! Expressions: runs of attributes and values.

use std::borrow::Cow;

use super::{Expression, Frame, Kind, Reader, State};
use crate::recon::ReconError;
use crate::recon::build::Build;
use crate::recon::number;

impl<'a, B: Build<'a>> Reader<'a, B> {
    pub(super) fn expression(&mut self) -> Result<(), B::Error> {
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

    pub(super) fn number(&mut self, negative: bool) -> Result<(), B::Error> {
        let (number, end) = number::read(self.scan.bytes, self.scan.at, negative).map_err(|fault| *fault)?;
        self.scan.at = end;
        self.add(Expression::Number(number))
    }

    /// Minus signs, and the number or the group behind them.
    pub(super) fn minus(&mut self) -> Result<(), B::Error> {
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
    pub(super) fn add(&mut self, value: Expression<'a, B>) -> Result<(), B::Error> {
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
    pub(super) fn take_record(&mut self) -> Result<B::Record, B::Error> {
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
    pub(super) fn attribute(&mut self) -> Result<(), B::Error> {
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

    pub(super) fn end_attribute(&mut self, name: Cow<'a, str>, value: B::Value) -> Result<(), B::Error> {
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

    pub(super) fn push(&mut self, value: B::Value) -> Result<(), B::Error> {
        if let Some(record) = &mut self.frame.record {
            self.build.push(record, value)?;
        }
        self.frame.items += 1;
        Ok(())
    }

    /// The end of an expression, or an attribute behind its value.
    pub(super) fn after(&mut self) -> Result<(), B::Error> {
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
}
