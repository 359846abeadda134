//! Folded text, chunk by chunk in one buffer.
use std::ops::Range;

use super::LENGTH_SHIFT;
use super::marks::Marks;
use crate::machine::BLOCK;

/// Folded text under construction; the bytes behind `len` are anything.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    pub(super) bytes: Vec<u8>,
    pub(super) len: usize,
    /// Bytes kept of what was there before.
    open: usize,
    /// Whether a run of ideographs is among them.
    pub(super) runs: bool,
    /// Whether all of it was copied from ASCII.
    pub(super) plain: bool,
    pub(super) marks: Marks,
}

impl Folded {
    /// The folded bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The folded bytes and whatever lies behind: at least 64 bytes, so that every word can be read as a whole block.
    #[inline]
    #[must_use]
    pub fn with_slack(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of folded bytes.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Keeps only the bytes of a range, and of those only the first `most`.
    pub fn keep(&mut self, range: Range<usize>, most: usize) {
        let end = range.end.min(range.start.saturating_add(most));
        self.marks.clear(self.len);
        self.bytes.copy_within(range.start..end, 0);
        self.len = end - range.start;
        self.open = self.len;
        (self.runs, self.plain) = (false, true);
    }

    /// Whether what begins with an ideograph may be several of them.
    #[inline]
    #[must_use]
    pub fn has_runs(&self) -> bool {
        self.runs
    }

    /// Whether all of it was copied from ASCII, but for what was kept.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Which words stand apart though no blanks are around them.
    #[inline]
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether a word that ends at `end` might go on there: no word does that stands apart.
    #[inline]
    #[must_use]
    pub(crate) fn may_go_on(&self, end: usize) -> bool {
        end > 0 && !self.marks.is_apart(end - 1)
    }

    /// Number of bytes that were kept.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Sets the text apart from the next one and notes where it ends.
    #[inline(always)]
    pub fn end_text(&mut self, ends: &mut Vec<u32>) {
        self.make_room(1);
        self.bytes[self.len] = b' ';
        self.len += 1;
        ends.push(self.len as u32);
    }

    /// Appends blanks, at least one, up to a multiple of [`BLOCK`].
    pub fn pad(&mut self) {
        let len = (self.len / BLOCK + 1) * BLOCK;
        self.make_room(len - self.len);
        self.bytes[self.len..len].fill(b' ');
        self.len = len;
    }

    #[inline(always)]
    pub(super) fn make_room(&mut self, more: usize) {
        let room = self.len + more + BLOCK;
        if self.bytes.len() < room {
            self.grow(room);
        }
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        self.bytes.resize(room.max(2 * self.bytes.len()), 0);
        self.marks.make_room(self.bytes.len());
    }

    #[inline(always)]
    pub(super) fn push(&mut self, entry: u128) {
        // 16 bytes are written and up to 15 kept: one store, no loop.
        self.bytes[self.len..self.len + 16].copy_from_slice(&entry.to_le_bytes());
        self.len += (entry >> LENGTH_SHIFT) as usize;
    }

    #[inline]
    pub(super) fn push_char(&mut self, c: char) {
        let mut utf8 = [0; 4];
        let len = c.encode_utf8(&mut utf8).len();
        self.bytes[self.len..self.len + 4].copy_from_slice(&utf8);
        self.len += len;
    }
}
