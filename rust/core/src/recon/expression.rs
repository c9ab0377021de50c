//! Operators, functions and conditions between values, as a tree has them.

use super::number::Number;
use super::tree::Tree;
use super::{Fail, fail};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Not,
    BitNot,
    Negative,
    Positive,
}

/// How tight an operator binds its operands in the grammar: the higher, the tighter.
pub(super) mod level {
    pub const LAMBDA: u8 = 1;
    pub const CONDITIONAL: u8 = 2;
    pub const OR: u8 = 3;
    pub const AND: u8 = 4;
    pub const BIT_OR: u8 = 5;
    pub const BIT_XOR: u8 = 6;
    pub const BIT_AND: u8 = 7;
    pub const COMPARISON: u8 = 8;
    pub const SUM: u8 = 9;
    pub const PRODUCT: u8 = 10;
    pub const PREFIX: u8 = 11;
    pub const PRIMARY: u8 = 12;
}

impl Operator {
    pub fn text(self) -> &'static str {
        match self {
            Operator::Or => "||",
            Operator::And => "&&",
            Operator::BitOr => "|",
            Operator::BitXor => "^",
            Operator::BitAnd => "&",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
            Operator::Plus | Operator::Positive => "+",
            Operator::Minus | Operator::Negative => "-",
            Operator::Times => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Not => "!",
            Operator::BitNot => "~",
        }
    }

    pub(super) fn level(self) -> u8 {
        match self {
            Operator::Or => level::OR,
            Operator::And => level::AND,
            Operator::BitOr => level::BIT_OR,
            Operator::BitXor => level::BIT_XOR,
            Operator::BitAnd => level::BIT_AND,
            Operator::Plus | Operator::Minus => level::SUM,
            Operator::Times | Operator::Divide | Operator::Modulo => level::PRODUCT,
            Operator::Not | Operator::BitNot | Operator::Negative | Operator::Positive => level::PREFIX,
            _ => level::COMPARISON,
        }
    }
}

/// What an expression computes of the values `V`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation<V> {
    /// `a + b`
    Infix(Operator, V, V),
    /// `!a`
    Prefix(Operator, V),
    /// `a ? b : c`
    Conditional(V, V, V),
    /// `f(a)`: the function, and its arguments as the value of a block.
    Invoke(V, V),
    /// `a => b`
    Lambda(V, V),
}

impl Operation<Tree> {
    pub(super) fn level(&self) -> u8 {
        match self {
            Operation::Infix(operator, ..) | Operation::Prefix(operator, _) => operator.level(),
            Operation::Conditional(..) => level::CONDITIONAL,
            Operation::Invoke(..) => level::PRIMARY,
            Operation::Lambda(..) => level::LAMBDA,
        }
    }

    /// As swim-java makes it of its operands: a condition that is no expression is decided at once, and the negative of
    /// a number is a number.
    pub(super) fn reduced(self, at: usize) -> Result<Tree, Fail> {
        Ok(match self {
            Operation::Prefix(_, Tree::Extant | Tree::Absent) => return Err(fail(at, "expected a value behind it")),
            Operation::Prefix(Operator::Negative, Tree::Number(number)) => Tree::Number(number.negated()),
            Operation::Conditional(Tree::Absent | Tree::Bool(false), _, no) => no,
            Operation::Conditional(condition, yes, _) if !condition.is_expression() => yes,
            other => Tree::Operation(Box::new(other)),
        })
    }
}

impl Tree {
    /// Whether this is an operation or a selector.
    pub fn is_expression(&self) -> bool {
        matches!(self, Tree::Operation(_) | Tree::Selector(_))
    }

    /// How tight this holds together where it stands beside an operator.
    pub(super) fn level(&self) -> u8 {
        match self {
            Tree::Operation(operation) => operation.level(),
            // Their minus is an operator to the reader.
            Tree::Number(Number::Int(i64::MIN..0)) => level::PREFIX,
            Tree::Number(Number::Float(x)) if x.is_sign_negative() => level::PREFIX,
            Tree::Number(Number::Big(digits)) if digits.starts_with('-') => level::PREFIX,
            _ => level::PRIMARY,
        }
    }
}
