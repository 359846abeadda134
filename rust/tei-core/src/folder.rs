//! Text → folded text: BERT's normalization in one pass, with every separator made a blank.
//!
//! Folded text holds three kinds of byte: the blank, ASCII punctuation, and all others, which make up words; characters
//! that are words of their own stand between blanks. ASCII is copied 64 bytes at a time, two-byte characters are one
//! look-up, all others go through the folding table. `normalizer.rs` is the slow definition, and takes over where marks
//! would have to change places.
use std::ops::Range;

use crate::machine::{BLOCK, Machine};
use crate::normalizer::Normalizer;
use crate::unicode::{Entry, Folding};

/// The longest a character gets by folding, blanks around it included.
const LONGEST: usize = 64;

/// Folded text under construction; the bytes behind `len` are anything.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    bytes: Vec<u8>,
    len: usize,
    /// Bytes kept of what was there before.
    open: usize,
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
        self.bytes.copy_within(range.start..end, 0);
        self.len = end - range.start;
        self.open = self.len;
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

    fn make_room(&mut self, more: usize) {
        let room = self.len + more + BLOCK;
        if self.bytes.len() < room {
            self.bytes.resize(room.max(2 * self.bytes.len()), 0);
        }
    }

    #[inline(always)]
    fn push(&mut self, entry: u64) {
        // Eight bytes are written and up to seven kept: one store, no loop.
        self.bytes[self.len..self.len + 8].copy_from_slice(&entry.to_le_bytes());
        self.len += (entry >> LENGTH_SHIFT) as usize;
    }

    fn push_char(&mut self, c: char) {
        self.len += c.encode_utf8(&mut self.bytes[self.len..]).len();
    }
}

/// A compiled [`Normalizer`].
#[derive(Clone, Debug)]
pub struct Folder {
    normalizer: Normalizer,
    folding: &'static Folding,
    /// For each character below U+0800 the bytes it folds to, up to seven, and their number in the highest byte.
    short: Box<[u64; SHORT]>,
}

const SHORT: usize = 0x800;
const LENGTH_SHIFT: u32 = 56;
/// Instead of a number of bytes: see the folding table.
const COMPLEX: u64 = 255;
/// After so many ASCII bytes in a row, copying pays again.
const CALM: usize = 12;

impl Folder {
    /// Compiles a normalizer.
    #[must_use]
    pub fn new(normalizer: Normalizer) -> Self {
        let mut folder =
            Self { normalizer, folding: normalizer.folding(), short: Box::new([COMPLEX << LENGTH_SHIFT; SHORT]) };
        for c in '\0'..='\u{7FF}' {
            if let Some(entry) = folder.short_entry(c) {
                folder.short[c as usize] = entry;
            }
        }
        folder
    }

    /// The normalizer this was made of.
    #[must_use]
    pub fn normalizer(&self) -> Normalizer {
        self.normalizer
    }

    fn short_entry(&self, c: char) -> Option<u64> {
        let mut folded = Folded::default();
        folded.make_room(LONGEST);
        let entry = self.folding.entry(c);
        self.push_by_table(c, entry, &mut folded);
        let mut bytes = [0; 8];
        bytes.get_mut(..7)?.get_mut(..folded.len)?.copy_from_slice(folded.bytes());
        (!entry.is_nonstarter()).then_some(u64::from_le_bytes(bytes) | (folded.len as u64) << LENGTH_SHIFT)
    }

    /// Folds `text` from byte `at` until `folded` has about `goal` bytes; returns how far it came.
    #[inline(always)]
    pub fn fold<M: Machine>(&self, text: &str, mut at: usize, goal: usize, folded: &mut Folded) -> usize {
        folded.make_room(goal.saturating_sub(folded.len) + LONGEST + BLOCK);
        while at < text.len() && folded.len < goal {
            at = copy_plain::<M>(text.as_bytes(), at, goal, self.normalizer.lowercase, folded);
            if at < text.len() && folded.len < goal {
                at = self.fold_characters(text, at, goal, folded);
            }
        }
        at
    }

    /// Folds character by character, until there is only ASCII for a while.
    #[inline(never)]
    fn fold_characters(&self, text: &str, mut at: usize, goal: usize, folded: &mut Folded) -> usize {
        let bytes = text.as_bytes();
        let mut calm = 0;
        while at < bytes.len() && folded.len < goal && calm < CALM {
            let [first, second] = [bytes[at], bytes.get(at + 1).copied().unwrap_or_default()];
            if first < 0xE0 {
                // One or two bytes: chosen by arithmetic, since nothing predicts where words end.
                let wide = usize::from(first >= 0x80);
                let long = usize::from(first & 31) << 6 | usize::from(second & 63);
                let entry = self.short[(if wide == 1 { long } else { usize::from(first) }) & (SHORT - 1)];
                calm = if wide == 1 { 0 } else { calm + 1 };
                if entry >> LENGTH_SHIFT < COMPLEX {
                    folded.push(entry);
                    at += 1 + wide;
                    continue;
                }
            } else if let Some(c) = self.ideograph_at(bytes, at) {
                folded.push(5 << LENGTH_SHIFT | 0x20 << 32 | c << 8 | 0x20);
                (at, calm) = (at + 3, 0);
                continue;
            }
            (at, calm) = (self.fold_character(text, at, folded), 0);
        }
        at
    }

    /// The three bytes of the unified ideograph at `at`, if there is one and it stands alone; it folds to itself.
    #[inline(always)]
    fn ideograph_at(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let &[a @ 0xE4..=0xE9, b, c] = bytes.get(at..)?.first_chunk::<3>()? else { return None };
        let alone = self.normalizer.split_ideographs && (a > 0xE4 || b >= 0xB8);
        alone.then_some(u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16)
    }

    fn fold_character(&self, text: &str, at: usize, folded: &mut Folded) -> usize {
        let Some(c) = text[at..].chars().next() else { return text.len() };
        let entry = self.folding.entry(c);
        if entry.is_nonstarter() {
            return self.fold_exactly(text, at, folded);
        }
        self.push_by_table(c, entry, folded);
        at + c.len_utf8()
    }

    /// Folds from a mark on that may have to change places with later ones, up to the next ASCII character that stays.
    fn fold_exactly(&self, text: &str, at: usize, folded: &mut Folded) -> usize {
        let starts = |b: &u8| b.is_ascii() && !b.is_ascii_control();
        let len = text.as_bytes()[at..].iter().position(starts).unwrap_or(text.len() - at);
        for a in self.normalizer.normalize(&text[at..at + len], 0) {
            folded.make_room(LONGEST);
            let entry = Folding::none().entry(a.c);
            push_separated(a.c, entry.is_space(), entry.is_punctuation(), folded);
        }
        at + len
    }

    fn push_by_table(&self, c: char, entry: Entry, folded: &mut Folded) {
        if entry.is_control() && self.normalizer.clean_text {
            return;
        }
        let alone = entry.is_ideograph() && self.normalizer.split_ideographs;
        if entry.is_space() {
            return push_separated(c, true, false, folded);
        }
        self.folding.fold(c, entry, |part, punctuation| push_separated(part, false, alone || punctuation, folded));
    }
}

fn push_separated(c: char, space: bool, alone: bool, folded: &mut Folded) {
    if space || alone {
        folded.push_char(' ');
    }
    if !space {
        folded.push_char(c);
    }
    if alone {
        folded.push_char(' ');
    }
}

/// Copies whole blocks as long as all their bytes are printable ASCII, or white space of that kind.
#[inline(always)]
fn copy_plain<M: Machine>(text: &[u8], mut at: usize, goal: usize, lowercase: bool, folded: &mut Folded) -> usize {
    while at < text.len() && folded.len < goal {
        let rest = &text[at..];
        let Some(out) = folded.bytes[folded.len..].first_chunk_mut() else { break };
        let plain = M::fold(rest, lowercase, out).trailing_zeros() as usize;
        let count = plain.min(rest.len());
        at += count;
        folded.len += count;
        if plain < BLOCK {
            break;
        }
    }
    at
}
