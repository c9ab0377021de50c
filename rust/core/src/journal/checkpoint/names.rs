//! Names of files: `Bus-0000.arrow`, `Bus.stops-0000.arrow`. What they hold stands in them; names are for people, and need
//! only differ.

use std::collections::HashSet;

use crate::journal::schema::StoredPopulation;

/// Bytes of a name, at most: file systems take 255, with the number and the ending.
const LONGEST: usize = 160;

/// Names that are taken in a checkpoint.
#[derive(Default)]
pub(in crate::journal) struct Names {
    /// In lower case: some file systems know no other.
    taken: HashSet<String>,
}

impl Names {
    /// The beginning of a class's files, or of those of one of its lanes: its name and id. The same for the same schema.
    pub fn of(&mut self, class: &StoredPopulation, lane: Option<(&str, u32)>) -> String {
        let mut name = plain(&class.name);
        if let Some((lane, _)) = lane {
            name = name + "." + &plain(lane);
        }
        let is_long = name.len() > LONGEST;
        while name.len() > LONGEST {
            name.pop();
        }
        if is_long || self.taken.contains(&name.to_lowercase()) {
            name = format!("{name}~{}.{}", class.id.0, lane.map_or(0, |(_, id)| id));
        }
        self.taken.insert(name.to_lowercase());
        name
    }
}

pub(super) fn file(name: &str, segment: u32) -> String {
    format!("{name}-{segment:04}.arrow")
}

/// Letters, digits, `_` and `-` of all scripts; anything else by its number.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        match letter {
            '_' | '-' => plain.push(letter),
            letter if letter.is_alphanumeric() => plain.push(letter),
            letter => plain.push_str(&format!("%{:X}", letter as u32)),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::schema::StoredId;

    fn class(name: &str, id: u32) -> StoredPopulation {
        StoredPopulation {
            id: StoredId(id),
            name: name.into(),
            parameters: Vec::new(),
            pattern: Vec::new(),
            columns: Vec::new(),
            maps: Vec::new(),
            windows: Vec::new(),
            timers: Vec::new(),
            next: 1,
        }
    }

    #[test]
    fn no_two_names_meet_and_none_leaves_the_folder() {
        let mut names = Names::default();
        let long = "x".repeat(500);
        let (bus, other) = (class("Bus", 1), class("bus", 2));
        assert_eq!(names.of(&bus, None), "Bus");
        assert_eq!(names.of(&other, None), "bus~2.0");
        assert_eq!(names.of(&bus, Some(("windows", 0))), "Bus.windows");
        assert_eq!(names.of(&bus, Some(("windows", 7))), "Bus.windows~1.7");
        assert_eq!(names.of(&bus, Some(("../stops", 8))), "Bus.%2E%2E%2Fstops");
        assert_eq!(names.of(&bus, Some(("größe", 9))), "Bus.größe");
        assert_ne!(names.of(&bus, Some((&long, 10))), names.of(&bus, Some((&long, 11))));
        assert!(names.of(&class(&"ü".repeat(300), 3), Some((&long, 1))).len() < 200);
        assert_eq!(file("Bus", 12), "Bus-0012.arrow");
    }
}
