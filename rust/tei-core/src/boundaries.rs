//! Where words begin and end in folded text, 64 bytes at a time, without a branch that depends on the text.
//!
//! Folded text (see `folder.rs`) has three kinds of byte: the blank, ASCII punctuation, and all others, which make up
//! words; other words that stand apart are marked. The kinds become bit masks, boundaries become bit arithmetic on them, and the positions of the bits become two
//! lists. The widest instructions the machine has are chosen once, at run time.

use crate::folder::Marks;
use crate::machine::{BLOCK, Machine};

/// Where each word begins and ends; both lists are of one length.
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    starts: Vec<u32>,
    ends: Vec<u32>,
    len: usize,
    /// Where words of one byte are, if those come apart.
    singles: Vec<u32>,
    single: usize,
    /// For each block how many words begin before it, and the bits of the bytes where others do.
    begins: Vec<(u32, u64)>,
}

impl Boundaries {
    /// Where words begin.
    #[inline]
    #[must_use]
    pub fn starts(&self) -> &[u32] {
        &self.starts[..self.len]
    }

    /// Where words end, exclusive.
    #[inline]
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends[..self.len]
    }

    /// Where words of one byte are that are not in the other lists.
    #[inline]
    #[must_use]
    pub fn singles(&self) -> &[u32] {
        &self.singles[..self.single]
    }

    /// How many words begin before a byte, without a search.
    #[inline(always)]
    #[must_use]
    pub fn begun_before(&self, at: u32) -> u32 {
        let (before, bits) = self.begins[at as usize / BLOCK];
        before + (bits & ((1 << (at as usize % BLOCK)) - 1)).count_ones()
    }

    /// Takes the last word away, of which there must be one, and returns its start.
    pub fn pop(&mut self) -> u32 {
        self.len -= 1;
        self.starts[self.len]
    }

    /// Room for a word at every byte, and for whole vectors behind the last.
    fn make_room(&mut self, bytes: usize, apart: bool) {
        let room = bytes + BLOCK;
        if self.starts.len() < room {
            self.starts.resize(room, 0);
            self.ends.resize(room, 0);
            self.begins.resize(room / BLOCK, (0, 0));
        }
        if apart && self.singles.len() < room {
            self.singles.resize(room, 0);
        }
    }
}

/// Bits of the bytes of a block that belong to words, that stand apart, and where such words begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds {
    word: u64,
    apart: u64,
    first: u64,
}

/// Bits of the first bytes of words, and of the bytes after their last; the kinds of the byte before are carried on.
#[inline(always)]
fn edges(kinds: Kinds, carry: &mut Kinds) -> (u64, u64) {
    let Kinds { word, apart, first } = kinds;
    let (word_before, apart_before) = (word << 1 | carry.word, apart << 1 | carry.apart);
    *carry = Kinds { word: word >> 63, apart: apart >> 63, first };
    (word & !word_before | first, !word & word_before | apart_before & (!apart | first))
}

const BLANK: u8 = b' ';

#[inline(always)]
fn is_punctuation(b: u8) -> bool {
    // Two ranges with letters and digits cut out; as arithmetic, which becomes vector instructions.
    let letter = (b | 0x20).wrapping_sub(b'a') < 26;
    let digit = b.wrapping_sub(b'0') < 10;
    (b.wrapping_sub(0x21) < 94) & !letter & !digit
}

/// Finds the words of folded text; its length is a multiple of [`BLOCK`] and its last byte a blank.
///
/// With `APART`, words of one byte are found apart, but for those at the end of a block and one at `open`.
#[inline(always)]
pub fn find<M: Machine, const APART: bool>(text: &[u8], marks: &Marks, open: usize, found: &mut Boundaries) {
    found.make_room(text.len(), APART);
    let Boundaries { starts, ends, singles, begins, .. } = found;
    let lists = [&mut starts[..], ends, singles];
    (found.len, found.single) = if marks.any() {
        M::apart(|| list::<M, APART>(text, |i| marks.block(i), open, lists, begins))
    } else {
        M::apart(|| list::<M, APART>(text, |_| (0, 0), open, lists, begins))
    };
}

/// Fills the lists of starts, ends and single bytes; returns how many words and how many single bytes there are.
#[inline(always)]
fn list<M: Machine, const APART: bool>(
    text: &[u8],
    marks: impl Fn(usize) -> (u64, u64),
    open: usize,
    lists: [&mut [u32]; 3],
    begins: &mut [(u32, u64)],
) -> (usize, usize) {
    let [starts, ends, singles] = lists;
    let (mut begun, mut ended, mut single, mut carry) = (0, 0, 0, Kinds::default());
    for ((i, block), begin) in text.as_chunks::<BLOCK>().0.iter().enumerate().zip(begins) {
        let (mut first, mut after) = edges(kinds::<M>(block, marks(i)), &mut carry);
        let base = (i * BLOCK) as u32;
        if APART {
            let open = u64::from(i == open / BLOCK) << (open % BLOCK);
            let apart = first & after >> 1 & !open;
            (first, after) = (first ^ apart, after ^ apart << 1);
            single = M::push(apart, base, singles, single);
        }
        *begin = (begun as u32, first);
        begun = M::push(first, base, starts, begun);
        ended = M::push(after, base, ends, ended);
    }
    debug_assert_eq!(begun, ended, "the text ends with a blank");
    (begun.min(ended), single)
}

#[inline(always)]
fn kinds<M: Machine>(block: &[u8; BLOCK], (apart, first): (u64, u64)) -> Kinds {
    let (mut punctuation, mut blank) = ([0; BLOCK], [0; BLOCK]);
    for i in 0..BLOCK {
        punctuation[i] = if is_punctuation(block[i]) { 0xFF } else { 0 };
        blank[i] = if block[i] == BLANK { 0xFF } else { 0 };
    }
    let punctuation = M::mask(&punctuation);
    let apart = punctuation | apart;
    Kinds { word: !(apart | M::mask(&blank)), apart, first: punctuation | first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Baseline, Bytewise};
    use proptest::prelude::*;

    fn padded(mut text: Vec<u8>) -> Vec<u8> {
        text.resize((text.len() / BLOCK + 1) * BLOCK, BLANK);
        text
    }

    fn words<M: Machine, const APART: bool>(text: &[u8], open: usize) -> Vec<(u32, u32)> {
        let mut found = Boundaries::default();
        find::<M, APART>(text, &Marks::default(), open, &mut found);
        assert!(!found.singles().contains(&(open as u32)));
        for at in 0..text.len() as u32 {
            assert_eq!(found.begun_before(at) as usize, found.starts().partition_point(|start| *start < at), "{at}");
        }
        let singles = found.singles().iter().map(|at| (*at, *at + 1));
        let mut all: Vec<_> = found.starts().iter().copied().zip(found.ends().iter().copied()).chain(singles).collect();
        all.sort_unstable();
        all
    }

    /// The definition: a punctuation character, or whatever stands between blanks and punctuation.
    fn defined(text: &[u8]) -> Vec<(u32, u32)> {
        let mut words: Vec<(u32, u32)> = Vec::new();
        for (i, b) in (0..).zip(text) {
            if b.is_ascii_punctuation() {
                words.push((i, i + 1));
            } else if *b != BLANK {
                match words.last_mut() {
                    Some(word) if word.1 == i && !text[i as usize - 1].is_ascii_punctuation() => word.1 += 1,
                    _ => words.push((i, i + 1)),
                }
            }
        }
        words
    }

    fn agree(text: Vec<u8>) {
        let (open, text) = (text.len().wrapping_sub(1), padded(text));
        let want = defined(&text);
        assert_eq!(words::<Bytewise, false>(&text, open), want, "{text:?}");
        assert_eq!(words::<Baseline, false>(&text, open), want, "{text:?}");
        assert_eq!(words::<Baseline, true>(&text, open), want, "{text:?}");
        assert_eq!(words::<Baseline, true>(&text, usize::MAX), want, "{text:?}");
    }

    #[test]
    fn words_of_one_byte_come_apart() {
        let mut found = Boundaries::default();
        find::<Baseline, true>(&padded(b"a bc, d.".to_vec()), &Marks::default(), 7, &mut found);
        assert_eq!((found.singles(), found.starts()), (&[0, 4, 6][..], &[2, 7][..]));
    }

    proptest! {
        #[test]
        fn baseline_equals_the_definition(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            agree(text);
        }

        #[test]
        fn and_on_dense_text(text in "[a-z ,._é]{0,300}") {
            agree(text.into_bytes());
        }
    }
}
