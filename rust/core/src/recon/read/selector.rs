//! Selectors: `$a.b[c]`.

use super::waiting::{Waiting, What};
use super::{Expression, Frame, Kind, Place, Reader, State};
use crate::recon::build::Build;
use crate::recon::number;
use crate::recon::selector::Step;

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// The `$` is next.
    #[cold]
    pub(super) fn selector(&mut self) -> Result<(), B::Error> {
        self.allow_expression()?;
        let at = self.scan.at;
        self.scan.at += 1;
        self.state = State::Selector;
        self.wait(at, What::Selector(Vec::new()))
    }

    /// After the `$`, or after a `.`.
    #[cold]
    pub(super) fn step(&mut self, first: bool) -> Result<(), B::Error> {
        let step = match &self.scan.bytes[self.scan.at..] {
            [b'[', ..] if first => return self.filter(),
            [b'#', ..] if first => return self.index(),
            [b'@', ..] => return self.attribute_step(),
            [b':', b'*', ..] => Step::Values,
            [b':', ..] => {
                self.scan.at += 1;
                return Err(self.unexpected("`*`").into());
            }
            [b'*', b':', ..] => Step::Keys,
            [b'*', b'*', ..] => Step::Descendants,
            [b'*', ..] => {
                self.scan.at += 1;
                return self.add_step(Step::Children);
            }
            [] => return Err(self.unexpected("a step of the selector").into()),
            _ => return self.read_key(),
        };
        self.scan.at += 2;
        self.add_step(step)
    }

    /// After a step: another one, or the end of the selector.
    #[cold]
    pub(super) fn steps(&mut self) -> Result<(), B::Error> {
        match self.scan.peek() {
            Some(b'[') => self.filter(),
            Some(b'#') => self.index(),
            Some(b'.') => {
                self.scan.at += 1;
                self.state = State::Step;
                Ok(())
            }
            _ => {
                let Some(Waiting { at, what: What::Selector(steps) }) = self.waiting.pop() else { return Ok(()) };
                self.grow()?;
                let selector = self.build.selector(steps, at)?;
                self.primary(Expression::Value(selector))
            }
        }
    }

    fn add_step(&mut self, step: Step<B::Value>) -> Result<(), B::Error> {
        if let Some(Waiting { what: What::Selector(steps), .. }) = self.waiting.last_mut() {
            steps.push(step);
        }
        self.state = State::Steps;
        Ok(())
    }

    fn attribute_step(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        if !self.scan.at_ident() {
            return Err(self.unexpected("the bare name of an attribute").into());
        }
        let start = self.scan.at;
        match self.scan.ident() {
            "true" | "false" => {
                self.scan.at = start;
                Err(self.unexpected("the name of an attribute, no bool").into())
            }
            name => self.add_step(Step::GetAttr(name.into())),
        }
    }

    fn index(&mut self) -> Result<(), B::Error> {
        let (index, end) = number::index(self.scan.bytes, self.scan.at + 1).map_err(|fault| *fault)?;
        self.scan.at = end;
        self.add_step(Step::GetItem(index))
    }

    fn filter(&mut self) -> Result<(), B::Error> {
        self.open_frame(Frame::new(Kind::Filter, Place::Key, None))
    }

    /// The closing bracket of a filter is next.
    pub(super) fn close_filter(&mut self) -> Result<(), B::Error> {
        self.scan.at += 1;
        let Some(frame) = self.leave() else { return Ok(()) };
        let predicate = self.value_of(frame.expression)?;
        self.add_step(Step::Filter(predicate))
    }

    /// The key of a step; there may be none.
    fn read_key(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        let at = self.scan.at;
        match self.scan.peek() {
            Some(b'(') => self.open_group(Place::Key),
            Some(c @ (b'{' | b'[')) => self.open_as(c, Place::Key),
            Some(b'$') => self.selector(),
            Some(b'-') => {
                if !self.scan.bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    self.scan.at += 1;
                    return Err(self.unexpected("a digit").into());
                }
                let (number, end) = number::read(self.scan.bytes, at + 1, true).map_err(|fault| *fault)?;
                self.scan.at = end;
                self.key(Expression::Number(number))
            }
            _ => match self.literal()? {
                Some(value) => self.key(value),
                None => {
                    let absent = self.build.absent();
                    self.key(Expression::Value(absent))
                }
            },
        }
    }

    pub(super) fn key(&mut self, key: Expression<'a, B>) -> Result<(), B::Error> {
        let key = self.value_of(key)?;
        self.add_step(Step::Get(key))
    }
}
