//! Runs of attributes and values.

use std::borrow::Cow;

use super::{Expression, Frame, Kind, Place, Reader, State};
use crate::recon::ReconError;
use crate::recon::build::Build;
use crate::recon::number;

impl<'a, B: Build<'a>> Reader<'a, B> {
    pub(super) fn run_part(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        match self.scan.peek() {
            Some(b'@') => return self.attribute(),
            Some(c @ (b'{' | b'[')) => return self.open_as(c, Place::Run),
            Some(b'(') => {
                let first = matches!(self.frame.expression, Expression::Nothing);
                return self.open_group(if first { Place::Operand } else { Place::Run });
            }
            Some(b'!' | b'~' | b'-' | b'+') => return self.prefix(),
            Some(b'$') => return self.selector(),
            _ => {}
        }
        // Where nothing, or only attributes, stand, what comes is the business of who is around.
        self.state = State::After;
        let Some(value) = self.literal()? else { return Ok(()) };
        self.scan.skip_spaces();
        match self.scan.peek() {
            Some(b'(' | b'+' | b'-' | b'*' | b'/' | b'%') => self.primary(value),
            _ => self.add(value),
        }
    }

    /// The value without brackets and signs that is next, if there is one.
    #[inline]
    pub(super) fn literal(&mut self) -> Result<Option<Expression<'a, B>>, B::Error> {
        let Some(c) = self.scan.peek() else { return Ok(None) };
        Ok(Some(match c {
            b'"' | b'\'' => Expression::Text(self.scan.string().map_err(|fault| *fault)?),
            b'`' => Expression::Text(Cow::Owned(self.scan.raw_string().map_err(|fault| *fault)?)),
            b'%' => {
                let bytes = self.scan.data().map_err(|fault| *fault)?;
                Expression::Value(self.build.data(bytes)?)
            }
            b'0'..=b'9' => {
                let (number, end) = number::read(self.scan.bytes, self.scan.at, false).map_err(|fault| *fault)?;
                self.scan.at = end;
                Expression::Number(number)
            }
            _ if self.scan.at_ident() => match self.scan.ident() {
                word @ ("true" | "false") => Expression::Value(self.build.bool(word == "true")),
                word => Expression::Text(Cow::Borrowed(word)),
            },
            _ => return Ok(None),
        }))
    }

    /// Adds a value to the run.
    pub(super) fn add(&mut self, value: Expression<'a, B>) -> Result<(), B::Error> {
        if matches!(self.frame.expression, Expression::Nothing) {
            self.frame.expression = value;
            return Ok(());
        }
        self.check_open()?;
        let value = self.value_of(value)?;
        let mut record = self.take_record()?;
        self.build.push(&mut record, value)?;
        self.frame.expression = Expression::Record(record);
        Ok(())
    }

    /// What has been read of the run, as a record to go on with.
    pub(super) fn take_record(&mut self) -> Result<B::Record, B::Error> {
        match self.take_expression() {
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
            self.open_frame(Frame::new(Kind::Arguments(name), Place::Run, record))?;
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
        self.check_open()?;
        let mut record = self.take_record()?;
        self.build.attr(&mut record, name, value)?;
        if !matches!(self.frame.kind, Kind::Markup) {
            self.frame.expression = Expression::Record(record);
            self.state = State::Run;
            return Ok(());
        }
        // In markup each attribute is an item of its own, with the braces right behind it.
        match self.scan.peek() {
            Some(c @ (b'{' | b'[')) => {
                self.frame.expression = Expression::Record(record);
                self.open_as(c, Place::Run)
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

    /// After a value of a run: another attribute, an operator, or the end of the expression.
    pub(super) fn after(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        match self.scan.peek() {
            Some(b'@') => {
                self.state = State::Run;
                return Ok(());
            }
            Some(b'=' | b'!' | b'<' | b'>' | b'&' | b'|' | b'^' | b'?') => return self.between_runs(),
            _ => {}
        }
        if self.waiting.len() > self.frame.base as usize && !self.end_operators()? {
            return Ok(());
        }
        match self.frame.kind {
            Kind::Group => self.after_group_item(),
            Kind::Filter => match self.scan.peek() {
                Some(b']') => self.close_filter(),
                _ => Err(self.unexpected("`]`").into()),
            },
            _ => self.end_item(),
        }
    }
}
