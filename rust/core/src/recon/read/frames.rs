//! Braces, brackets and parentheses, opened and closed.

use super::waiting::{Waiting, What};
use super::{Expression, Frame, Kind, Place, Reader, State};
use crate::recon::MAX_DEPTH;
use crate::recon::build::Build;
use crate::recon::expression::Operation;

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// Opens the brace or bracket `c` that is next: in the record of the run, or with a record of its own.
    pub(super) fn open_as(&mut self, c: u8, place: Place) -> Result<(), B::Error> {
        let (kind, state) = match c {
            b'{' => (Kind::Braces, State::Item),
            _ => (Kind::Markup, State::Markup),
        };
        let record = match place {
            Place::Run => {
                self.check_open()?;
                self.take_record()?
            }
            _ => self.build.record(),
        };
        self.open_frame(Frame::new(kind, place, Some(record)))?;
        self.state = state;
        Ok(())
    }

    /// Opens the parenthesis that is next: with the record of the run, which makes what stands in it flat, or not.
    #[cold]
    pub(super) fn open_group(&mut self, place: Place) -> Result<(), B::Error> {
        let place = if self.frame.flat_sum.is_some() && place == Place::Operand { Place::Run } else { place };
        let mut frame = Frame::new(Kind::Group, place, None);
        if place == Place::Run {
            (frame.flat, frame.sealed) = (true, self.frame.sealed);
            frame.expression = Expression::Record(self.take_record()?);
        }
        self.open_frame(frame)
    }

    pub(super) fn open_frame(&mut self, mut frame: Frame<'a, B>) -> Result<(), B::Error> {
        let waiting = self.waiting.len();
        if self.outer.len() + waiting >= MAX_DEPTH {
            return Err(self.too_deep().into());
        }
        // Not above `MAX_DEPTH`.
        frame.base = waiting as u32;
        self.scan.at += 1;
        self.outer.push(std::mem::replace(&mut self.frame, frame));
        self.state = State::Run;
        Ok(())
    }

    /// Leaves the innermost frame; gives it.
    pub(super) fn leave(&mut self) -> Option<Frame<'a, B>> {
        let outer = self.outer.pop()?;
        let frame = std::mem::replace(&mut self.frame, outer);
        self.frame.height = self.frame.height.max(1 + frame.highest.max(frame.height));
        Some(frame)
    }

    /// The closing brace or bracket is next.
    pub(super) fn close_record(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        self.close()
    }

    pub(super) fn close(&mut self) -> Result<(), B::Error> {
        let Some(frame) = self.leave() else { return Ok(()) };
        let Some(record) = frame.record else { return Ok(()) };
        match frame.place {
            Place::Spliced => {
                self.frame.record = Some(record);
                self.frame.items += frame.items;
                self.state = State::Markup;
            }
            Place::Run if matches!(self.frame.kind, Kind::Markup) => {
                let value = self.build.end(record, self.scan.at)?;
                self.push(value)?;
                self.state = State::Markup;
            }
            Place::Run => {
                self.frame.expression = Expression::Record(record);
                return self.after_record();
            }
            Place::Key => {
                let key = match frame.items {
                    0 => self.build.absent(),
                    _ => self.build.block(record, self.scan.at)?,
                };
                return self.key(Expression::Value(key));
            }
            Place::Operand | Place::Nowhere => {
                let value = self.build.end(record, self.scan.at)?;
                return self.primary(Expression::Value(value));
            }
        }
        Ok(())
    }

    /// The closing parenthesis of arguments is next.
    pub(super) fn close_arguments(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        let Some(frame) = self.leave() else { return Ok(()) };
        let Some(record) = frame.record else { return Ok(()) };
        let value = match frame.items {
            0 => None,
            _ => Some(self.build.block(record, self.scan.at)?),
        };
        let Kind::Arguments(name) = frame.kind else { return self.close_call(frame.place, value) };
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

    fn close_call(&mut self, place: Place, arguments: Option<B::Value>) -> Result<(), B::Error> {
        if place == Place::Nowhere {
            return self.after_record();
        }
        let Some(Waiting { at, what: What::Call(function) }) = self.waiting.pop() else { return Ok(()) };
        let function = self.value_of(function)?;
        let arguments = match arguments {
            Some(arguments) => arguments,
            None => self.build.extant(),
        };
        self.grow()?;
        let value = self.build.operation(Operation::Invoke(function, arguments), at)?;
        self.primary(Expression::Value(value))
    }

    /// After an expression in a group: a comma makes it a record, which takes all that follows.
    #[cold]
    pub(super) fn after_group_item(&mut self) -> Result<(), B::Error> {
        if self.frame.place == Place::Key {
            // No item of a record, but a key: lines may end before its parenthesis.
            while matches!(self.scan.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                self.scan.at += 1;
            }
        }
        match self.scan.peek() {
            Some(b')') => self.close_group(),
            Some(b',') if self.frame.place != Place::Key => {
                if !self.frame.flat {
                    let expression = self.take_expression();
                    let value = self.value_of(expression)?;
                    let mut record = self.build.record();
                    self.build.push(&mut record, value)?;
                    self.frame.expression = Expression::Record(record);
                    (self.frame.flat, self.frame.sealed) = (true, false);
                }
                self.scan.at += 1;
                self.state = State::Run;
                Ok(())
            }
            _ => Err(self.unexpected("`)`").into()),
        }
    }

    /// The closing parenthesis of a group is next.
    fn close_group(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        let Some(frame) = self.leave() else { return Ok(()) };
        let value = match frame.expression {
            expression if frame.place == Place::Run => {
                self.frame.expression = expression;
                self.frame.sealed = frame.sealed;
                return self.after_record();
            }
            Expression::Record(record) => Expression::Value(self.build.end(record, self.scan.at)?),
            Expression::Nothing => Expression::Value(self.build.extant()),
            scalar => scalar,
        };
        match frame.place {
            Place::Key => self.key(value),
            _ => self.primary(value),
        }
    }
}
