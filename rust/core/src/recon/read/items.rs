//! Items between separators: plain values and slots.

use std::borrow::Cow;

use super::{Expression, Kind, Reader, State};
use crate::decode::number as json;
use crate::recon::ReconError;
use crate::recon::build::{Build, Key};
use crate::recon::number::Number;
use crate::recon::scan::Plain;

impl<'a, B: Build<'a>> Reader<'a, B> {
    pub(super) fn item(&mut self) -> Result<(), B::Error> {
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
            Kind::Arguments(_) | Kind::Call => match c {
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
        self.state = State::Run;
        Ok(())
    }

    /// Members as most writers write them, `name:value` with a plain value: `{a:1,b:"x"}`. Stops where another item
    /// begins, or the closing brace.
    #[inline]
    pub(super) fn members(&mut self) -> Result<(), B::Error> {
        let Some(mut record) = self.frame.record.take() else { return Ok(()) };
        let result = self.members_of(&mut record);
        self.frame.record = Some(record);
        result
    }

    #[inline(always)]
    pub(super) fn members_of(&mut self, record: &mut B::Record) -> Result<(), B::Error> {
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

    pub(super) fn starts_expression(&self) -> bool {
        match self.scan.peek() {
            Some(
                b'!' | b'"' | b'$' | b'%' | b'\'' | b'(' | b'+' | b'-' | b'0'..=b'9' | b'@' | b'[' | b'{' | b'`' | b'~',
            ) => true,
            _ => self.scan.at_ident(),
        }
    }

    /// The end of an expression in a place of items.
    pub(super) fn end_item(&mut self) -> Result<(), B::Error> {
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
            Some(b')') if matches!(self.frame.kind, Kind::Arguments(_) | Kind::Call) => return self.close_arguments(),
            None if matches!(self.frame.kind, Kind::Top) => self.state = State::Done,
            _ => {
                let expected = match self.frame.kind {
                    Kind::Braces => "a separator or `}`",
                    Kind::Arguments(_) | Kind::Call => "a separator or `)`",
                    _ => "a separator or the end",
                };
                return Err(self.unexpected_after_value(expected).into());
            }
        }
        Ok(())
    }

    /// As `unexpected`, where a value has just been committed: operators are told apart.
    #[cold]
    pub(super) fn unexpected_after_value(&self, expected: &str) -> ReconError {
        match self.scan.peek() {
            Some(b'*' | b'/' | b'%' | b'.') if !self.build.takes_expressions() => self.no_expressions(),
            _ => self.unexpected(expected),
        }
    }

    /// What stands before the colon that is next becomes the key of a slot.
    pub(super) fn end_key(&mut self) -> Result<(), B::Error> {
        if self.rules.one_value && self.outer.is_empty() {
            return Err(self.unexpected("the end: a body is one value").into());
        }
        self.scan.at += 1;
        self.frame.key = Some(match std::mem::replace(&mut self.frame.expression, Expression::Nothing) {
            Expression::Text(text) => Key::Text(text),
            other => Key::Other(self.value_of(other)?),
        });
        self.frame.sealed = false;
        self.scan.skip_spaces();
        // swim-java takes a record that is cut off right behind a colon, if no other encloses it.
        if self.scan.peek().is_none()
            && matches!(self.frame.kind, Kind::Braces)
            && matches!(&self.outer[..], [top] if matches!(top.kind, Kind::Top))
        {
            self.commit()?;
            return self.close();
        }
        self.state = State::Run;
        Ok(())
    }

    pub(super) fn value_of(&mut self, expression: Expression<'a, B>) -> Result<B::Value, B::Error> {
        Ok(match expression {
            Expression::Nothing => self.build.extant(),
            Expression::Text(text) => self.build.text(text)?,
            Expression::Number(number) => self.build.number(number, self.scan.at)?,
            Expression::Value(value) => value,
            Expression::Record(record) => self.build.end(record, self.scan.at)?,
        })
    }

    /// Adds what has been read as an item of the frame.
    pub(super) fn commit(&mut self) -> Result<(), B::Error> {
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
        self.frame.highest = self.frame.highest.max(self.frame.height);
        self.frame.height = 0;
        self.frame.sealed = false;
        Ok(())
    }
}
