//! Live groups: which twins are members of which, and the roll-ups over them, kept by deltas. What a member has
//! contributed is remembered beside it, so that the delta at a commit is exact whatever happened in between.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::declaration::{MembersDecl, RollupKind};
use crate::fold::two_sum;
use crate::population::chunk::Chunked;
use crate::population::column::{Column, Misfit};
use crate::population::{Population, PopulationId, TwinId};
use crate::route::check_parameter;
use crate::value::Value;

/// An f64 that is never NaN, as a key.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Finite(f64);

impl Eq for Finite {}

impl Ord for Finite {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Finite {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A number of a member, exact for both kinds.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i64),
    Real(f64),
    Truth(bool),
}

/// What one column of all members of a group comes to.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// Members whose cell is set.
    count: u64,
    truths: u64,
    whole: i128,
    /// A double-double: the sum of the reals as if computed with 106 bits.
    high: f64,
    low: f64,
    /// The largest sum since the last recount: what `high` is small against has lost its digits.
    peak: f64,
    /// How many members have each value; only where a Min or Max asks for it.
    wholes: BTreeMap<i64, u32>,
    reals: BTreeMap<Finite, u32>,
}

impl Sums {
    fn add(&mut self, number: Number, ordered: bool) {
        self.count += 1;
        match number {
            Number::Truth(x) => self.truths += x as u64,
            Number::Whole(x) => {
                self.whole += x as i128;
                if ordered {
                    *self.wholes.entry(x).or_default() += 1;
                }
            }
            Number::Real(x) => {
                self.shift(x);
                if ordered {
                    *self.reals.entry(Finite(x)).or_default() += 1;
                }
            }
        }
    }

    fn take(&mut self, number: Number, ordered: bool) {
        self.count -= 1;
        match number {
            Number::Truth(x) => self.truths -= x as u64,
            Number::Whole(x) => {
                self.whole -= x as i128;
                if ordered {
                    less(&mut self.wholes, x);
                }
            }
            Number::Real(x) => {
                self.shift(-x);
                if ordered {
                    less(&mut self.reals, Finite(x));
                }
            }
        }
        if self.count == 0 {
            (self.high, self.low, self.peak) = (0.0, 0.0, 0.0);
        }
    }

    fn shift(&mut self, x: f64) {
        let (sum, lost) = two_sum(self.high, x);
        (self.high, self.low) = two_sum(sum, self.low + lost);
        self.peak = self.peak.max(self.high.abs());
    }

    /// 106 bits are about 1e-32: below this part of the peak a sum is counted again from its members. So is one that
    /// was beyond f64, which no difference brings back.
    fn worn(&self) -> bool {
        !(self.high + self.low).is_finite() || self.high != 0.0 && self.high.abs() < self.peak * 1e-18
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

struct Rollup {
    kind: RollupKind,
    /// Index into `sources`.
    source: Option<usize>,
    out: u16,
}

struct Group {
    /// The group twin's parameters, joined by NUL.
    key: EcoString,
    members: BTreeSet<TwinId>,
    sums: Vec<Sums>,
    pending: bool,
}

/// One `Members` lane: all groups of one population over the twins of another.
pub struct Membership {
    pub group: PopulationId,
    pub member: PopulationId,
    by: Option<Vec<u16>>,
    rollups: Vec<Rollup>,
    /// The members' columns that roll-ups read, with what each member has contributed of them.
    sources: Vec<(u16, Column, bool)>,
    /// Row of a member → its group's number plus 1; 0 for none.
    group_of: Chunked<u32>,
    groups: Vec<Group>,
    index: FxHashMap<EcoString, u32>,
    /// Rows to look at when the commit ends, each once (`marks` has their bits).
    marked: Vec<u32>,
    marks: Vec<u64>,
    /// Groups to be told, each once.
    pending: Vec<u32>,
    /// One bit a column of the members: written, it concerns this membership.
    pub concern: Vec<u64>,
    /// Somebody has linked the lane of one of the groups: who joins and leaves is noted.
    pub noting: bool,
    /// Group, the member's parameters, whether it has joined; emptied by each commit.
    notes: Vec<(u32, EcoString, bool)>,
}

/// A `by` value that names no possible twin.
pub struct BadGroup {
    pub member: u32,
    pub reason: String,
}

impl Membership {
    pub fn new(group: PopulationId, decl: &MembersDecl, members: &Population) -> Self {
        let by = decl.by.as_ref().map(|by| by.iter().map(|column| *column as u16).collect::<Vec<_>>());
        let mut membership = Membership {
            group,
            member: PopulationId(decl.population as u16),
            by,
            rollups: Vec::new(),
            sources: Vec::new(),
            group_of: Chunked::default(),
            groups: Vec::new(),
            index: FxHashMap::default(),
            marked: Vec::new(),
            marks: Vec::new(),
            pending: Vec::new(),
            concern: Vec::new(),
            noting: false,
            notes: Vec::new(),
        };
        membership.extend(decl, members);
        membership
    }

    /// Takes up the roll-ups behind those that it has; every member is looked at when the next commit ends.
    pub fn extend(&mut self, decl: &MembersDecl, members: &Population) {
        let known = self.rollups.len();
        for rollup in &decl.rollups[known..] {
            let ordered = matches!(rollup.kind, RollupKind::Min | RollupKind::Max);
            let source = rollup.column.map(|column| {
                let at = self.sources.iter().position(|(known, ..)| *known == column as u16).unwrap_or_else(|| {
                    self.sources.push((column as u16, Column::new(members.columns[column].kind()), false));
                    self.sources.len() - 1
                });
                self.sources[at].2 |= ordered;
                at
            });
            self.rollups.push(Rollup { kind: rollup.kind, source, out: rollup.out as u16 });
        }
        self.concern = vec![0u64; members.words()];
        for column in self.sources.iter().map(|(column, ..)| *column).chain(self.by.iter().flatten().copied()) {
            self.concern[column as usize / 64] |= 1 << (column % 64);
        }
        if known == self.rollups.len() {
            return;
        }
        let rows: Vec<u32> = members.live().collect();
        for row in rows {
            for (_, shadow, _) in &mut self.sources {
                shadow.reach(row);
            }
            self.mark(row);
        }
        for number in 1..=self.groups.len() as u32 {
            self.groups[number as usize - 1].sums.resize_with(self.sources.len(), Sums::default);
            // an extreme that nobody had asked for is counted from what members have contributed
            self.recount(number, members);
        }
    }

    /// Who has joined and left since the last call: the group's parameters, the member's, whether it has joined.
    pub fn take_notes(&mut self) -> Vec<(EcoString, EcoString, bool)> {
        let notes = std::mem::take(&mut self.notes);
        notes
            .into_iter()
            .map(|(group, member, joined)| (self.groups[group as usize - 1].key.clone(), member, joined))
            .collect()
    }

    fn note(&mut self, group: u32, key: &str, joined: bool) {
        if self.noting {
            self.notes.push((group, key.into(), joined));
        }
    }

    /// A member was made or has changed: looked at when the commit ends.
    #[inline]
    pub fn mark(&mut self, row: u32) {
        let word = row as usize / 64;
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        if self.marks[word] >> (row % 64) & 1 == 0 {
            self.marks[word] |= 1 << (row % 64);
            self.marked.push(row);
        }
    }

    /// The same, if what a turn has touched concerns this membership.
    #[inline]
    pub fn mark_touched(&mut self, row: u32, touched: &[u64]) {
        if self.concern.iter().zip(touched).any(|(concern, touched)| concern & touched != 0) {
            self.mark(row);
        }
    }

    pub fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Brings the groups up to date with all marked members.
    pub fn apply(&mut self, members: &Population, problems: &mut Vec<BadGroup>) {
        let marked = std::mem::take(&mut self.marked);
        for &row in &marked {
            self.marks[row as usize / 64] &= !(1 << (row % 64));
            if let Some(id) = members.id(row) {
                self.renew(row, id, members, problems);
            }
        }
        self.marked = marked;
        self.marked.clear();
    }

    fn renew(&mut self, row: u32, id: TwinId, members: &Population, problems: &mut Vec<BadGroup>) {
        self.group_of.reach(row);
        let old = self.group_of.raw(row);
        let new = self.group_for(row, old, members, problems);
        if old != new {
            if old != 0 {
                self.leave(row, id, old, members);
            }
            *self.group_of.raw_mut(row) = new;
            if new != 0 {
                self.groups[new as usize - 1].members.insert(id);
                self.note(new, members.key(row), true);
            }
        }
        if new == 0 {
            return;
        }
        let group = &mut self.groups[new as usize - 1];
        for (sums, (column, shadow, ordered)) in group.sums.iter_mut().zip(&mut self.sources) {
            shadow.reach(row);
            let (before, now) = (number(shadow, row), number(&members.columns[*column as usize], row));
            if let (Some(Number::Real(old)), Some(Number::Real(new)), false) = (before, now, *ordered) {
                // the common case in one addition: 106 bits hold the difference of two f64s of like size exactly
                let (difference, rest) = two_sum(new, -old);
                sums.shift(difference);
                sums.low += rest;
            } else {
                if let Some(number) = before {
                    sums.take(number, *ordered);
                }
                if let Some(number) = now {
                    sums.add(number, *ordered);
                }
            }
            copy(shadow, &members.columns[*column as usize], row);
        }
        if group.sums.iter().any(Sums::worn) {
            self.recount(new, members);
        }
        self.tell(new);
    }

    /// The number of the group that the member's `by` columns name.
    fn group_for(&mut self, row: u32, old: u32, members: &Population, problems: &mut Vec<BadGroup>) -> u32 {
        let Some(by) = &self.by else { return self.group_named("") };
        if let [column] = by.as_slice()
            && old != 0
            && members.columns[*column as usize].text(row) == Some(self.groups[old as usize - 1].key.as_str())
        {
            return old;
        }
        let mut key = EcoString::new();
        for (number, column) in by.iter().enumerate() {
            let part = match members.columns[*column as usize].get(row) {
                Value::Text(text) => text,
                Value::Int(x) => x.to_string().into(),
                _ => return 0,
            };
            if part.is_empty() {
                return 0;
            }
            if let Err(reason) = check_parameter(&part) {
                problems.push(BadGroup { member: row, reason: format!("names no group: {reason}") });
                return 0;
            }
            if number > 0 {
                key.push('\0');
            }
            key.push_str(&part);
        }
        self.group_named(&key)
    }

    fn group_named(&mut self, key: &str) -> u32 {
        if let Some(number) = self.index.get(key) {
            return *number;
        }
        let key = EcoString::from(key);
        let sums = vec![Sums::default(); self.sources.len()];
        self.groups.push(Group { key: key.clone(), members: BTreeSet::new(), sums, pending: false });
        let number = self.groups.len() as u32;
        self.index.insert(key, number);
        number
    }

    fn leave(&mut self, row: u32, id: TwinId, number: u32, members: &Population) {
        let group = &mut self.groups[number as usize - 1];
        group.members.remove(&id);
        if self.noting {
            self.notes.push((number, members.key(row).into(), false));
        }
        for (sums, (_, shadow, ordered)) in group.sums.iter_mut().zip(&mut self.sources) {
            shadow.reach(row);
            if let Some(number) = self::number(shadow, row) {
                sums.take(number, *ordered);
                shadow.replace(row, Value::Null);
            }
        }
        if group.sums.iter().any(Sums::worn) {
            self.recount(number, members);
        }
        self.tell(number);
    }

    /// A member has been deleted.
    pub fn gone(&mut self, row: u32, id: TwinId, members: &Population) {
        self.group_of.reach(row);
        let number = self.group_of.raw(row);
        if number != 0 {
            self.leave(row, id, number, members);
            *self.group_of.raw_mut(row) = 0;
        }
    }

    /// A group's twin was made: it is told what its members come to, if there are any.
    pub fn group_made(&mut self, key: &str) {
        let key = if self.by.is_some() { key } else { "" };
        if let Some(number) = self.index.get(key).copied() {
            self.tell(number);
        }
    }

    fn tell(&mut self, number: u32) {
        let group = &mut self.groups[number as usize - 1];
        if !group.pending {
            group.pending = true;
            self.pending.push(number);
        }
    }

    /// Sums every member's contribution anew.
    fn recount(&mut self, number: u32, members: &Population) {
        let group = &mut self.groups[number as usize - 1];
        for (sums, (_, shadow, ordered)) in group.sums.iter_mut().zip(&self.sources) {
            *sums = Sums::default();
            for row in group.members.iter().filter_map(|id| members.row(*id)) {
                if let Some(number) = self::number(shadow, row) {
                    sums.add(number, *ordered);
                }
            }
            sums.peak = sums.high.abs();
        }
    }

    /// Takes a group that is to be told: its key, "" for all twins of the population where there is no `by`.
    pub fn take_pending(&mut self) -> Option<EcoString> {
        let number = self.pending.pop()?;
        let group = &mut self.groups[number as usize - 1];
        group.pending = false;
        Some(group.key.clone())
    }

    /// Takes this very group from the pending ones, if it is among them.
    pub fn take_pending_of(&mut self, key: &str) -> bool {
        let Some(number) = self.index.get(key) else { return false };
        let group = &mut self.groups[*number as usize - 1];
        if !group.pending {
            return false;
        }
        group.pending = false;
        self.pending.retain(|other| other != number);
        true
    }

    /// The groups that `take_pending` would give.
    pub fn pending_keys(&self) -> impl Iterator<Item = EcoString> + '_ {
        self.pending.iter().map(|number| self.groups[*number as usize - 1].key.clone())
    }

    /// Counts all members of a store anew; every group with members is pending then.
    pub fn rebuild(&mut self, members: &Population, problems: &mut Vec<BadGroup>) {
        for row in members.live() {
            self.mark(row);
        }
        self.apply(members, problems);
    }

    /// Whether it reads one of these columns of the members.
    pub fn reads(&self, is: impl Fn(u16) -> bool) -> bool {
        let columns = self.sources.iter().map(|(column, ..)| *column);
        columns.chain(self.by.iter().flatten().copied()).any(is)
    }

    /// A group of a store that was still to be told.
    pub fn tell_again(&mut self, key: &str) {
        let number = self.group_named(key);
        self.tell(number);
    }

    pub fn is_all(&self) -> bool {
        self.by.is_none()
    }

    /// The members' twins of the group with these parameters, in the order of their creation.
    pub fn members(&self, key: &str) -> impl Iterator<Item = TwinId> + '_ {
        self.find(key).into_iter().flat_map(|group| group.members.iter().copied())
    }

    pub fn size(&self, key: &str) -> usize {
        self.find(key).map_or(0, |group| group.members.len())
    }

    pub fn contains(&self, key: &str, id: TwinId) -> bool {
        self.find(key).is_some_and(|group| group.members.contains(&id))
    }

    /// Each group with its members and sums, ordered by key: for comparing states.
    pub fn describe(&self) -> Vec<String> {
        let mut groups: Vec<String> = self
            .groups
            .iter()
            .filter(|group| !group.members.is_empty())
            .map(|group| format!("{:?} {:?} {:?}", group.key, group.members, group.sums))
            .collect();
        groups.sort();
        groups
    }

    fn find(&self, key: &str) -> Option<&Group> {
        let key = if self.by.is_some() { key } else { "" };
        self.index.get(key).map(|number| &self.groups[*number as usize - 1])
    }

    /// What the roll-ups of a group come to now: (the group's column, its value or why it has none).
    pub fn results(&self, key: &str, whole: impl Fn(u16) -> bool) -> Vec<(u16, Result<Value, Misfit>)> {
        let Some(group) = self.find(key) else { return Vec::new() };
        let one = |rollup: &Rollup| {
            let Some(source) = rollup.source else { return Ok(Value::Int(group.members.len() as i64)) };
            result(rollup.kind, &group.sums[source], whole(rollup.out))
        };
        self.rollups.iter().map(|rollup| (rollup.out, one(rollup))).collect()
    }
}

fn result(kind: RollupKind, sums: &Sums, whole: bool) -> Result<Value, Misfit> {
    let real = sums.high + sums.whole as f64;
    let value = match kind {
        RollupKind::Count => Value::Int(sums.truths as i64),
        RollupKind::Sum if whole => Value::Int(i64::try_from(sums.whole).map_err(|_| Misfit::Overflow)?),
        RollupKind::Sum => Value::Float(real),
        _ if sums.count == 0 => Value::Null,
        RollupKind::Mean => Value::Float(real / sums.count as f64),
        RollupKind::Min => extreme(sums.wholes.first_key_value(), sums.reals.first_key_value(), whole),
        RollupKind::Max => extreme(sums.wholes.last_key_value(), sums.reals.last_key_value(), whole),
    };
    match value {
        Value::Float(x) if !x.is_finite() => Err(Misfit::NotFinite),
        value => Ok(value),
    }
}

fn extreme(whole_key: Option<(&i64, &u32)>, real: Option<(&Finite, &u32)>, whole: bool) -> Value {
    match (whole_key, real) {
        (Some((x, _)), _) if whole => Value::Int(*x),
        (Some((x, _)), _) => Value::Float(*x as f64),
        (_, Some((x, _))) => Value::Float(x.0),
        _ => Value::Null,
    }
}

#[inline]
fn number(column: &Column, row: u32) -> Option<Number> {
    match column {
        Column::Float(cells) => cells.get(row).map(Number::Real),
        Column::Int(cells) => cells.get(row).map(Number::Whole),
        Column::Bool(cells) => cells.get(row).map(Number::Truth),
        _ => None,
    }
}

#[inline]
fn copy(shadow: &mut Column, from: &Column, row: u32) {
    match (shadow, from) {
        (Column::Float(shadow), Column::Float(from)) => _ = shadow.replace(row, from.get(row)),
        (shadow, from) => _ = shadow.replace(row, from.get(row)),
    }
}
