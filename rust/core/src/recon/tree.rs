//! What a text says, faithfully: no two texts that mean something different give the same tree.

use std::borrow::Cow;

use ecow::{EcoString, EcoVec};

use super::ReconError;
use super::build::{Build, Key, no_expressions};
use super::expression::Operation;
use super::number::Number;
use super::read::{Rules, read_with};
use super::selector::{Step, chained};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing at all: an empty text.
    Absent,
    /// There, but empty: the value of `a:`, an empty place in `{,1}`.
    Extant,
    Bool(bool),
    Number(Number),
    Text(EcoString),
    Data(EcoVec<u8>),
    Record(Vec<Item>),
    /// An operator between values, a function, a condition.
    Operation(Box<Operation<Tree>>),
    /// `$a.b`: has at least one step.
    Selector(Vec<Step<Tree>>),
}

/// One item of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Attr(EcoString, Tree),
    Slot(Tree, Tree),
    Value(Tree),
}

impl Tree {
    pub fn text(text: &str) -> Tree {
        Tree::Text(text.into())
    }
}

/// Reads a whole text.
///
/// # Errors
/// What breaks the grammar; more than `MAX_DEPTH` levels.
pub fn read_tree(text: &str) -> Result<Tree, ReconError> {
    read_with(text, Rules::default(), TreeBuild { expressions: true })
}

/// Reads the body of an envelope: what stands behind its header.
///
/// # Errors
/// As `read_tree`, and more than one value.
pub fn read_body_tree(text: &str) -> Result<Tree, ReconError> {
    let rules = Rules { one_value: true, ..Rules::default() };
    read_with(text, rules, TreeBuild { expressions: true }).map(body_of)
}

/// The body that a record's items are behind a header: none is `Absent`, one plain value is that value.
pub fn body_of(tree: Tree) -> Tree {
    match tree {
        Tree::Record(items) => match <[Item; 1]>::try_from(items) {
            Ok([Item::Value(value)]) => value,
            Ok(item) => Tree::Record(item.into()),
            Err(items) if items.is_empty() => Tree::Absent,
            Err(items) => Tree::Record(items),
        },
        Tree::Extant => Tree::Absent,
        scalar => scalar,
    }
}

pub(crate) struct TreeBuild {
    /// Operations and selectors are taken.
    pub(crate) expressions: bool,
}

impl<'a> Build<'a> for TreeBuild {
    type Value = Tree;
    type Record = Vec<Item>;
    type Error = ReconError;

    fn absent(&mut self) -> Tree {
        Tree::Absent
    }

    fn extant(&mut self) -> Tree {
        Tree::Extant
    }

    fn bool(&mut self, x: bool) -> Tree {
        Tree::Bool(x)
    }

    fn number(&mut self, x: Number, _: usize) -> Result<Tree, ReconError> {
        Ok(Tree::Number(x))
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<Tree, ReconError> {
        Ok(Tree::text(&text))
    }

    fn data(&mut self, bytes: Vec<u8>) -> Result<Tree, ReconError> {
        Ok(Tree::Data(EcoVec::from(bytes)))
    }

    fn record(&mut self) -> Vec<Item> {
        Vec::new()
    }

    fn push(&mut self, record: &mut Vec<Item>, value: Tree) -> Result<(), ReconError> {
        record.push(Item::Value(value));
        Ok(())
    }

    fn slot(&mut self, record: &mut Vec<Item>, key: Key<'a, Tree>, value: Tree) -> Result<(), ReconError> {
        let key = match key {
            Key::Text(text) => Tree::text(&text),
            Key::Other(key) => key,
        };
        record.push(Item::Slot(key, value));
        Ok(())
    }

    fn attr(&mut self, record: &mut Vec<Item>, name: Cow<'a, str>, value: Tree) -> Result<(), ReconError> {
        record.push(Item::Attr(name.as_ref().into(), value));
        Ok(())
    }

    fn end(&mut self, record: Vec<Item>, _: usize) -> Result<Tree, ReconError> {
        Ok(Tree::Record(record))
    }

    fn block(&mut self, record: Vec<Item>, _: usize) -> Result<Tree, ReconError> {
        match <[Item; 1]>::try_from(record) {
            Ok([Item::Value(value)]) => Ok(value),
            Ok(item) => Ok(Tree::Record(item.into())),
            Err(record) => Ok(Tree::Record(record)),
        }
    }

    fn takes_expressions(&self) -> bool {
        self.expressions
    }

    fn operation(&mut self, operation: Operation<Tree>, at: usize) -> Result<Tree, ReconError> {
        match operation {
            // The one that the reader leaves to its builder: the sign of a number is no operation.
            Operation::Prefix(..) if !self.expressions => Err(no_expressions("-", at)),
            operation => operation.reduced(at).map_err(|fault| *fault),
        }
    }

    fn selector(&mut self, steps: Vec<Step<Tree>>, _: usize) -> Result<Tree, ReconError> {
        Ok(chained(steps))
    }
}

impl From<super::Fail> for ReconError {
    fn from(fault: super::Fail) -> ReconError {
        *fault
    }
}
