//! Braces, brackets and parentheses, opened and closed.

use super::{Expression, Frame, Kind, Reader, State};
use crate::recon::build::Build;
use crate::recon::{MAX_DEPTH, ReconError};

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// Opens the brace or bracket that is next, behind what has been read of the expression.
    pub(super) fn open(&mut self, kind: Kind<'a>) -> Result<(), B::Error> {
        let state = if matches!(kind, Kind::Markup) { State::Markup } else { State::Item };
        let record = self.take_record()?;
        self.open_frame(Frame::new(kind, Some(record), Expression::Nothing))?;
        self.state = state;
        Ok(())
    }

    pub(super) fn open_frame(&mut self, frame: Frame<'a, B>) -> Result<(), B::Error> {
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
    pub(super) fn leave(&mut self) -> Option<Frame<'a, B>> {
        let outer = self.outer.pop()?;
        Some(std::mem::replace(&mut self.frame, outer))
    }

    /// The closing brace or bracket is next.
    pub(super) fn close_record(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        self.close()
    }

    pub(super) fn close(&mut self) -> Result<(), B::Error> {
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
    pub(super) fn close_arguments(&mut self) -> Result<(), B::Error> {
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
    pub(super) fn close_group(&mut self, negative: bool) -> Result<(), B::Error> {
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
}
