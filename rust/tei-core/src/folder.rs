//! Text → folded text: BERT's normalization in one pass, with every separator made a blank.
//!
//! Folded text holds three kinds of byte: the blank, ASCII punctuation, and all others, which make up words; characters
//! that are words of their own stand between blanks. On request it is brief: letters stay as they are, ideographs that follow
//! each other stay together, and words that stand apart without blanks are marked (`marks.rs`); whoever needs such a word as
//! tokens spell it asks for that. Then most text of any script is copied, 64 bytes at a time: `letters.rs` and `copies.rs` say
//! what can be. Otherwise only ASCII is, every other character of the basic plane is one look-up, and the rest goes through
//! the folding table. `normalizer.rs` is the slow definition, and takes over where marks would have to change places.
mod copies;
mod folded;
mod marks;
mod tables;

use std::ops::Range;

use self::copies::Copied;
pub use self::folded::Folded;
pub use self::marks::Marks;
use self::tables::Tables;
use crate::letters::Letters;
use crate::machine::{self, BLOCK, Machine};
use crate::normalizer::Normalizer;
use crate::unicode::{Entry, Folding};

/// The longest a character gets by folding, blanks around it included.
const LONGEST: usize = 64;

/// A compiled [`Normalizer`].
#[derive(Clone, Copy, Debug)]
pub struct Folder {
    normalizer: Normalizer,
    tables: &'static Tables,
}

const LENGTH_SHIFT: u32 = 120;
/// Instead of a number of bytes: see the folding table.
const COMPLEX: u128 = 255;
const BLANK: u128 = 1 << LENGTH_SHIFT | b' ' as u128;
/// After so many ASCII bytes in a row, copying pays again.
const CALM: usize = 12;
/// Up to so many times as many, where copying did not pay before.
const CALMER: usize = 4;

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

/// The code point of a character of two or three bytes.
#[inline(always)]
fn code_point([first, second, third]: [u8; 3]) -> usize {
    let [a, b, c] = [first, second, third].map(usize::from);
    if first < 0xE0 { (a & 31) << 6 | b & 63 } else { (a & 15) << 12 | (b & 63) << 6 | c & 63 }
}

/// An entry for a character of two or three bytes that folds to itself.
#[inline(always)]
fn itself([first, second, third]: [u8; 3]) -> u128 {
    let [a, b, c] = [first, second, third].map(u128::from);
    let third = if first < 0xE0 { 0 } else { c << 16 };
    a | b << 8 | third | (Letters::len(first) as u128) << LENGTH_SHIFT
}

/// Whether the first character is none that a machine folds together with others.
#[inline(always)]
fn is_complex(text: &[u8], narrow: &[u32]) -> bool {
    let utf8 = text.first_chunk().copied().unwrap_or([0xF0, 0, 0]);
    let number = match utf8[0] {
        0..0xC0 => usize::from(utf8[0]),
        0xC0..0xF0 => code_point(utf8),
        _ => return true,
    };
    narrow[number] == machine::COMPLEX
}

impl Folder {
    /// Compiles a normalizer.
    #[must_use]
    pub fn new(normalizer: Normalizer) -> Self {
        Self { normalizer, tables: Tables::of(normalizer) }
    }

    /// The normalizer this was made of.
    #[must_use]
    pub fn normalizer(&self) -> Normalizer {
        self.normalizer
    }

    /// Folds `text` from byte `at` until `folded` has about `goal` bytes; returns how far it came.
    ///
    /// With `brief`, ideographs that follow each other are not set apart from each other, and [`Letters`] stay as they are.
    #[inline(always)]
    pub fn fold<M: Machine>(&self, text: &str, mut at: usize, goal: usize, brief: bool, folded: &mut Folded) -> usize {
        folded.make_room(goal.saturating_sub(folded.len) + LONGEST + BLOCK);
        let (mut patience, mut steps) = (SINGLY, 1);
        while at < text.len() && folded.len < goal {
            let from = at;
            at = self.copy_plain::<M>(text.as_bytes(), at, goal, brief, folded);
            // Where little can be copied, copying is tried again later and later.
            steps = if at - from >= BLOCK / 2 { 1 } else { BLOCK.min(2 * steps) };
            let mut most = usize::MAX;
            if M::FOLDS {
                (at, most) = self.fold_blocks::<M>(text, at, goal, brief.then_some(steps), &mut patience, folded);
            }
            if at < text.len() && folded.len < goal {
                at = self.fold_characters(text, at, goal, brief, [most, CALM * steps.min(CALMER)], folded);
            }
        }
        at
    }

    /// Folds many characters at a time, as far as a machine can; also how many to fold one by one before the next attempt.
    ///
    /// With `steps`, text is brief, and may be copied again after so many.
    #[inline(always)]
    fn fold_blocks<M: Machine>(
        &self,
        text: &str,
        mut at: usize,
        goal: usize,
        steps: Option<usize>,
        patience: &mut usize,
        folded: &mut Folded,
    ) -> (usize, usize) {
        let narrow = self.tables.narrow(steps.is_some());
        let mut steps = steps.unwrap_or(usize::MAX);
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
            steps -= 1;
            if step.plain || steps == 0 {
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
        [mut most, calm_enough]: [usize; 2],
        folded: &mut Folded,
    ) -> usize {
        let (bytes, runs) = (text.as_bytes(), brief && self.normalizer.split_ideographs);
        let mut calm = 0;
        while at < bytes.len() && folded.len < goal && calm < calm_enough && most > 0 {
            most -= 1;
            let [first, second] = [bytes[at], bytes.get(at + 1).copied().unwrap_or_default()];
            let utf8 = [first, second, bytes.get(at + 2).copied().unwrap_or_default()];
            let entry = if first < 0x80 {
                calm += 1;
                self.tables.plane[usize::from(first)]
            } else if brief && self.tables.letters.has([first, second]) {
                calm += 1;
                itself(utf8)
            } else {
                if runs && begins_ideograph([first, second]) {
                    (at, calm) = (copy_ideographs(bytes, at, goal, folded), calm + 1);
                    continue;
                }
                let c = code_point(utf8) & 0xFFFF;
                calm = if brief && self.tables.copies.get(c) != Copied::Not { calm + 1 } else { 0 };
                self.tables.plane[c]
            };
            let len = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                _ => 3,
            };
            if first < 0xF0 && entry >> LENGTH_SHIFT < COMPLEX {
                folded.push(entry);
                at += len;
            } else {
                at = self.fold_character(text, at, folded);
            }
        }
        at
    }

    /// Folds the letters of a word that is otherwise folded; `out` is where.
    pub fn fold_letters<'w>(&self, word: &'w [u8], out: &'w mut Vec<u8>) -> &'w [u8] {
        if word.is_ascii() {
            return word;
        }
        // A character has at least two bytes, and becomes at most 15.
        let room = 8 * (word.len() + 2);
        if out.len() < room {
            out.resize(room, 0);
        }
        let (mut at, mut len) = (0, 0);
        while let Some(&first) = word.get(at) {
            let [second, third] = [1, 2].map(|i| word.get(at + i).copied().unwrap_or_default());
            let c = code_point([first, second, third]);
            if self.tables.letters.has([first, second]) || self.tables.copies.is_letter(first, c) {
                let entry = self.tables.plane[c];
                // 16 bytes are written, whatever is kept.
                out[len..len + 16].copy_from_slice(&entry.to_le_bytes());
                len += (entry >> LENGTH_SHIFT) as usize;
                at += Letters::len(first);
            } else {
                out[len] = first;
                (at, len) = (at + 1, len + 1);
            }
        }
        &out[..len]
    }

    /// Folds the letters of the word at the end if it has more than `most` bytes: some may be dropped. Returns its end.
    pub fn fold_open(&self, word: Range<usize>, most: usize, folded: &mut Folded) -> usize {
        if word.len() <= most {
            return word.end;
        }
        let (long, mut out) = (folded.bytes[word.clone()].to_vec(), Vec::new());
        let letters = self.fold_letters(&long, &mut out);
        let end = word.start + letters.len();
        folded.make_room(letters.len());
        folded.bytes[word.start..end].copy_from_slice(letters);
        end
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

#[inline]
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

#[inline]
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
