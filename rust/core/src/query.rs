//! Conditions on the lanes of a population's twins: `speed > 20`, `route = 12`, `name = "Ann" and active = true`.

use std::cmp::Ordering;

use jiff::tz::TimeZone;

use crate::declaration::ColumnType;
use crate::population::Population;
use crate::population::column::Column;
use crate::shard::Class;
use crate::time;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Empty,
    Bool(bool),
    Int(i64),
    Float(f64),
    Time(i64),
    Text(String),
}

/// One condition. An unset lane, and None, fulfil `lane = null` only.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    column: usize,
    operator: Operator,
    wanted: Wanted,
}

/// The longer ones first.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::Unequal),
    ("<=", Operator::LessEqual),
    (">=", Operator::GreaterEqual),
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Filter {
    /// Appends the conditions of a text, joined by `and`. Values are of the lane's type: numbers, `true` and `false`,
    /// times as RFC 3339 (without an offset in `zone`), texts bare or in double quotes, `null`.
    ///
    /// Errors: what is not one, and what would be.
    pub fn parse(text: &str, class: &Class, zone: &TimeZone, filters: &mut Vec<Filter>) -> Result<(), String> {
        for part in conjuncts(text) {
            filters.push(Filter::one(part.trim(), class, zone)?);
        }
        Ok(())
    }

    fn one(text: &str, class: &Class, zone: &TimeZone) -> Result<Filter, String> {
        let split = text.find(['=', '<', '>', '!']).filter(|at| *at > 0).and_then(|at| {
            let (lane, rest) = text.split_at(at);
            let (sign, operator) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign))?;
            Some((lane.trim(), *operator, rest[sign.len()..].trim()))
        });
        let Some((lane, operator, value)) = split else {
            return Err(format!("`{text}` is no condition; write it as speed>20, with one of = != < <= > >="));
        };
        let column = class.decl.columns.iter().position(|column| column.name == lane && !lane.starts_with('_'));
        let Some(column) = column else {
            let all: Vec<&str> = class
                .decl
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .filter(|name| !name.starts_with('_'))
                .collect();
            return Err(format!(
                "`{text}`: {} has no value lane `{lane}` to compare; it has {}",
                class.decl.name,
                all.join(", ")
            ));
        };
        let kind = class.table.columns[column].kind();
        let wanted = wanted(kind, value, zone)
            .ok_or_else(|| format!("`{text}`: `{lane}` holds {}, and `{value}` is none", words(kind)))?;
        let ordered = !matches!(operator, Operator::Equal | Operator::Unequal);
        if ordered && matches!(wanted, Wanted::Empty | Wanted::Bool(_)) {
            return Err(format!("`{text}`: {value} has no order; use = or !="));
        }
        Ok(Filter { column, operator, wanted })
    }

    pub fn matches(&self, table: &Population, row: u32) -> bool {
        let found = match (&table.columns[self.column], &self.wanted) {
            (column, Wanted::Empty) => {
                let empty = is_empty(column, row);
                return empty == (self.operator == Operator::Equal);
            }
            (Column::Bool(cells), Wanted::Bool(x)) => cells.get(row).map(|cell| cell.cmp(x)),
            (Column::Int(cells), Wanted::Int(x)) => cells.get(row).map(|cell| cell.cmp(x)),
            (Column::Int(cells), Wanted::Float(x)) => cells.get(row).and_then(|cell| (cell as f64).partial_cmp(x)),
            (Column::Float(cells), Wanted::Float(x)) => cells.get(row).and_then(|cell| cell.partial_cmp(x)),
            (Column::Time(cells), Wanted::Time(x)) => cells.get(row).map(|cell| cell.cmp(x)),
            (column @ Column::Text(_), Wanted::Text(x)) => column.text(row).map(|cell| cell.cmp(x.as_str())),
            _ => None,
        };
        found.is_some_and(|order| match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::Unequal => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterEqual => order != Ordering::Less,
        })
    }
}

fn is_empty(column: &Column, row: u32) -> bool {
    match column {
        Column::Bool(cells) => cells.get(row).is_none(),
        Column::Int(cells) | Column::Time(cells) => cells.get(row).is_none(),
        Column::Float(cells) => cells.get(row).is_none(),
        Column::Point(cells) => cells.get(row).is_none(),
        Column::Text(cells) | Column::Bytes(cells) => cells.get(row).is_none(),
        Column::Tree(_) => column.get(row).is_null(),
    }
}

/// The parts between the word `and`, outside of quotes.
fn conjuncts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' if !quoted && at >= start && text.as_bytes()[at..].starts_with(b" and ") => {
                parts.push(&text[start..at]);
                start = at + 5;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn wanted(kind: ColumnType, value: &str, zone: &TimeZone) -> Option<Wanted> {
    let quoted = || serde_json::from_str::<String>(value).ok();
    match kind {
        _ if value == "null" => Some(Wanted::Empty),
        ColumnType::Bool => value.parse().ok().map(Wanted::Bool),
        ColumnType::Int64 => match value.parse() {
            Ok(x) => Some(Wanted::Int(x)),
            Err(_) => finite(value).map(Wanted::Float),
        },
        ColumnType::Float64 => finite(value).map(Wanted::Float),
        ColumnType::Timestamp => {
            let text = quoted().unwrap_or_else(|| value.to_owned());
            time::parse_rfc3339(&text, zone).ok().map(Wanted::Time)
        }
        ColumnType::String if value.starts_with('"') => quoted().map(Wanted::Text),
        ColumnType::String => Some(Wanted::Text(value.to_owned())),
        ColumnType::Point | ColumnType::Bytes | ColumnType::Value => None,
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

fn words(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "true or false",
        ColumnType::Int64 | ColumnType::Float64 => "numbers",
        ColumnType::String => "texts (in double quotes, or bare)",
        ColumnType::Timestamp => "times such as 2021-10-07T12:00:00Z",
        ColumnType::Point => "points, which compare with `null` only",
        ColumnType::Bytes => "bytes, which compare with `null` only",
        ColumnType::Value => "values of no one type, which compare with `null` only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_joins_conditions_outside_of_quotes() {
        assert_eq!(conjuncts("a=1"), ["a=1"]);
        assert_eq!(conjuncts("a=1 and b = 2 and c>3"), ["a=1", "b = 2", "c>3"]);
        assert_eq!(conjuncts(r#"a="x and \" and y" and b=1"#), [r#"a="x and \" and y""#, "b=1"]);
        assert_eq!(conjuncts("a=sand and "), ["a=sand", ""]);
    }
}
