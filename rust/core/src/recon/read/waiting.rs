//! What is not complete until more has been read.

use super::{Expression, Reader};
use crate::recon::build::Build;
use crate::recon::expression::{Operation, Operator, level};
use crate::recon::selector::Step;
use crate::recon::{MAX_DEPTH, ReconError};

pub(super) struct Waiting<'a, B: Build<'a>> {
    /// Where its operator stands.
    pub(super) at: usize,
    pub(super) what: What<'a, B>,
}

/// The values in it are None where the run is flat, which takes them.
pub(super) enum What<'a, B: Build<'a>> {
    /// The operand on the left.
    Infix(Operator, Option<B::Value>),
    Prefix(Operator),
    /// The condition; what holds if it does, too.
    If(Option<B::Value>),
    Else(Option<(B::Value, B::Value)>),
    /// What stands on the left; if it is a flat run, whether that is sealed.
    Lambda(Expression<'a, B>, Option<bool>),
    /// The function.
    Call(Expression<'a, B>),
    Selector(Vec<Step<B::Value>>),
}

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// The last thing that waits in this frame.
    pub(super) fn last(&self) -> Option<&What<'a, B>> {
        let own = self.waiting.len() > self.frame.base as usize;
        self.waiting.last().filter(|_| own).map(|waiting| &waiting.what)
    }

    pub(super) fn wait(&mut self, at: usize, what: What<'a, B>) -> Result<(), B::Error> {
        self.waiting.push(Waiting { at, what });
        self.within_depth()
    }

    /// One more level above what has been read of the expression.
    pub(super) fn grow(&mut self) -> Result<(), B::Error> {
        self.frame.height += 1;
        self.within_depth()
    }

    /// A tree is walked by recursion, so its operators count as levels.
    #[cold]
    fn within_depth(&self) -> Result<(), B::Error> {
        match self.outer.len() + self.waiting.len() + usize::from(self.frame.height) > MAX_DEPTH {
            false => Ok(()),
            true => Err(self.too_deep().into()),
        }
    }

    #[cold]
    pub(super) fn too_deep(&self) -> ReconError {
        ReconError { offset: self.scan.at, reason: format!("nested deeper than {MAX_DEPTH} levels") }
    }

    pub(super) fn take_expression(&mut self) -> Expression<'a, B> {
        std::mem::replace(&mut self.frame.expression, Expression::Nothing)
    }

    /// The value of the expression; None where the run is flat and goes on.
    pub(super) fn take_operand(&mut self) -> Result<Option<B::Value>, B::Error> {
        if self.frame.flat {
            return Ok(None);
        }
        let expression = self.take_expression();
        self.frame.sealed = false;
        self.value_of(expression).map(Some)
    }

    /// Refuses what comes if the record of the run takes no more.
    pub(super) fn check_open(&self) -> Result<(), B::Error> {
        match self.frame.sealed {
            false => Ok(()),
            true => Err(self.unexpected("the end: operators before it have closed its record").into()),
        }
    }

    /// `value` with the prefix operators that wait for it.
    pub(super) fn prefixed(&mut self, mut value: Expression<'a, B>) -> Result<Expression<'a, B>, B::Error> {
        while let Some(&What::Prefix(operator)) = self.last() {
            let at = self.waiting.pop().map_or(0, |waiting| waiting.at);
            value = match value {
                Expression::Nothing => return Err(self.unexpected("a value").into()),
                Expression::Number(number) if operator == Operator::Negative => Expression::Number(number.negated()),
                value => {
                    let value = self.value_of(value)?;
                    self.grow()?;
                    Expression::Value(self.build.operation(Operation::Prefix(operator, value), at)?)
                }
            };
        }
        Ok(value)
    }

    /// `right` with the sums and products that wait for it and bind at least as tight as `tightness`.
    pub(super) fn summed(
        &mut self,
        mut right: Expression<'a, B>,
        tightness: u8,
    ) -> Result<Expression<'a, B>, B::Error> {
        while matches!(self.last(), Some(What::Infix(operator, _)) if operator.level() >= tightness.max(level::SUM)) {
            let Some(Waiting { at, what: What::Infix(operator, Some(left)) }) = self.waiting.pop() else { break };
            let value = self.value_of(right)?;
            self.grow()?;
            right = Expression::Value(self.build.operation(Operation::Infix(operator, left, value), at)?);
        }
        Ok(right)
    }

    /// Completes, with the expression as the operand on the right, what waits for it and binds at least as tight as
    /// `tightness`: infix operators, conditions and functions of this frame.
    pub(super) fn complete(&mut self, tightness: u8) -> Result<(), B::Error> {
        loop {
            let ready = match self.last() {
                Some(What::Infix(operator, _)) => operator.level() >= tightness,
                Some(What::Else(_)) => level::CONDITIONAL >= tightness,
                Some(What::Lambda(..)) => level::LAMBDA >= tightness,
                _ => false,
            };
            if !ready {
                return Ok(());
            }
            let Some(Waiting { at, what }) = self.waiting.pop() else { return Ok(()) };
            let operation = match what {
                What::Infix(operator, Some(left)) => {
                    let expression = self.take_expression();
                    Operation::Infix(operator, left, self.value_of(expression)?)
                }
                What::Else(Some((condition, yes))) => {
                    let expression = self.take_expression();
                    Operation::Conditional(condition, yes, self.value_of(expression)?)
                }
                What::Lambda(bindings, Some(sealed)) => {
                    self.frame.expression = bindings;
                    (self.frame.flat, self.frame.sealed) = (true, sealed);
                    continue;
                }
                What::Lambda(bindings, None) => {
                    let template = self.take_expression();
                    let bindings = self.value_of(bindings)?;
                    Operation::Lambda(bindings, self.value_of(template)?)
                }
                // The operator of a flat run; a condition on a record is none.
                lost => {
                    self.frame.sealed |= matches!(lost, What::Infix(..));
                    continue;
                }
            };
            self.grow()?;
            self.frame.expression = Expression::Value(self.build.operation(operation, at)?);
        }
    }
}
