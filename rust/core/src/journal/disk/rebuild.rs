//! A disk as a power cut leaves it: what was synced is there; of what was not, any part may be, in any order, in whole
//! sectors; a name may be missing, or still be there, until its folder was synced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::tape::{Entry, Tape};
use crate::journal::files::Step;

const SECTOR: usize = 512;
const ROOT: usize = 0;

/// SplitMix64: the same cuts for the same seed.
#[derive(Clone, Debug)]
pub(in crate::journal) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Set(OsString, usize),
    Unset(OsString),
    Move(OsString, OsString, usize),
}

#[derive(Debug)]
enum Node {
    File { durable: Vec<u8>, pending: Vec<Change> },
    Folder { durable: BTreeMap<OsString, usize>, now: BTreeMap<OsString, usize>, pending: Vec<Naming> },
}

struct Model {
    nodes: Vec<Node>,
    random: Random,
    /// Of a thousand pending changes, how many have reached the disk.
    luck: usize,
}

/// Writes into the empty folder `into` what a power cut at `point` leaves of the tape's root.
pub(in crate::journal) fn rebuild(tape: &Tape, point: usize, random: &mut Random, into: &Path) {
    let luck = [0, 100, 500, 900, 1000][random.below(5)];
    let mut model = Model { nodes: vec![folder()], random: random.clone(), luck };
    let (base, entries) = tape.before(point);
    for (path, bytes) in base {
        let node = bytes.map_or_else(folder, |durable| Node::File { durable, pending: Vec::new() });
        model.add(&path, node);
    }
    model.settle_names();
    for entry in entries {
        model.play(&tape.root, entry);
    }
    model.cut(ROOT, into);
    *random = model.random;
}

fn folder() -> Node {
    Node::Folder { durable: BTreeMap::new(), now: BTreeMap::new(), pending: Vec::new() }
}

impl Model {
    fn play(&mut self, root: &Path, entry: Entry) {
        let below = |path: &Path| path.strip_prefix(root).ok().map(Path::to_path_buf);
        match entry {
            Entry::Mark(_) => {}
            Entry::SyncFailed(path) => {
                let Some(node) = below(&path).and_then(|path| self.find(&path)) else { return };
                // Whatever did not make it is forgotten: no later sync writes it.
                self.settle_some(node);
            }
            Entry::Done(step) => match step {
                Step::Create(path) => {
                    let Some(path) = below(&path) else { return };
                    self.add(&path, Node::File { durable: Vec::new(), pending: Vec::new() });
                }
                Step::MakeFolder(path) => {
                    let Some(path) = below(&path) else { return };
                    self.add(&path, folder());
                }
                Step::Write { path, at, bytes } => {
                    let Some(path) = below(&path) else { return };
                    self.change(&path, Change::Write { at: at as usize, bytes });
                }
                Step::Truncate { path, length } => {
                    let Some(path) = below(&path) else { return };
                    self.change(&path, Change::Length(length as usize));
                }
                Step::Sync(path) => {
                    let Some(node) = below(&path).and_then(|path| self.find(&path)) else { return };
                    if let Node::File { durable, pending } = &mut self.nodes[node] {
                        pending.drain(..).for_each(|change| apply(durable, change));
                    }
                }
                Step::SyncFolder(path) => {
                    let Some(node) = below(&path).and_then(|path| self.find(&path)) else { return };
                    if let Node::Folder { durable, pending, .. } = &mut self.nodes[node] {
                        pending.drain(..).for_each(|naming| name(durable, naming));
                    }
                }
                Step::Rename { from, to } => {
                    let (Some(from), Some(to)) = (below(&from), below(&to)) else { return };
                    let node = self.find(&from).expect("a file that is renamed");
                    assert_eq!(from.parent(), to.parent(), "renamed within a folder");
                    let names = (from.file_name().unwrap().to_owned(), to.file_name().unwrap().to_owned());
                    self.naming(&to, Naming::Move(names.0, names.1, node));
                }
                Step::Link { from, to } => {
                    let (Some(from), Some(to)) = (below(&from), below(&to)) else { return };
                    let node = self.find(&from).expect("a file that is linked");
                    self.naming(&to, Naming::Set(to.file_name().unwrap().to_owned(), node));
                }
                Step::Remove(path) | Step::RemoveFolder(path) => {
                    let Some(path) = below(&path) else { return };
                    self.naming(&path, Naming::Unset(path.file_name().unwrap().to_owned()));
                }
            },
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(ROOT, |node, name| match &self.nodes[node] {
            Node::Folder { now, .. } => now.get(name).copied(),
            Node::File { .. } => None,
        })
    }

    fn add(&mut self, path: &Path, node: Node) {
        self.nodes.push(node);
        let set = Naming::Set(path.file_name().expect("a name").to_owned(), self.nodes.len() - 1);
        self.naming(path, set);
    }

    fn naming(&mut self, path: &Path, naming: Naming) {
        let parent = self.find(path.parent().expect("not the root")).expect("a folder that is there");
        if let Node::Folder { now, pending, .. } = &mut self.nodes[parent] {
            name(now, naming.clone());
            pending.push(naming);
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        let node = self.find(path).expect("a file that is written");
        if let Node::File { pending, .. } = &mut self.nodes[node] {
            pending.push(change);
        }
    }

    fn settle_names(&mut self) {
        for node in &mut self.nodes {
            if let Node::Folder { durable, pending, .. } = node {
                pending.drain(..).for_each(|naming| name(durable, naming));
            }
        }
    }

    /// Some of a file's pending changes, by sectors, in any order; the others are gone.
    fn settle_some(&mut self, node: usize) {
        let Node::File { durable, pending } = &mut self.nodes[node] else { return };
        let mut some = Vec::new();
        for change in pending.drain(..) {
            match change {
                Change::Write { mut at, bytes } => {
                    let mut rest = bytes.as_slice();
                    while !rest.is_empty() {
                        let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                        if self.random.below(1000) < self.luck {
                            some.push(Change::Write { at, bytes: sector.to_vec() });
                        }
                        at += sector.len();
                        rest = behind;
                    }
                }
                length => {
                    if self.random.below(1000) < self.luck {
                        some.push(length);
                    }
                }
            }
        }
        if self.random.below(2) == 0 {
            self.random.shuffle(&mut some);
        }
        some.into_iter().for_each(|change| apply(durable, change));
    }

    fn cut(&mut self, node: usize, into: &Path) {
        self.settle_some(node);
        match &mut self.nodes[node] {
            Node::File { durable, .. } => fs::write(into, durable).expect("a file of the rebuilt disk"),
            Node::Folder { durable, pending, .. } => {
                let (mut durable, pending) = (durable.clone(), std::mem::take(pending));
                for naming in pending {
                    if self.random.below(1000) < self.luck {
                        name(&mut durable, naming);
                    }
                }
                if node != ROOT {
                    fs::create_dir(into).expect("a folder of the rebuilt disk");
                }
                for (name, node) in durable {
                    self.cut(node, &into.join(name));
                }
            }
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Length(length) => bytes.resize(length, 0),
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[at..end].copy_from_slice(&new);
        }
    }
}

fn name(names: &mut BTreeMap<OsString, usize>, naming: Naming) {
    match naming {
        Naming::Set(name, node) => {
            names.insert(name, node);
        }
        Naming::Unset(name) => {
            names.remove(&name);
        }
        Naming::Move(from, to, node) => {
            names.remove(&from);
            names.insert(to, node);
        }
    }
}
