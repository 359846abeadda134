//! Text → folded text: BERT's normalization in one pass, with every separator made a blank.
//!
//! Folded text holds three kinds of byte: the blank, ASCII punctuation, and all others, which make up words; characters
//! that are words of their own stand between blanks; on request, ideographs that follow each other stay together. ASCII is
//! copied 64 bytes at a time, every other character of the basic plane is one look-up, the rest goes through the folding
//! table. `normalizer.rs` is the slow definition, and takes over where marks would have to change places.
use std::ops::Range;
use std::sync::OnceLock;

use crate::machine::{self, BLOCK, Machine};
use crate::normalizer::Normalizer;
use crate::unicode::{Entry, Folding, is_syllable};

/// The longest a character gets by folding, blanks around it included.
const LONGEST: usize = 64;

/// Folded text under construction; the bytes behind `len` are anything.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    bytes: Vec<u8>,
    len: usize,
    /// Bytes kept of what was there before.
    open: usize,
    /// Whether a run of ideographs is among them.
    runs: bool,
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
        self.runs = false;
    }

    /// Whether what begins with an ideograph may be several of them.
    #[inline]
    #[must_use]
    pub fn has_runs(&self) -> bool {
        self.runs
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
    fn push(&mut self, entry: u128) {
        // 16 bytes are written and up to 15 kept: one store, no loop.
        self.bytes[self.len..self.len + 16].copy_from_slice(&entry.to_le_bytes());
        self.len += (entry >> LENGTH_SHIFT) as usize;
    }

    fn push_char(&mut self, c: char) {
        self.len += c.encode_utf8(&mut self.bytes[self.len..]).len();
    }
}

/// A compiled [`Normalizer`].
#[derive(Clone, Copy, Debug)]
pub struct Folder {
    normalizer: Normalizer,
    /// For each character of the basic plane the bytes it folds to, up to 15, and their number in the highest byte.
    plane: &'static [u128],
    /// The same in 4 bytes, see [`Machine::fold_characters`]; the second time with syllables composed.
    narrow: &'static [Box<[u32]>; 2],
}

type Planes = (Box<[u128]>, [Box<[u32]>; 2]);

const LENGTH_SHIFT: u32 = 120;
/// Instead of a number of bytes: see the folding table.
const COMPLEX: u128 = 255;
const BLANK: u128 = 1 << LENGTH_SHIFT | b' ' as u128;
/// After so many ASCII bytes in a row, copying pays again.
const CALM: usize = 12;

/// So many characters come one by one after one that does not fold together with others; twice as many each time.
const SINGLY: usize = 4;

/// The number of unified ideographs from U+4E00 on.
pub const IDEOGRAPHS: usize = 0x5200;

/// Whether one of these ideographs has UTF-8 that begins with these two bytes.
#[inline(always)]
#[must_use]
pub fn begins_ideograph([first, second]: [u8; 2]) -> bool {
    u16::from_be_bytes([first, second]).wrapping_sub(0xE4B8) <= 0xE9BF - 0xE4B8
}

/// Which of the [`IDEOGRAPHS`] a character is whose UTF-8 has these three bytes; nothing that means anything for others.
#[inline(always)]
#[must_use]
pub fn ideograph_number(utf8: [u8; 3]) -> usize {
    let [a, b, c] = utf8.map(usize::from);
    ((a & 15) << 12 | (b & 63) << 6 | c & 63).wrapping_sub(0x4E00)
}

/// A character of three bytes that folds to itself.
#[inline(always)]
fn in_utf8(c: usize) -> u128 {
    let [a, b, c] = [0xE0 | c >> 12, 0x80 | c >> 6 & 63, 0x80 | c & 63].map(|byte| byte as u128);
    a | b << 8 | c << 16 | 3 << LENGTH_SHIFT
}

/// Whether the first character is none that a machine folds together with others.
#[inline(always)]
fn is_complex(text: &[u8], narrow: &[u32]) -> bool {
    let [a, b, c] = text.first_chunk().map_or([0xF0, 0, 0], |utf8: &[u8; 3]| utf8.map(usize::from));
    let number = match a {
        0..0xC0 => a,
        0xC0..0xE0 => (a & 31) << 6 | b & 63,
        0xE0..0xF0 => (a & 15) << 12 | (b & 63) << 6 | c & 63,
        _ => return true,
    };
    narrow[number] == machine::COMPLEX
}

impl Folder {
    /// Compiles a normalizer.
    #[must_use]
    pub fn new(normalizer: Normalizer) -> Self {
        // A mebibyte and a half each, made in some milliseconds and shared by all tokenizers of one kind.
        static PLANES: [OnceLock<Planes>; 16] = [const { OnceLock::new() }; 16];
        let Normalizer { clean_text, split_ideographs, strip_accents, lowercase } = normalizer;
        let options = [clean_text, split_ideographs, strip_accents, lowercase];
        let number = options.into_iter().fold(0, |number, option| number << 1 | usize::from(option));
        let (plane, narrow) = PLANES[number].get_or_init(|| {
            let plane = compile(normalizer);
            let narrow = [false, true].map(|brief| narrow(&plane, brief));
            (plane, narrow)
        });
        Self { normalizer, plane, narrow }
    }

    /// The normalizer this was made of.
    #[must_use]
    pub fn normalizer(&self) -> Normalizer {
        self.normalizer
    }

    /// Folds `text` from byte `at` until `folded` has about `goal` bytes; returns how far it came.
    ///
    /// With `brief`, ideographs that follow each other are not set apart from each other, and syllables stay composed.
    #[inline(always)]
    pub fn fold<M: Machine>(&self, text: &str, mut at: usize, goal: usize, brief: bool, folded: &mut Folded) -> usize {
        folded.make_room(goal.saturating_sub(folded.len) + LONGEST + BLOCK);
        let mut patience = SINGLY;
        while at < text.len() && folded.len < goal {
            at = copy_plain::<M>(text.as_bytes(), at, goal, self.normalizer.lowercase, folded);
            let most;
            (at, most) = self.fold_blocks::<M>(text, at, goal, brief, &mut patience, folded);
            if at < text.len() && folded.len < goal {
                at = self.fold_characters(text, at, goal, brief, most, folded);
            }
        }
        at
    }

    /// Folds many characters at a time, as far as a machine can; also how many to fold one by one before the next attempt.
    #[inline(always)]
    fn fold_blocks<M: Machine>(
        &self,
        text: &str,
        mut at: usize,
        goal: usize,
        brief: bool,
        patience: &mut usize,
        folded: &mut Folded,
    ) -> (usize, usize) {
        let narrow = &self.narrow[usize::from(brief)];
        while at < text.len() && folded.len < goal {
            let (rest, out) = (&text.as_bytes()[at..], folded.bytes[folded.len..].first_chunk_mut());
            if rest.first_chunk().is_some_and(|utf8| begins_ideograph(*utf8)) {
                return (at, 16 * SINGLY);
            }
            if is_complex(rest, narrow) {
                *patience *= 2;
                return (at, *patience);
            }
            let (Some(table), Some(out)) = (narrow.first_chunk(), out) else { break };
            let Some(step) = M::fold_characters(rest, table, out) else { break };
            at += step.read;
            folded.len += step.written;
            *patience = SINGLY;
            if step.plain {
                return (at, 0);
            }
        }
        (at, usize::MAX)
    }

    /// Folds `most` characters one by one, until there is only ASCII for a while; a run of ideographs counts as one.
    #[inline(never)]
    fn fold_characters(
        &self,
        text: &str,
        mut at: usize,
        goal: usize,
        brief: bool,
        mut most: usize,
        folded: &mut Folded,
    ) -> usize {
        let (bytes, runs) = (text.as_bytes(), brief && self.normalizer.split_ideographs);
        let mut calm = 0;
        while at < bytes.len() && folded.len < goal && calm < CALM && most > 0 {
            most -= 1;
            let [first, second] = [bytes[at], bytes.get(at + 1).copied().unwrap_or_default()];
            let [low, high] = [usize::from(second & 63), usize::from(first & 31) << 6];
            let (c, len) = if first < 0xE0 {
                // One or two bytes: chosen by arithmetic, since nothing predicts where words end.
                let wide = first >= 0x80;
                calm = if wide { 0 } else { calm + 1 };
                (if wide { high | low } else { usize::from(first) }, 1 + usize::from(wide))
            } else {
                if runs && begins_ideograph([first, second]) {
                    (at, calm) = (copy_ideographs(bytes, at, goal, folded), 0);
                    continue;
                }
                calm = 0;
                let third = bytes.get(at + 2).copied().unwrap_or_default();
                (usize::from(first & 15) << 12 | low << 6 | usize::from(third & 63), 3)
            };
            let entry = if brief && is_syllable(c as u32) { in_utf8(c) } else { self.plane[c & 0xFFFF] };
            if first < 0xF0 && entry >> LENGTH_SHIFT < COMPLEX {
                folded.push(entry);
                at += len;
            } else {
                at = self.fold_character(text, at, folded);
            }
        }
        at
    }

    fn fold_character(&self, text: &str, at: usize, folded: &mut Folded) -> usize {
        let Some(c) = text[at..].chars().next() else { return text.len() };
        let entry = self.normalizer.folding().entry(c);
        if entry.is_nonstarter() {
            return self.fold_exactly(text, at, folded);
        }
        push_by_table(self.normalizer, c, entry, folded);
        at + c.len_utf8()
    }

    /// Folds from a mark on that may have to change places with later ones, up to the next ASCII character that stays.
    fn fold_exactly(&self, text: &str, at: usize, folded: &mut Folded) -> usize {
        let starts = |b: &u8| b.is_ascii() && !b.is_ascii_control();
        let len = text.as_bytes()[at..].iter().position(starts).unwrap_or(text.len() - at);
        let (marks, case) = (Folding::of(true, false), Folding::of(false, self.normalizer.lowercase));
        for c in self.normalizer.decompose(&text[at..at + len]).filter(|c| !marks.entry(*c).is_dropped()) {
            folded.make_room(LONGEST);
            let entry = case.entry(c);
            case.fold(c, entry, |part, alone| push_separated(part, entry.is_space(), alone, folded));
        }
        at + len
    }
}

fn push_by_table(normalizer: Normalizer, c: char, entry: Entry, folded: &mut Folded) {
    if entry.is_control() && normalizer.clean_text {
        return;
    }
    let alone = entry.is_ideograph() && normalizer.split_ideographs;
    if entry.is_space() {
        return push_separated(c, true, false, folded);
    }
    normalizer.folding().fold(c, entry, |part, punctuation| push_separated(part, false, alone || punctuation, folded));
}

/// What all characters of the basic plane fold to.
fn compile(normalizer: Normalizer) -> Box<[u128]> {
    // Not as an array, which would be built on the stack.
    let mut plane = vec![COMPLEX << LENGTH_SHIFT; 0x1_0000].into_boxed_slice();
    let mut folded = Folded::default();
    folded.make_room(LONGEST);
    for c in '\0'..='\u{FFFF}' {
        let entry = normalizer.folding().entry(c);
        folded.len = 0;
        push_by_table(normalizer, c, entry, &mut folded);
        let mut bytes = [0; 16];
        if let Some(out) = bytes[..15].get_mut(..folded.len).filter(|_| !entry.is_nonstarter()) {
            out.copy_from_slice(folded.bytes());
            plane[c as usize] = u128::from_le_bytes(bytes) | (folded.len as u128) << LENGTH_SHIFT;
        }
    }
    plane
}

/// What folds to up to 4 bytes, none of them zero.
fn narrow(plane: &[u128], brief: bool) -> Box<[u32]> {
    let shorten = |(c, entry): (usize, &u128)| {
        if brief && is_syllable(c as u32) {
            return in_utf8(c) as u32;
        }
        let (bytes, len) = ((*entry as u32).to_le_bytes(), (entry >> LENGTH_SHIFT) as usize);
        let fits = bytes.get(..len).is_some_and(|bytes| !bytes.contains(&0));
        if fits { *entry as u32 } else { machine::COMPLEX }
    };
    plane.iter().enumerate().map(shorten).collect()
}

/// Copies a run of ideographs, each of which folds to itself.
#[inline(always)]
fn copy_ideographs(bytes: &[u8], at: usize, goal: usize, folded: &mut Folded) -> usize {
    let (characters, most) = (bytes[at..].as_chunks::<3>().0, (goal - folded.len).div_ceil(3));
    let run = characters.iter().take(most).take_while(|[first, second, _]| begins_ideograph([*first, *second])).count();
    folded.runs = true;
    folded.push(BLANK);
    folded.bytes[folded.len..folded.len + 3 * run].copy_from_slice(&bytes[at..at + 3 * run]);
    folded.len += 3 * run;
    folded.push(BLANK);
    at + 3 * run
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
