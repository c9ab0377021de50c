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
    use crate::declaration::Declaration;
    use crate::shard::Shard;
    use crate::value::Value;

    fn shard() -> Shard {
        let column = |name: &str, kind: &str| serde_json::json!({"name": name, "type": kind});
        let declaration: Declaration = serde_json::from_value(serde_json::json!({
            "app": "test", "zone": "Europe/Berlin",
            "settings": {"max_sends": 1, "max_hops": 1, "max_rounds": 1, "busy_bound": 1, "commit_turns": 1, "handler_seconds": 1.0},
            "populations": [{
                "name": "Bus", "pattern": [{"literal": "bus"}, {"parameter": "id"}],
                "columns": [column("speed", "float64"), column("line", "int64"), column("driver", "string"),
                    column("seen", "timestamp"), column("moving", "bool"), column("position", "point"),
                    column("_secret", "int64"), column("any", "value")],
                "maps": [], "commands": [], "folds": [], "changed": [], "timers": [], "members": [],
                "hooks": {"create": false, "start": false, "stop": false},
            }],
        }))
        .unwrap();
        Shard::new(declaration, false, false).unwrap()
    }

    fn holds(text: &str, cells: &[(usize, Value)]) -> Result<bool, String> {
        let mut shard = shard();
        let (row, _) = shard.populations[0].table.create(b"7");
        for (column, value) in cells {
            shard.populations[0].table.columns[*column].replace(row, value.clone());
        }
        let class = &shard.populations[0];
        let mut filters = Vec::new();
        Filter::parse(text, class, &shard.zone, &mut filters)?;
        Ok(filters.iter().all(|filter| filter.matches(&class.table, row)))
    }

    #[test]
    fn and_joins_conditions_outside_of_quotes() {
        assert_eq!(conjuncts("a=1"), ["a=1"]);
        assert_eq!(conjuncts("a=1 and b = 2 and c>3"), ["a=1", "b = 2", "c>3"]);
        assert_eq!(conjuncts(r#"a="x and \" and y" and b=1"#), [r#"a="x and \" and y""#, "b=1"]);
        assert_eq!(conjuncts("a=sand and "), ["a=sand", ""]);
    }

    #[test]
    fn every_operator_is_what_it_says() {
        for (number, expected) in
            [(1.0, [true, true, false, false, false, true]), (2.0, [false, true, true, true, false, false])]
        {
            let signs = ["<", "<=", "=", ">=", ">", "!="];
            for (sign, expected) in signs.iter().zip(expected) {
                assert_eq!(
                    holds(&format!("speed {sign} 2"), &[(0, Value::Float(number))]),
                    Ok(expected),
                    "{number} {sign} 2"
                );
            }
        }
    }

    #[test]
    fn an_unset_lane_fulfils_null_only() {
        for text in ["speed>0", "speed!=1", "driver=x", "moving!=true", "seen<2030-01-01T00:00:00Z"] {
            assert_eq!(holds(text, &[]), Ok(false), "{text}");
        }
        assert_eq!(holds("speed = null and any=null", &[]), Ok(true));
        assert_eq!(holds("line!=null", &[(1, Value::Int(0))]), Ok(true));
    }

    #[test]
    fn values_are_of_the_lanes_type() {
        assert_eq!(holds("line>9007199254740992", &[(1, Value::Int(9_007_199_254_740_993))]), Ok(true));
        assert_eq!(holds("line>1.5", &[(1, Value::Int(2))]), Ok(true));
        assert_eq!(holds(r#"driver="a\"b and c""#, &[(2, Value::Text("a\"b and c".into()))]), Ok(true));
        // a time without an offset is in the app's zone
        assert_eq!(holds("seen=2024-07-01T12:00:00", &[(3, Value::Time(1_719_828_000_000_000))]), Ok(true));
        for text in ["line=x", "seen=1", "moving=1", "position=1", "any=1", "_secret=1", "speed>", "speed=inf"] {
            assert!(holds(text, &[]).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"(?:[a-z "\\=<>!.0-9é]|speed|line|driver| and |null){0,20}"#) {
            let _ = holds(&text, &[]);
        }
    }
}
