//! Operators, and the parentheses behind a function.

use super::waiting::{Waiting, What};
use super::{Expression, FlatSum, Frame, Kind, Place, Reader, State};
use crate::recon::build::Build;
use crate::recon::expression::{Operator, level};
use crate::recon::number;

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// Before an operand: its prefix operators, or a value.
    #[cold]
    pub(super) fn operand(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        match self.scan.peek() {
            Some(b'!' | b'~' | b'-' | b'+') => self.prefix(),
            Some(b'(') => self.open_group(Place::Operand),
            Some(c @ (b'{' | b'[')) => self.open_as(c, self.place_of_operand()),
            Some(b'$') => self.selector(),
            _ => {
                let value = self.literal()?.unwrap_or(Expression::Nothing);
                self.primary(value)
            }
        }
    }

    fn place_of_operand(&self) -> Place {
        if self.frame.flat_sum.is_some() { Place::Run } else { Place::Operand }
    }

    /// The prefix operator that is next; a minus before digits belongs to the number.
    #[cold]
    pub(super) fn prefix(&mut self) -> Result<(), B::Error> {
        let at = self.scan.at;
        let operator = match self.scan.peek() {
            Some(b'-') => return self.minus(),
            Some(b'!') => Operator::Not,
            Some(b'~') => Operator::BitNot,
            _ => Operator::Positive,
        };
        self.allow_expression()?;
        self.scan.at += 1;
        self.wait_for_operand(operator, at)
    }

    fn minus(&mut self) -> Result<(), B::Error> {
        let at = self.scan.at;
        let mut signs = 0;
        while self.scan.peek() == Some(b'-') {
            signs += 1;
            self.scan.at += 1;
            self.scan.skip_spaces();
        }
        if self.frame.flat_sum.is_some() {
            return self.wait_for_operand(Operator::Negative, at);
        }
        if matches!(self.scan.peek(), Some(b'0'..=b'9')) {
            let start = self.scan.at;
            let (number, end) = number::read(self.scan.bytes, start, signs % 2 == 1).map_err(|fault| *fault)?;
            self.scan.at = end;
            self.scan.skip_spaces();
            if self.scan.peek() != Some(b'(') {
                return self.primary(Expression::Number(if signs > 1 { number.plain() } else { number }));
            }
            // The number is a function, and the sign that of what it gives.
            self.scan.at = start;
        } else if !self.starts_expression() {
            return Err(self.unexpected("a value").into());
        }
        for _ in 0..signs {
            self.wait_for_operand(Operator::Negative, at)?;
        }
        Ok(())
    }

    fn wait_for_operand(&mut self, operator: Operator, at: usize) -> Result<(), B::Error> {
        self.state = State::Operand;
        match &mut self.frame.flat_sum {
            Some(flat) => flat.prefix = true,
            None => self.wait(at, What::Prefix(operator))?,
        }
        Ok(())
    }

    /// A value has been read where an operand may stand.
    #[cold]
    pub(super) fn primary(&mut self, value: Expression<'a, B>) -> Result<(), B::Error> {
        if let Some(What::Selector(_)) = self.last() {
            return self.key(value);
        }
        if self.frame.flat_sum.is_some() {
            if !matches!(value, Expression::Nothing) {
                self.add(value)?;
            }
            return self.after_record();
        }
        self.scan.skip_spaces();
        let at = self.scan.at;
        if self.scan.peek() == Some(b'(') {
            self.allow_expression()?;
            self.wait(at, What::Call(value))?;
            return self.open_call(Place::Operand);
        }
        let value = self.prefixed(value)?;
        let Some(operator) = self.sum_operator() else {
            let value = self.summed(value, level::SUM)?;
            self.add(value)?;
            self.state = State::After;
            return Ok(());
        };
        self.allow_expression()?;
        self.scan.at += 1;
        let left = self.summed(value, operator.level())?;
        let left = self.value_of(left)?;
        self.state = State::Operand;
        self.wait(at, What::Infix(operator, Some(left)))
    }

    fn sum_operator(&self) -> Option<Operator> {
        Some(match self.scan.peek()? {
            b'+' => Operator::Plus,
            b'-' => Operator::Minus,
            b'*' => Operator::Times,
            b'/' => Operator::Divide,
            b'%' => Operator::Modulo,
            _ => return None,
        })
    }

    /// After a record that is the run's own: operators that follow make it a flat run.
    #[inline]
    pub(super) fn after_record(&mut self) -> Result<(), B::Error> {
        self.scan.skip_spaces();
        let operator = matches!(self.scan.peek(), Some(b'(' | b'+' | b'-' | b'*' | b'/' | b'%'));
        if operator || self.frame.flat_sum.is_some() {
            return self.after_flat();
        }
        self.state = State::After;
        Ok(())
    }

    #[cold]
    fn after_flat(&mut self) -> Result<(), B::Error> {
        match self.scan.peek() {
            Some(b'(') => {
                self.allow_expression()?;
                self.open_call(Place::Nowhere)
            }
            Some(c @ (b'+' | b'-' | b'*' | b'/' | b'%')) => {
                self.allow_expression()?;
                self.scan.at += 1;
                self.state = State::Operand;
                self.flat_operator(matches!(c, b'+' | b'-'));
                Ok(())
            }
            _ => {
                let FlatSum { sum, product, prefix } = self.frame.flat_sum.take().unwrap_or_default();
                self.frame.sealed |= sum || product || prefix;
                self.state = State::After;
                Ok(())
            }
        }
    }

    fn flat_operator(&mut self, is_sum: bool) {
        let before = self.frame.flat_sum.unwrap_or_default();
        self.frame.sealed |= before.prefix || before.product || (before.sum && is_sum);
        let sum = before.sum || is_sum;
        self.frame.flat_sum = Some(FlatSum { sum, product: !is_sum, prefix: false });
    }

    fn open_call(&mut self, place: Place) -> Result<(), B::Error> {
        let record = Some(self.build.record());
        self.open_frame(Frame::new(Kind::Call, place, record))?;
        self.state = State::Item;
        Ok(())
    }

    /// An operator between runs is next.
    #[cold]
    pub(super) fn between_runs(&mut self) -> Result<(), B::Error> {
        self.allow_expression()?;
        let compared = matches!(self.last(), Some(What::Infix(operator, _)) if operator.level() == level::COMPARISON);
        let (operator, length) = match &self.scan.bytes[self.scan.at..] {
            // Comparisons have no order among themselves; swim-java takes `>` behind one for the end of `=>`.
            [b'>', ..] if compared => return self.lambda(1),
            [b'=' | b'<' | b'!', ..] if compared => return Err(self.unexpected("the end of the comparison").into()),
            [b'=', b'>', ..] => return self.lambda(2),
            [b'?', ..] => return self.condition(),
            [b'|', b'|', ..] => (Operator::Or, 2),
            [b'&', b'&', ..] => (Operator::And, 2),
            [b'<', b'=', ..] => (Operator::LessOrEqual, 2),
            [b'=', b'=', ..] => (Operator::Equal, 2),
            [b'!', b'=', ..] => (Operator::NotEqual, 2),
            [b'>', b'=', ..] => (Operator::GreaterOrEqual, 2),
            [b'|', _, ..] => (Operator::BitOr, 1),
            [b'&', _, ..] => (Operator::BitAnd, 1),
            [b'<', _, ..] => (Operator::Less, 1),
            [b'>', _, ..] => (Operator::Greater, 1),
            [b'^', ..] => (Operator::BitXor, 1),
            _ => return Err(self.unexpected("an operator").into()),
        };
        let at = self.scan.at;
        self.scan.at += length;
        self.complete(operator.level())?;
        let left = self.take_operand()?;
        self.state = State::Run;
        self.wait(at, What::Infix(operator, left))
    }

    fn condition(&mut self) -> Result<(), B::Error> {
        let at = self.scan.at;
        self.scan.at += 1;
        self.complete(level::OR)?;
        let condition = self.take_operand()?;
        self.state = State::Run;
        self.wait(at, What::If(condition))
    }

    fn lambda(&mut self, length: usize) -> Result<(), B::Error> {
        let at = self.scan.at;
        self.complete(level::CONDITIONAL)?;
        if self.last().is_some() {
            return Err(self.unexpected("the end of the expression").into());
        }
        self.scan.at += length;
        let bindings = self.take_expression();
        let flat = std::mem::take(&mut self.frame.flat).then_some(self.frame.sealed);
        self.frame.sealed = false;
        self.state = State::Run;
        self.wait(at, What::Lambda(bindings, flat))
    }

    /// Completes all that waits for the end of the expression. False: a colon was next, and was that of a condition.
    #[cold]
    pub(super) fn end_operators(&mut self) -> Result<bool, B::Error> {
        let colon = self.scan.peek() == Some(b':');
        if colon {
            self.complete(level::CONDITIONAL)?;
            if let Some(What::If(_)) = self.last() {
                return self.colon().map(|()| false);
            }
        }
        self.complete(level::LAMBDA)?;
        match self.last() {
            None => Ok(true),
            Some(_) => Err(self.unexpected("`:` and what holds otherwise").into()),
        }
    }

    fn colon(&mut self) -> Result<(), B::Error> {
        let Some(Waiting { at, what: What::If(condition) }) = self.waiting.pop() else { return Ok(()) };
        let yes = self.take_operand()?;
        self.scan.at += 1;
        self.state = State::Run;
        self.wait(at, What::Else(condition.zip(yes)))
    }
}
