//! Which parts of a population have changed since its last checkpoint: a bit each 65,536 rows, so that marking costs next
//! to nothing and what has no mark need not be written again.

/// Rows, or slots of a map, of one file of a checkpoint.
pub const SEGMENT: u32 = 1 << SHIFT;
const SHIFT: u32 = 16;

/// Segments with a mark.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    words: Vec<u64>,
    all: bool,
}

impl Segments {
    /// The segment of this row.
    #[inline(always)]
    pub fn mark(&mut self, row: u32) {
        let (word, bit) = ((row >> (SHIFT + 6)) as usize, row >> SHIFT & 63);
        match self.words.get_mut(word) {
            Some(word) => *word |= 1 << bit,
            None => self.mark_beyond(word, bit),
        }
    }

    #[cold]
    #[inline(never)]
    fn mark_beyond(&mut self, word: usize, bit: u32) {
        self.words.resize(word + 1, 0);
        self.words[word] |= 1 << bit;
    }

    pub fn mark_run(&mut self, first: u32, last: u32) {
        for number in first >> SHIFT..=last >> SHIFT {
            self.mark(number << SHIFT);
        }
    }

    /// Every segment, those too that are yet to come.
    pub fn mark_all(&mut self) {
        self.all = true;
    }

    /// Whether a segment has a mark; `number` counts segments.
    pub fn has(&self, number: u32) -> bool {
        self.all || self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub fn merge(&mut self, other: &Segments) {
        self.all |= other.all;
        self.words.resize(self.words.len().max(other.words.len()), 0);
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }
}

/// What of a population has changed. A twin that was made or taken out has changed, and so have its entries.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    pub rows: Segments,
    /// By map, then by slot.
    pub maps: Vec<Segments>,
    /// Windows, by row.
    pub panes: Segments,
}

impl Changed {
    pub fn mark_row(&mut self, row: u32) {
        self.rows.mark(row);
        self.panes.mark(row);
    }

    pub fn mark_slot(&mut self, map: u16, slot: u32) {
        if self.maps.len() <= map as usize {
            self.maps.resize_with(map as usize + 1, Segments::default);
        }
        self.maps[map as usize].mark(slot);
    }

    pub fn has_slots(&self, map: usize, segment: u32) -> bool {
        self.maps.get(map).is_some_and(|map| map.has(segment))
    }

    /// Everything.
    pub fn all(maps: usize) -> Self {
        let all = Segments { words: Vec::new(), all: true };
        Changed { rows: all.clone(), maps: vec![all.clone(); maps], panes: all }
    }

    /// Takes up what another has: a checkpoint failed, and the next one has to write its changes too.
    pub fn merge(&mut self, other: &Changed) {
        self.rows.merge(&other.rows);
        self.panes.merge(&other.panes);
        self.maps.resize_with(self.maps.len().max(other.maps.len()), Segments::default);
        self.maps.iter_mut().zip(&other.maps).for_each(|(map, other)| map.merge(other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_its_segments_alone() {
        let mut changed = Changed::default();
        changed.mark_row(0);
        changed.mark_row(SEGMENT * 70 - 1);
        changed.mark_slot(2, SEGMENT);
        let marked: Vec<u32> = (0..100).filter(|number| changed.rows.has(*number)).collect();
        assert_eq!(marked, [0, 69]);
        assert!(changed.panes.has(69) && !changed.panes.has(70));
        assert!(changed.has_slots(2, 1) && !changed.has_slots(2, 0) && !changed.has_slots(1, 1));
        let mut other = Changed::default();
        other.mark_slot(3, 0);
        other.merge(&changed);
        assert!(other.has_slots(3, 0) && other.has_slots(2, 1) && other.rows.has(69) && !other.rows.has(68));
        assert!(Changed::all(1).rows.has(1_000_000) && Changed::all(1).has_slots(0, 5));
    }
}
