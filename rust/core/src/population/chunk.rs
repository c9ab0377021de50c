//! Chunks of 4,096 rows (fewer in tables whose rows are written at random) behind a reference count: a snapshot clones
//! the pointers, the first write after it copies.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Rows of one chunk of a population's column.
pub const CHUNK: usize = 64 * WORDS;
/// Words of 64 rows of such a chunk. Tables with chunks of another length have another `W`.
pub const WORDS: usize = 64;

/// A pointer that snapshots share. Only its owner writes, through `write`.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}

impl<T: Clone> Shared<T> {
    pub fn new(inner: T) -> Self {
        Shared(Arc::new(inner))
    }

    #[inline(always)]
    pub fn read(&self) -> &T {
        &self.0
    }

    /// The inside, for writing; copied first where a snapshot holds it too.
    #[inline(always)]
    pub fn write(&mut self) -> &mut T {
        if Arc::strong_count(&self.0) != 1 {
            self.part();
        }
        // The snapshot's last reads happen before this write, although another thread dropped it.
        fence(Ordering::Acquire);
        // SAFETY: the count is 1, no Weak is ever made, and `&mut self` keeps others from cloning it meanwhile.
        // `Arc::get_mut` says the same with an atomic exchange on each call, which costs more than the write.
        unsafe { &mut *Arc::as_ptr(&self.0).cast_mut() }
    }
}

impl<T: Clone> Shared<T> {
    /// Leaves the shared chunk to the snapshot. Apart from `write`, whose stack frame must not have room for a chunk.
    #[cold]
    #[inline(never)]
    fn part(&mut self) {
        // copies straight into its new place, not by way of the stack
        Arc::make_mut(&mut self.0);
    }
}

/// One bit a row.
#[derive(Clone, Debug)]
pub struct Bits<const W: usize = WORDS>([u64; W]);

impl<const W: usize> Bits<W> {
    pub const fn new() -> Self {
        Bits([0; W])
    }

    #[inline(always)]
    pub fn get(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    #[inline(always)]
    pub fn set(&mut self, at: usize, bit: bool) {
        let word = &mut self.0[at / 64];
        *word = *word & !(1 << (at % 64)) | (bit as u64) << (at % 64);
    }

    /// Sets a run of bits.
    pub fn set_run(&mut self, from: usize, to: usize) {
        for at in from / 64..to.div_ceil(64) {
            let (start, end) = (from.max(at * 64) % 64, to.min(at * 64 + 64) - at * 64);
            self.0[at] |= (u64::MAX << start) & (u64::MAX >> (64 - end));
        }
    }

    pub fn words(&self) -> &[u64; W] {
        &self.0
    }

    pub fn words_mut(&mut self) -> &mut [u64; W] {
        &mut self.0
    }
}

impl<const W: usize> Default for Bits<W> {
    fn default() -> Self {
        Bits::new()
    }
}

/// A hint that the memory will be wanted soon; nothing happens where the machine has no such instruction.
#[inline(always)]
fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults never; the address is that of a live reference.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A chunk of fixed-width cells: Arrow's validity bits and values.
#[derive(Clone, Debug)]
pub struct Cells<T, const W: usize = WORDS> {
    pub valid: Bits<W>,
    /// By 64, as the bits: stable Rust has no arrays of `64 * W`.
    values: [[T; 64]; W],
}

impl<T, const W: usize> Cells<T, W> {
    #[inline(always)]
    pub fn values(&self) -> &[T] {
        self.values.as_flattened()
    }

    #[inline(always)]
    pub fn values_mut(&mut self) -> &mut [T] {
        self.values.as_flattened_mut()
    }
}

/// Fixed-width cells without an end; rows never move.
#[derive(Clone, Debug)]
pub struct Chunked<T, const W: usize = WORDS> {
    chunks: Vec<Shared<Cells<T, W>>>,
}

impl<T, const W: usize> Default for Chunked<T, W> {
    fn default() -> Self {
        Chunked { chunks: Vec::new() }
    }
}

impl<T: Copy + Default, const W: usize> Chunked<T, W> {
    const CHUNK: usize = 64 * W;

    /// Makes room for `row`.
    #[inline(always)]
    pub fn reach(&mut self, row: u32) {
        if self.chunks.len() * Self::CHUNK <= row as usize {
            self.grow(row);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, row: u32) {
        while self.chunks.len() * Self::CHUNK <= row as usize {
            self.chunks.push(Shared::new(Cells { valid: Bits::new(), values: [[T::default(); 64]; W] }));
        }
    }

    #[inline(always)]
    pub fn get(&self, row: u32) -> Option<T> {
        let chunk = self.chunks[row as usize / Self::CHUNK].read();
        let at = row as usize % Self::CHUNK;
        chunk.valid.get(at).then(|| chunk.values()[at])
    }

    /// Has the cell on its way to the cache.
    #[inline(always)]
    pub fn prefetch(&self, row: u32) {
        let chunk = self.chunks[row as usize / Self::CHUNK].read();
        prefetch(&chunk.values()[row as usize % Self::CHUNK]);
    }

    /// The value whatever its validity: for columns that have none.
    #[inline(always)]
    pub fn raw(&self, row: u32) -> T {
        self.chunks[row as usize / Self::CHUNK].read().values()[row as usize % Self::CHUNK]
    }

    #[inline(always)]
    pub fn raw_mut(&mut self, row: u32) -> &mut T {
        &mut self.chunks[row as usize / Self::CHUNK].write().values_mut()[row as usize % Self::CHUNK]
    }

    /// The cell for one step of a fold: what it holds, and where to write.
    #[inline(always)]
    pub fn step(&mut self, row: u32) -> Step<'_, T, W> {
        let chunk = self.chunks[row as usize / Self::CHUNK].write();
        let at = row as usize % Self::CHUNK;
        let old = chunk.valid.get(at).then(|| chunk.values()[at]);
        Step { chunk, at, old }
    }

    /// `step` without looking whether there is such a row.
    ///
    /// # Safety
    /// `reach(row)` has been called.
    #[inline(always)]
    pub unsafe fn step_unchecked(&mut self, row: u32) -> Step<'_, T, W> {
        debug_assert!((row as usize / Self::CHUNK) < self.chunks.len());
        // SAFETY: by the contract above.
        let chunk = unsafe { self.chunks.get_unchecked_mut(row as usize / Self::CHUNK) }.write();
        let at = row as usize % Self::CHUNK;
        let old = chunk.valid.get(at).then(|| chunk.values()[at]);
        Step { chunk, at, old }
    }

    /// Writes the cell and gives back what it held.
    #[inline(always)]
    pub fn replace(&mut self, row: u32, new: Option<T>) -> Option<T> {
        let chunk = self.chunks[row as usize / Self::CHUNK].write();
        let at = row as usize % Self::CHUNK;
        let old = chunk.valid.get(at).then(|| chunk.values()[at]);
        match new {
            Some(value) => {
                chunk.values_mut()[at] = value;
                if old.is_none() {
                    chunk.valid.set(at, true);
                }
            }
            None => chunk.valid.set(at, false),
        }
        old
    }

    /// Writes the cells of a run of rows; those that `valid` leaves out are empty.
    pub fn fill(&mut self, first: u32, values: &[T], valid: Option<&dyn Fn(usize) -> bool>) {
        let mut done = 0;
        while done < values.len() {
            let row = first as usize + done;
            let at = row % Self::CHUNK;
            let count = (Self::CHUNK - at).min(values.len() - done);
            let chunk = self.chunks[row / Self::CHUNK].write();
            chunk.values_mut()[at..at + count].copy_from_slice(&values[done..done + count]);
            match valid {
                None => chunk.valid.set_run(at, at + count),
                Some(valid) => (0..count).for_each(|i| chunk.valid.set(at + i, valid(done + i))),
            }
            done += count;
        }
    }

    /// A whole chunk, for writing.
    pub fn chunk_mut(&mut self, number: usize) -> &mut Cells<T, W> {
        self.chunks[number].write()
    }

    pub fn chunks(&self) -> &[Shared<Cells<T, W>>] {
        &self.chunks
    }
}

/// One cell, looked up once to be read and then written.
pub struct Step<'a, T, const W: usize = WORDS> {
    chunk: &'a mut Cells<T, W>,
    at: usize,
    pub old: Option<T>,
}

impl<T, const W: usize> Step<'_, T, W> {
    #[inline(always)]
    pub fn write(self, new: T) {
        self.chunk.values_mut()[self.at] = new;
        if self.old.is_none() {
            self.chunk.valid.set(self.at, true);
        }
    }
}

/// Arrow's string view: four bytes of length, then up to 12 bytes of text, or a prefix and an offset into the heap.
pub type View = u128;
const INLINE: usize = 12;

/// The view of a text of at most 12 bytes: two such texts are equal when their views are. Loads overlap instead of
/// looping: this is on the way of every event.
#[inline(always)]
pub fn inline_view(text: &[u8]) -> Option<View> {
    let word = |at: usize| u64::from_le_bytes(text[at..at + 8].try_into().unwrap_or_default()) as u128;
    let half = |at: usize| u32::from_le_bytes(text[at..at + 4].try_into().unwrap_or_default()) as u128;
    let data = match text.len() {
        0 => 0,
        n @ 1..=3 => text[0] as u128 | (text[n / 2] as u128) << (8 * (n / 2)) | (text[n - 1] as u128) << (8 * (n - 1)),
        n @ 4..=8 => half(0) | half(n - 4) << (8 * (n - 4)),
        n @ 9..=INLINE => word(0) | word(n - 8) << (8 * (n - 8)),
        _ => return None,
    };
    Some(data << 32 | text.len() as u128)
}

/// A chunk of texts or byte strings: views, and one heap for those of over 12 bytes.
#[derive(Clone, Debug)]
pub struct Views<const W: usize = WORDS> {
    pub valid: Bits<W>,
    views: [[View; 64]; W],
    heap: Vec<u8>,
    /// Heap bytes that no view names any more.
    garbage: usize,
}

impl<const W: usize> Views<W> {
    fn new() -> Self {
        Views { valid: Bits::new(), views: [[0; 64]; W], heap: Vec::new(), garbage: 0 }
    }

    #[inline(always)]
    fn views(&self) -> &[View] {
        self.views.as_flattened()
    }

    #[inline(always)]
    fn views_mut(&mut self) -> &mut [View] {
        self.views.as_flattened_mut()
    }

    #[inline(always)]
    fn bytes(&self, at: usize) -> &[u8] {
        let view = &self.views()[at];
        let length = *view as u32 as usize;
        if length <= INLINE {
            // SAFETY: a u128 is 16 bytes; on the little-endian machines we build for, bytes 4..16 follow the length.
            unsafe { std::slice::from_raw_parts((view as *const View).cast::<u8>().add(4), length) }
        } else {
            let offset = (*view >> 96) as usize;
            &self.heap[offset..offset + length]
        }
    }

    /// Whether the cell holds this text; `view` is its view where it is inline.
    #[inline(always)]
    fn holds(&self, at: usize, text: &[u8], view: Option<View>) -> bool {
        match view {
            Some(view) => self.views()[at] == view,
            None => self.bytes(at) == text,
        }
    }

    fn put(&mut self, at: usize, text: &[u8]) {
        self.drop_heap(at);
        self.views_mut()[at] = self.store(text);
    }

    fn store(&mut self, text: &[u8]) -> View {
        let mut raw = [0u8; 16];
        raw[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        if text.len() <= INLINE {
            raw[4..4 + text.len()].copy_from_slice(text);
        } else {
            raw[4..8].copy_from_slice(&text[..4]);
            raw[12..].copy_from_slice(&(self.heap.len() as u32).to_le_bytes());
            self.heap.extend_from_slice(text);
        }
        u128::from_le_bytes(raw)
    }

    fn drop_heap(&mut self, at: usize) {
        let length = self.views()[at] as u32 as usize;
        self.views_mut()[at] = 0;
        if length > INLINE {
            self.garbage += length;
            if self.garbage > 4096 && self.garbage * 2 > self.heap.len() {
                self.compact();
            }
        }
    }

    fn compact(&mut self) {
        let old = std::mem::take(&mut self.heap);
        self.garbage = 0;
        for at in 0..64 * W {
            let length = self.views()[at] as u32 as usize;
            if length > INLINE {
                let offset = (self.views()[at] >> 96) as usize;
                let view = self.store(&old[offset..offset + length]);
                self.views_mut()[at] = view;
            }
        }
    }
}

const _: () = assert!(cfg!(target_endian = "little"), "string views are read as little-endian words");

/// Texts or byte strings without an end; rows never move.
#[derive(Clone, Debug)]
pub struct ChunkedViews<const W: usize = WORDS> {
    chunks: Vec<Shared<Views<W>>>,
}

impl<const W: usize> Default for ChunkedViews<W> {
    fn default() -> Self {
        ChunkedViews { chunks: Vec::new() }
    }
}

impl<const W: usize> ChunkedViews<W> {
    const CHUNK: usize = 64 * W;

    #[inline(always)]
    pub fn reach(&mut self, row: u32) {
        if self.chunks.len() * Self::CHUNK <= row as usize {
            self.grow(row);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, row: u32) {
        while self.chunks.len() * Self::CHUNK <= row as usize {
            self.chunks.push(Shared::new(Views::new()));
        }
    }

    #[inline(always)]
    pub fn get(&self, row: u32) -> Option<&[u8]> {
        let chunk = self.chunks[row as usize / Self::CHUNK].read();
        let at = row as usize % Self::CHUNK;
        chunk.valid.get(at).then(|| chunk.bytes(at))
    }

    /// Whether a cell that is set holds this text; `view` comes from `inline_view`.
    #[inline(always)]
    pub fn holds(&self, row: u32, text: &[u8], view: Option<View>) -> bool {
        self.chunks[row as usize / Self::CHUNK].read().holds(row as usize % Self::CHUNK, text, view)
    }

    #[inline]
    pub fn set(&mut self, row: u32, new: Option<&[u8]>) {
        let chunk = self.chunks[row as usize / Self::CHUNK].write();
        let at = row as usize % Self::CHUNK;
        match new {
            Some(text) => {
                chunk.put(at, text);
                chunk.valid.set(at, true);
            }
            None => {
                chunk.drop_heap(at);
                chunk.valid.set(at, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_keeps_what_it_saw() {
        let mut cells = Chunked::<i64>::default();
        cells.reach(5000);
        cells.replace(7, Some(1));
        let snapshot = cells.clone();
        assert_eq!(cells.replace(7, Some(2)), Some(1));
        cells.replace(8, Some(3));
        assert_eq!((snapshot.get(7), snapshot.get(8)), (Some(1), None));
        assert_eq!((cells.get(7), cells.get(8)), (Some(2), Some(3)));
        // the chunk that nobody wrote is still the same memory
        assert!(std::ptr::eq(snapshot.chunks()[1].read(), cells.chunks()[1].read()));
        assert!(!std::ptr::eq(snapshot.chunks()[0].read(), cells.chunks()[0].read()));
    }

    #[test]
    fn inline_views_are_what_is_stored() {
        let mut texts = ChunkedViews::<WORDS>::default();
        texts.reach(0);
        for length in 0..=13usize {
            let text: Vec<u8> = (0..length as u8).map(|i| b'a' + i).collect();
            texts.set(1, Some(&text));
            assert_eq!(inline_view(&text).is_some(), length <= INLINE);
            assert!(texts.holds(1, &text, inline_view(&text)), "{length}");
            let other = [text.as_slice(), b"z"].concat();
            assert!(!texts.holds(1, &other, inline_view(&other)), "{length}");
        }
    }

    #[test]
    fn views_hold_short_and_long_texts_and_give_heap_back() {
        let mut texts = ChunkedViews::<WORDS>::default();
        texts.reach(0);
        for length in [0, 1, 12, 13, 500] {
            let text = vec![b'x'; length];
            texts.set(3, Some(&text));
            assert_eq!(texts.get(3), Some(text.as_slice()));
        }
        for round in 0..1000u32 {
            let text = format!("{round:0>100}");
            texts.set(4, Some(text.as_bytes()));
            assert_eq!(texts.get(4), Some(text.as_bytes()));
        }
        assert_eq!(texts.get(3).map(<[u8]>::len), Some(500));
        assert!(texts.chunks[0].read().heap.len() < 10_000, "garbage is compacted");
        texts.set(3, None);
        assert_eq!(texts.get(3), None);
    }
}
