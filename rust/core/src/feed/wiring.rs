//! How a source's records are decoded and routed, by the present schema; and again when it grows.

use std::sync::Arc;

use ecow::EcoString;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::Part;
use super::known::Known;
use super::sweep::Sweep;
use crate::batch::Shape;
use crate::body::{BodyType, Plan};
use crate::decode::{RowPlan, Target};
use crate::fold;
use crate::shard::Shard;
use crate::source::FileSpec;

/// What `app.ingest` declares, as data.
#[derive(Clone, Debug, Deserialize)]
pub struct SourceDecl {
    /// For messages and dead letters.
    pub name: EcoString,
    /// None: `Shard::records` hands them over.
    pub file: Option<FileSpec>,
    /// Population and command; None with `to=`, where the record's URI and `lane` say.
    pub target: Option<(u16, u16)>,
    #[serde(default)]
    pub lane: EcoString,
    /// URI parameter → field; parameters that are not named are fields themselves.
    #[serde(default)]
    pub key: FxHashMap<EcoString, EcoString>,
    /// The field with the event's time; "" for the command's own, or none.
    #[serde(default)]
    pub time: EcoString,
    #[serde(default)]
    pub filter: bool,
    /// Event seconds per real second; None: as fast as it goes.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Fields that are to be passed over; None: all that the body does not declare. Where it is given, a record with any
    /// other field waits until the host has seen it (`Shard::news`).
    #[serde(default)]
    pub known: Option<Vec<EcoString>>,
    /// A run that starts anew finds the same records at the same positions, so that it can go on where the one before
    /// ended. Of a file `source::head` has the last word.
    #[serde(default)]
    pub replayable: bool,
}

pub(super) struct Wiring {
    pub plan: Plan,
    pub keys: Vec<(EcoString, Part)>,
    pub time: Option<Part>,
    pub direct: bool,
    pub outs: Vec<u16>,
    pub sweep: Option<Sweep>,
}

impl Shard {
    pub(super) fn wire(&self, decl: &SourceDecl) -> Wiring {
        let mut plan = Plan {
            body: BodyType::Nothing,
            wanted: u64::MAX,
            extra: Vec::new(),
            known: decl.known.as_ref().map(|known| Arc::new(known.iter().cloned().collect())),
            time_slot: None,
            zone: self.zone.clone(),
        };
        let Some((population, command)) = decl.target else {
            return Wiring { plan, keys: Vec::new(), time: None, direct: false, outs: Vec::new(), sweep: None };
        };
        let mut keys = Vec::new();
        let class = &self.populations[population as usize];
        let lane = &class.decl.commands[command as usize];
        plan.body = lane.body.clone();
        for segment in &class.decl.pattern {
            if let crate::declaration::Segment::Parameter(name) = segment {
                let field = decl.key.get(name).unwrap_or(name);
                keys.push((field.clone(), part(&mut plan, field)));
            }
        }
        let time = match (decl.time.is_empty(), lane.time_slot) {
            (false, _) => Some(part(&mut plan, &decl.time)),
            (true, slot) => slot.map(Part::Slot),
        };
        if let Some(Part::Slot(at)) = time {
            plan.time_slot = Some(at);
        }
        let direct = !decl.filter && !matches!(plan.body, BodyType::Tree { .. });
        if direct && lane.handler.is_none() {
            plan.wanted = wanted(class, command as usize, &keys, time);
        }
        let program = &class.programs.commands[command as usize];
        let may_sweep = direct && time.is_none() && lane.handler.is_none() && fold::may_fuse(program);
        let sweep = match keys.as_slice() {
            [(_, Part::Slot(at))] if may_sweep => Some(Sweep::new(program, plan.body.slots(), Target::Slot(*at))),
            [(_, Part::Extra(at))] if may_sweep => Some(Sweep::new(program, plan.body.slots(), Target::Extra(*at))),
            _ => None,
        };
        Wiring { plan, keys, time, direct, outs: fold::outs(program), sweep }
    }

    /// The schema has grown: sources decode for it from their next record on.
    pub(crate) fn rewire(&mut self) {
        for at in 0..self.sources.len() {
            let Wiring { plan, keys, time, direct, outs, sweep } = self.wire(&self.sources[at].decl);
            let source = &mut self.sources[at];
            source.row = match (&source.batch.shape, &source.row) {
                (Shape::Row(header), Some(_)) => Some(RowPlan::new(&plan, header)),
                _ => None,
            };
            (source.plan, source.keys, source.time, source.direct, source.outs) = (plan, keys, time, direct, outs);
            // what is known of its records was known by the plan and the columns before
            source.known = Known::default();
            source.sweep = if source.row.is_none() { sweep } else { None };
            source.seen = 0..0;
        }
    }
}

/// Finds a field in the body, or has the decoder keep it beside the body.
pub(super) fn part(plan: &mut Plan, field: &EcoString) -> Part {
    if let BodyType::Record { fields } = &plan.body
        && let Some(at) = fields.iter().position(|known| known.name == *field)
    {
        return Part::Slot(at);
    }
    let at = plan.extra.iter().position(|known| known == field).unwrap_or_else(|| {
        plan.extra.push(field.clone());
        plan.extra.len() - 1
    });
    Part::Extra(at)
}

/// The slots that folds, routing and the clock read.
fn wanted(class: &crate::shard::Class, command: usize, keys: &[(EcoString, Part)], time: Option<Part>) -> u64 {
    let mut wanted = 0u64;
    for fold in &class.decl.folds {
        if let crate::declaration::Input::Command { command: of, slots } = &fold.input
            && *of == command
        {
            wanted |= slots.iter().fold(0, |bits, slot| bits | 1 << (slot % 64));
        }
    }
    for part in keys.iter().map(|(_, part)| *part).chain(time) {
        if let Part::Slot(at) = part {
            wanted |= 1 << (at % 64);
        }
    }
    wanted
}
