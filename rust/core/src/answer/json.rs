//! Twins and lanes as JSON: the same as `decode::write_json` gives for their values.

use serde::Serialize;

use super::LaneRef;
use crate::declaration::{ColumnType, Segment};
use crate::decode::write_json;
use crate::population::column::Column;
use crate::population::{PopulationId, TwinId};
use crate::remote::Status;
use crate::shard::Shard;

impl Shard {
    /// `{"uri": …, lanes}`, after a comma where something stands already.
    pub(super) fn twin_json(&self, population: PopulationId, row: u32, fields: &[LaneRef], out: &mut Vec<u8>) {
        if !out.is_empty() {
            out.push(b',');
        }
        let key = self.populations[population.0 as usize].table.key(row);
        out.extend_from_slice(b"{\"uri\":");
        plain(self.router.uri(population, key).as_str(), out);
        self.lanes_json(population, row, Some(fields), out);
        out.push(b'}');
    }

    /// The members of an object: all set lanes with state, or those in `fields` (empty: all). An unset lane is left out.
    pub(super) fn lanes_json(&self, population: PopulationId, row: u32, fields: Option<&[LaneRef]>, out: &mut Vec<u8>) {
        let class = &self.populations[population.0 as usize];
        for (name, lane) in class.lanes() {
            let wanted = fields.is_none_or(|fields| fields.is_empty() || fields.contains(&lane));
            if !wanted || !lane.has_state() {
                continue;
            }
            let start = out.len();
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            plain(name, out);
            out.push(b':');
            if !self.lane_json(population, row, lane, out) {
                out.truncate(start);
            }
        }
    }

    /// A lane's value. False: it is unset, and nothing was written.
    pub(crate) fn lane_json(&self, population: PopulationId, row: u32, lane: LaneRef, out: &mut Vec<u8>) -> bool {
        let class = &self.populations[population.0 as usize];
        match lane {
            LaneRef::Column(at) => {
                if cell(&class.table.columns[at], row, out) {
                    return true;
                }
                if class.decl.columns[at].nullable {
                    out.extend_from_slice(b"null");
                }
                return class.decl.columns[at].nullable;
            }
            LaneRef::Map(at) => self.map_json(population, row, at, out),
            LaneRef::Members(at) => self.members_json(population, row, at, out),
            LaneRef::Command(_) | LaneRef::Supply(_) | LaneRef::Demand(_) => return false,
        }
        true
    }

    /// An object in the order of insertion; where keys are no texts, a list of pairs. Of a list its elements.
    fn map_json(&self, population: PopulationId, row: u32, at: usize, out: &mut Vec<u8>) {
        let map = &self.populations[population.0 as usize].table.maps[at];
        if map.is_ordered() {
            out.push(b'[');
            for (index, slot) in map.slots(row).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(&map.value(slot), out);
            }
            out.push(b']');
            return;
        }
        let text = map.key_type() == ColumnType::String;
        out.push(if text { b'{' } else { b'[' });
        for (number, slot) in map.slots(row).enumerate() {
            if number > 0 {
                out.push(b',');
            }
            if !text {
                out.push(b'[');
            }
            write_json(&map.key(slot), out);
            out.push(if text { b':' } else { b',' });
            write_json(&map.value(slot), out);
            if !text {
                out.push(b']');
            }
        }
        out.push(if text { b'}' } else { b']' });
    }

    /// The members' URIs in the order of their creation; at most `max_members`.
    fn members_json(&self, population: PopulationId, row: u32, at: usize, out: &mut Vec<u8>) {
        let class = &self.populations[population.0 as usize];
        let membership = &self.memberships[class.groups[at]];
        let table = &self.populations[membership.member.0 as usize].table;
        out.push(b'[');
        let rows = membership.members(class.table.key(row)).filter_map(|id| table.row(id));
        for (number, row) in rows.take(self.settings.limits.max_members).enumerate() {
            if number > 0 {
                out.push(b',');
            }
            plain(self.router.uri(membership.member, table.key(row)).as_str(), out);
        }
        out.push(b']');
    }

    /// What `/` shows where no twin stands there: the app's classes, with an address to try of each.
    pub(super) fn summary(&self) -> Vec<u8> {
        let populations: Vec<serde_json::Value> = (0..self.populations.len())
            .map(|number| {
                let population = PopulationId(number as u16);
                let class = &self.populations[number];
                let pattern: String = class.decl.pattern.iter().fold(String::new(), |pattern, segment| match segment {
                    Segment::Literal(text) => pattern + "/" + text,
                    Segment::Parameter(name) => pattern + "/{" + name + "}",
                });
                let example = (1..class.table.next_id()).take(1000).find_map(|id| class.table.row(TwinId(id)));
                let lanes: Vec<&str> = class.lanes().map(|(name, _)| name).collect();
                serde_json::json!({
                    "class": class.decl.name.as_str(),
                    "pattern": if pattern.is_empty() { "/" } else { &pattern },
                    "twins": class.table.len(),
                    "all": self.router.listed_at(population),
                    "example": example.map(|row| self.router.uri(population, class.table.key(row))),
                    "lanes": lanes,
                })
            })
            .collect();
        let mut summary = serde_json::json!({
            "app": self.app.as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "populations": populations,
        });
        if let Some(journal) = self.journal_status() {
            summary["journal"] = serde_json::json!({
                "risk_seconds": journal.risk.seconds,
                "risk_changes": journal.risk.changes,
                "paused": journal.paused,
                "durable": journal.durable,
                "records": journal.progress.records,
                "bytes": journal.progress.bytes,
                "transactions": journal.progress.transactions,
                "checkpoint": journal.progress.checkpoint,
                "checkpoint_seconds": journal.progress.checkpoint_seconds,
                "kept_bytes": journal.progress.kept_bytes,
                "problem": journal.progress.problem,
            });
        }
        let remote = |status: Status| {
            serde_json::json!({
                "host": status.host,
                "connected": status.is_connected,
                "links": status.links,
                "waiting": status.waiting,
                "trouble": status.trouble,
            })
        };
        let remotes: Vec<_> = self.remotes.status().into_iter().map(remote).collect();
        if !remotes.is_empty() {
            summary["remotes"] = remotes.into();
        }
        let mut body = Vec::new();
        plain(&summary, &mut body);
        body
    }
}

/// A cell, without a value in between where it is a scalar. False: it is empty.
fn cell(column: &Column, row: u32, out: &mut Vec<u8>) -> bool {
    match column {
        Column::Bool(cells) => cells.get(row).map(|x| plain(&x, out)),
        Column::Int(cells) => cells.get(row).map(|x| plain(&x, out)),
        Column::Float(cells) => cells.get(row).map(|x| plain(&x, out)),
        Column::Point(cells) => cells.get(row).map(|x| plain(&x, out)),
        Column::Text(_) => column.text(row).map(|x| plain(x, out)),
        Column::Time(_) | Column::Bytes(_) | Column::Tree(_) => {
            let value = column.get(row);
            (!value.is_null()).then(|| write_json(&value, out))
        }
    }
    .is_some()
}

/// What serde_json writes as we do; it cannot fail for these into a Vec.
pub(crate) fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}
