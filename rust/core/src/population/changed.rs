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
    pub fn has_slots(&self, map: usize, segment: u32) -> bool {
        self.maps.get(map).is_some_and(|map| map.has(segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_its_segments_alone() {
        let mut rows = Segments::default();
        rows.mark(0);
        rows.mark(SEGMENT * 70 - 1);
        let marked: Vec<u32> = (0..100).filter(|number| rows.has(*number)).collect();
        assert_eq!(marked, [0, 69]);
        let mut slots = Segments::default();
        slots.mark(SEGMENT);
        let changed =
            Changed { rows: rows.clone(), maps: vec![Segments::default(), slots], panes: Segments::default() };
        assert!(
            changed.has_slots(1, 1) && !changed.has_slots(1, 0) && !changed.has_slots(0, 1) && !changed.has_slots(2, 1)
        );
        let mut other = Segments::default();
        other.mark(SEGMENT);
        other.merge(&rows);
        assert!(other.has(1) && other.has(69) && !other.has(68));
        other.mark_all();
        assert!(other.has(1_000_000));
    }
}
