//! What a reader makes of a text: `Build`, and the one that makes nothing.

use std::borrow::Cow;

use super::ReconError;
use super::expression::Operation;
use super::number::Number;
use super::selector::Step;

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

    /// Whether the values can hold operations and selectors. If not, a text with one is refused.
    fn takes_expressions(&self) -> bool {
        false
    }
    /// `at`: where its operator stands.
    ///
    /// # Errors
    /// What swim-java refuses; each one if the values hold none.
    fn operation(&mut self, _operation: Operation<Self::Value>, at: usize) -> Result<Self::Value, Self::Error> {
        Err(no_expressions("-", at).into())
    }
    /// `at`: where its `$` stands.
    ///
    /// # Errors
    /// Each one if the values hold none.
    fn selector(&mut self, _steps: Vec<Step<Self::Value>>, at: usize) -> Result<Self::Value, Self::Error> {
        Err(no_expressions("$", at).into())
    }
}

#[cold]
pub(super) fn no_expressions(found: &str, at: usize) -> ReconError {
    let reason = match found {
        "-" => "selectors and expressions are not supported (`-`): only a number has a sign".to_string(),
        _ => format!("selectors and expressions are not supported (`{found}`): quote it if it is meant as text"),
    };
    ReconError { offset: at, reason }
}

/// The key of a slot.
pub enum Key<'a, V> {
    Text(Cow<'a, str>),
    Other(V),
}

/// Builds nothing: only the grammar is checked.
pub(crate) struct Nothing;

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
