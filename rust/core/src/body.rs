//! The type of a command's body, as the decoder needs it, and the record that the decoder fills.

use ecow::EcoString;
use rustc_hash::FxHashSet;
use serde::Deserialize;

use crate::decode::Key;
use crate::value::Value;

/// The type of one field, or of a whole scalar body.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Bool,
    /// int64; `3.0` is taken for 3, `3.5` is refused.
    Int,
    /// float64; whole numbers are taken.
    Float,
    Text,
    /// RFC 3339 text; without a zone it is in the app's zone.
    Time,
    /// One of these texts (`Literal["a", "b"]`).
    TextChoice(Vec<EcoString>),
    /// One of these whole numbers (`Literal[1, 2]`).
    IntChoice(Vec<i64>),
    /// Anything (`Any`): kept as a tree.
    Value,
}

/// One field of a record body.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(from = "FieldDecl")]
pub struct Field {
    pub name: EcoString,
    pub kind: Kind,
    /// The type allows None, so JSON null is valid.
    pub nullable: bool,
    /// No default: a record without the field is refused.
    pub required: bool,
    /// The name as the decoder looks for it.
    pub(crate) key: Key,
}

/// A field as the declaration has it.
#[derive(Deserialize)]
struct FieldDecl {
    name: EcoString,
    kind: Kind,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    required: bool,
}

impl From<FieldDecl> for Field {
    fn from(FieldDecl { name, kind, nullable, required }: FieldDecl) -> Field {
        Field { key: Key::new(&name), name, kind, nullable, required }
    }
}

/// What a command takes.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum BodyType {
    /// `Command()`: no body; JSON null, `{}` and nothing are all fine.
    Nothing,
    /// A builtin type, `Command(str)`: one slot.
    Scalar {
        kind: Kind,
        #[serde(default)]
        nullable: bool,
    },
    /// A Struct, dataclass or TypedDict of scalar fields (at most 64): a slot a field, in the order of declaration.
    Record { fields: Vec<Field> },
    /// Any other type: JSON is read to a tree, which the host validates (msgspec) and turns into `slots` values.
    Tree { slots: usize },
}

impl BodyType {
    pub fn slots(&self) -> usize {
        match self {
            BodyType::Nothing => 0,
            BodyType::Scalar { .. } => 1,
            BodyType::Record { fields } => fields.len(),
            BodyType::Tree { slots } => *slots,
        }
    }
}

/// A decoded body. Reused from record to record: the decoder overwrites it whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// One value a slot; `Null` where the field was null, missing or not wanted.
    pub slots: Vec<Value>,
    /// Bit i: field i was in the record (null counts as given).
    pub given: u64,
    /// Values of `Plan::extra`, in that order; `Null` where missing.
    pub extra: Vec<Value>,
    /// It holds a field that nobody has declared or set aside (`Plan::known`), and not null.
    pub news: bool,
    /// The whole record as a tree; only filled for `BodyType::Tree`.
    pub tree: Value,
}

/// How records of one source or command are to be decoded.
#[derive(Clone, Debug)]
pub struct Plan {
    pub body: BodyType,
    /// Bit i: slot i is needed. The others are validated and dropped.
    pub wanted: u64,
    /// Top-level members that routing or the clock need although the body does not declare them: kept when they are
    /// a text, a whole number or a float; any other kind is refused.
    pub extra: Vec<EcoString>,
    /// Fields that are known and are not the body's; None: it does not matter which others there are.
    pub known: Option<std::sync::Arc<FxHashSet<EcoString>>>,
    /// The slot that names the event's time: numbers are taken for s, ms or µs even where the field is a datetime.
    pub time_slot: Option<usize>,
    /// Times without a zone are in this one (IANA name).
    pub zone: jiff::tz::TimeZone,
}

/// Why a record is refused, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid {
    /// Byte offset in the record.
    pub offset: usize,
    pub reason: String,
}
