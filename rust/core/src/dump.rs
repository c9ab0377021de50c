//! The whole state of a shard as JSON, hidden state included: what tests compare.

use serde_json::{Map, Value as Json, json};

use crate::maps::MapTable;
use crate::population::Population;
use crate::shard::Shard;
use crate::value::Value;

/// Two shards are in the same state when their dumps are equal.
pub fn dump(shard: &mut Shard) -> Json {
    shard.unmount();
    let populations: Map<String, Json> =
        shard.populations.iter().map(|class| (class.decl.name.to_string(), population(&class.table))).collect();
    let timers: Vec<Json> = shard
        .timers
        .all()
        .iter()
        .map(|(key, due, every)| json!([key.population.0, key.twin.0, key.timer.0, due, every]))
        .collect();
    let groups: Vec<Json> = shard
        .memberships
        .iter()
        .map(|membership| Json::Array(membership.describe().into_iter().map(Json::String).collect()))
        .collect();
    json!({
        "populations": populations,
        "timers": timers,
        "groups": groups,
        "inner": shard.inner.iter().map(|envelope| format!("{envelope:?}")).collect::<Vec<_>>(),
        "parked": shard.parked.len(),
        "now": shard.clock.now(),
    })
}

fn population(table: &Population) -> Json {
    let rows: Vec<Json> = table
        .live()
        .map(|row| {
            let cells: Vec<Json> = table.columns.iter().map(|column| value(&column.get(row))).collect();
            let maps: Vec<Json> = table.maps.iter().map(|map| entries(map, row)).collect();
            let windows: Vec<Vec<String>> = table.windows.iter().map(|window| window.describe(row)).collect();
            json!({
                "key": table.key(row),
                "id": table.id(row).map(|id| id.0),
                "cells": cells,
                "maps": maps,
                "windows": windows,
                "dirty": table.dirty(row),
            })
        })
        .collect();
    json!({ "twins": rows, "next": table.next_id() })
}

fn entries(map: &MapTable, row: u32) -> Json {
    map.slots(row)
        .map(|slot| {
            let key = map.key(slot);
            // what the entry is found by must be what it holds
            assert_eq!(map.find(row, &key), Some(slot), "the index of a map lane is broken");
            json!([value(&key), value(&map.value(slot)), map.number(slot)])
        })
        .collect()
}

fn value(value: &Value) -> Json {
    Json::String(format!("{value:?}"))
}
