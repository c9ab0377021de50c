//! Numbers that stay: records and checkpoints name classes, lanes and hidden state by ids of the store, never by where
//! they stand in a declaration. A schema says which id has which name; each change of it has a number.

use ecow::EcoString;
use serde::{Deserialize, Serialize};

use crate::declaration::{ColumnType, Segment};
use crate::shard::Class;

/// Names a column, map, window, timer or command within its class's part of a store. Never reused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct StoredId(pub u32);

/// All classes of one shape. In the order of the declaration that it was made for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub number: u32,
    pub populations: Vec<StoredPopulation>,
    /// The next class's id.
    pub next: u32,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StoredPopulation {
    pub id: StoredId,
    pub name: EcoString,
    /// Of its URIs.
    pub parameters: Vec<EcoString>,
    /// The whole of them: who has no app to ask makes URIs of keys by it.
    #[serde(default)]
    pub pattern: Vec<Segment>,
    /// The declared lanes that are columns, then the hidden ones: as the population has them.
    pub columns: Vec<StoredColumn>,
    pub maps: Vec<StoredMap>,
    pub windows: Vec<Named>,
    /// Its timer methods, then the holds.
    pub timers: Vec<Named>,
    /// The next id of all of these.
    pub next: u32,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StoredColumn {
    pub id: StoredId,
    /// The lane's name on the wire; `LANE.PART` of hidden state.
    pub name: EcoString,
    pub kind: ColumnType,
    pub hidden: bool,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StoredMap {
    pub id: StoredId,
    pub name: EcoString,
    pub key: ColumnType,
    pub value: ColumnType,
    /// A list: its entries' numbers are their places. Stores of before there were lists do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Named {
    pub id: StoredId,
    pub name: EcoString,
}

/// Why a store does not fit an app.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// Classes and lanes with values that the app no longer declares.
    Vanished(Vec<String>),
    /// A lane of another type: its name, what it was, what it is.
    Retyped { lane: String, was: ColumnType, is: ColumnType },
    /// A class's URIs have another number of parameters.
    Readdressed { class: EcoString, was: usize, is: usize },
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfit::Vanished(names) => {
                let flags: Vec<String> = names.iter().map(|name| format!("--forget {name}")).collect();
                write!(
                    f,
                    "the store holds {}, which the app no longer declares. If it was renamed, give it its old name (name= of \
                     a lane); if it is to go, run once with {}",
                    names.join(", "),
                    flags.join(" ")
                )
            }
            Unfit::Retyped { lane, was, is } => write!(
                f,
                "{lane} is {} in the store and {} in the app; give the new lane a name of its own, or run once with --forget {lane}",
                word(*was),
                word(*is)
            ),
            Unfit::Readdressed { class, was, is } => write!(
                f,
                "twins of {class} have {was} URI parameters in the store and {is} in the app; give the class with the new \
                 pattern another name, or run once with --forget {class}"
            ),
        }
    }
}

fn word(kind: ColumnType) -> String {
    serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Schema {
    /// The schema of these classes: ids of `before` for what it has, new ones for the rest. Its number is that of `before`
    /// where nothing differs, else the next.
    ///
    /// `forget`: classes and `CLASS.LANE`s whose values may go.
    ///
    /// Errors: what of the store would be lost, or does not fit.
    pub fn of(classes: &[Class], before: Option<&Schema>, forget: &[String]) -> Result<Schema, Unfit> {
        let empty = Schema { number: 0, populations: Vec::new(), next: 1 };
        let before = before.unwrap_or(&empty);
        let mut schema = Schema { number: before.number, populations: Vec::new(), next: before.next };
        let gone = |name: &str| forget.iter().any(|forgotten| forgotten == name);
        let mut vanished = Vec::new();
        for class in classes {
            let old = before.populations.iter().find(|old| old.name == class.decl.name && !gone(&old.name));
            if let Some(old) = old {
                vanished.extend(vanished_of(class, old).filter(|name| !gone(name)));
            }
            schema.populations.push(population(class, old, &mut schema.next, &gone)?);
        }
        let is_kept = |old: &&StoredPopulation| classes.iter().any(|class| class.decl.name == old.name);
        vanished.extend(
            before.populations.iter().filter(|old| !is_kept(old) && !gone(&old.name)).map(|old| old.name.to_string()),
        );
        if !vanished.is_empty() {
            return Err(Unfit::Vanished(vanished));
        }
        if schema.populations != before.populations {
            schema.number += 1;
        }
        Ok(schema)
    }

    /// Where a class of this schema stands in another.
    pub fn find(&self, id: StoredId) -> Option<usize> {
        self.populations.iter().position(|population| population.id == id)
    }
}

impl StoredPopulation {
    pub fn column(&self, id: StoredId) -> Option<u16> {
        self.columns.iter().position(|column| column.id == id).map(|at| at as u16)
    }

    pub fn map(&self, id: StoredId) -> Option<u16> {
        self.maps.iter().position(|map| map.id == id).map(|at| at as u16)
    }

    pub fn window(&self, id: StoredId) -> Option<u16> {
        self.windows.iter().position(|window| window.id == id).map(|at| at as u16)
    }

    pub fn timer(&self, id: StoredId) -> Option<u16> {
        self.timers.iter().position(|timer| timer.id == id).map(|at| at as u16)
    }
}

/// Lanes that the store has and the class has not.
fn vanished_of<'a>(class: &'a Class, old: &'a StoredPopulation) -> impl Iterator<Item = String> + 'a {
    let columns = old.columns.iter().filter(|column| !column.hidden).map(|column| &column.name);
    let lanes = columns.filter(|name| !class.decl.columns.iter().any(|column| column.name == **name));
    let maps = old.maps.iter().map(|map| &map.name);
    let maps = maps.filter(|name| !class.decl.maps.iter().any(|map| map.name == **name));
    lanes.chain(maps).map(|name| format!("{}.{name}", old.name))
}

fn population(
    class: &Class,
    old: Option<&StoredPopulation>,
    next_population: &mut u32,
    gone: &impl Fn(&str) -> bool,
) -> Result<StoredPopulation, Unfit> {
    let decl = &class.decl;
    let name = |segment: &Segment| match segment {
        Segment::Parameter(name) => Some(name.clone()),
        Segment::Literal(_) => None,
    };
    let parameters: Vec<EcoString> = decl.pattern.iter().filter_map(name).collect();
    if let Some(old) = old
        && old.parameters.len() != parameters.len()
    {
        let (was, is) = (old.parameters.len(), parameters.len());
        return Err(Unfit::Readdressed { class: decl.name.clone(), was, is });
    }
    let mut next = old.map_or(1, |old| old.next);
    let mut fresh = || {
        next += 1;
        StoredId(next - 1)
    };
    let lanes = decl.columns.iter().map(|column| (column.name.clone(), column.kind, false));
    let hidden = class.programs.hidden_names.iter().zip(&class.programs.hidden);
    let hidden = hidden.map(|(name, kind)| (name.clone(), *kind, true));
    let mut columns = Vec::new();
    for (name, kind, hidden) in lanes.chain(hidden) {
        let label = format!("{}.{name}", decl.name);
        let lane = if hidden { name.rsplit_once('.').map_or(name.as_str(), |(lane, _)| lane) } else { name.as_str() };
        let is_gone = gone(&format!("{}.{lane}", decl.name));
        let known =
            old.iter().flat_map(|old| &old.columns).find(|column| column.name == name && column.hidden == hidden);
        // hidden state goes with its lane
        let id = match known.filter(|_| !is_gone) {
            None => fresh(),
            Some(known) if known.kind == kind => known.id,
            // an int becomes a float when it is read
            Some(known) if known.kind == ColumnType::Int64 && kind == ColumnType::Float64 => known.id,
            Some(_) if hidden => fresh(),
            Some(known) => return Err(Unfit::Retyped { lane: label, was: known.kind, is: kind }),
        };
        columns.push(StoredColumn { id, name, kind, hidden });
    }
    let mut maps = Vec::new();
    for map in &decl.maps {
        let label = format!("{}.{}", decl.name, map.name);
        let known = old.iter().flat_map(|old| &old.maps).find(|known| known.name == map.name);
        let id = match known.filter(|_| !gone(&label)) {
            None => fresh(),
            Some(known) if (known.key, known.value) == (map.key, map.value) => known.id,
            Some(known) if known.key == map.key => {
                return Err(Unfit::Retyped { lane: label, was: known.value, is: map.value });
            }
            Some(known) => return Err(Unfit::Retyped { lane: label, was: known.key, is: map.key }),
        };
        maps.push(StoredMap { id, name: map.name.clone(), key: map.key, value: map.value, ordered: map.ordered });
    }
    let mut named = |lane: &str, name: EcoString, old: Option<&Vec<Named>>| {
        let known = old.into_iter().flatten().find(|known| known.name == name);
        let known = known.filter(|_| lane.is_empty() || !gone(&format!("{}.{lane}", decl.name)));
        let id = known.map_or_else(&mut fresh, |known| known.id);
        Named { id, name }
    };
    // panes of another length or kind mean something else
    let windows = class.programs.windows.iter().map(|spec| {
        let lane = &decl.columns[spec.out as usize].name;
        named(lane, ecow::eco_format!("{lane} {:?} {:?}", spec.kind, spec.span), old.map(|old| &old.windows))
    });
    let windows = windows.collect();
    let methods = decl.timers.iter().map(|timer| ("", timer.name.clone()));
    let holds = class.programs.holds.iter().map(|(_, out, _)| {
        let lane = decl.columns[*out as usize].name.as_str();
        (lane, ecow::eco_format!("{lane}.hold"))
    });
    let timers = methods.chain(holds).map(|(lane, name)| named(lane, name, old.map(|old| &old.timers))).collect();
    let id = old.map_or_else(
        || {
            *next_population += 1;
            StoredId(*next_population - 1)
        },
        |old| old.id,
    );
    let (name, pattern) = (decl.name.clone(), decl.pattern.clone());
    Ok(StoredPopulation { id, name, parameters, pattern, columns, maps, windows, timers, next })
}
