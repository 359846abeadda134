//! Text that is copied as it is, 64 bytes at a time, and which characters outside of ASCII are.
use super::{Folded, Folder, LENGTH_SHIFT, code_point};
use crate::letters::Letters;
use crate::machine::{BLOCK, Machine};
use crate::normalizer::Normalizer;

/// What becomes of a character of two or three bytes while others are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// It cannot be copied.
    Not,
    /// A part of a word; it is folded where the word is not known.
    Letter,
    /// A word of its own that folds to itself.
    Alone,
    /// As many blanks as it has bytes.
    Blank,
}

/// That of each character of the basic plane.
#[derive(Debug)]
pub(super) struct Copies(Box<[Copied]>);

impl Copies {
    /// By what each character folds to.
    pub fn new(normalizer: Normalizer, plane: &[u128]) -> Self {
        Self((0..).zip(plane).map(|(c, entry)| copied(normalizer, c, *entry)).collect())
    }

    /// Whether a character with this first byte is a letter.
    #[inline(always)]
    pub fn is_letter(&self, first: u8, c: usize) -> bool {
        (0xC0..0xF0).contains(&first) && self.get(c) == Copied::Letter
    }

    /// What becomes of a character.
    #[inline(always)]
    pub fn get(&self, c: usize) -> Copied {
        self.0[c & 0xFFFF]
    }
}

fn copied(normalizer: Normalizer, c: u32, entry: u128) -> Copied {
    let bytes = entry.to_le_bytes();
    let Some(folded) = bytes[..15].get(..(entry >> LENGTH_SHIFT) as usize) else { return Copied::Not };
    match folded {
        // What is dropped parts no word.
        [] => Copied::Letter,
        [b' ', own @ .., b' '] if char::from_u32(c).is_some_and(|c| c.encode_utf8(&mut [0; 4]).as_bytes() == own) => {
            Copied::Alone
        }
        _ if folded.iter().all(|byte| *byte == b' ') => Copied::Blank,
        _ if stays(normalizer, folded) => Copied::Letter,
        _ => Copied::Not,
    }
}

/// Whether what a character folds to is not apart from its neighbours, and no mark that might change places.
fn stays(normalizer: Normalizer, folded: &[u8]) -> bool {
    let stays = |c: char| c != ' ' && !normalizer.folding().entry(c).is_nonstarter();
    str::from_utf8(folded).is_ok_and(|folded| folded.chars().all(stays))
}

impl Folder {
    /// Copies blocks as long as all their bytes are printable ASCII, or white space of that kind; with `brief`, or what else
    /// can be copied.
    #[inline(always)]
    pub(super) fn copy_plain<M: Machine>(
        &self,
        text: &[u8],
        mut at: usize,
        goal: usize,
        brief: bool,
        folded: &mut Folded,
    ) -> usize {
        // Where bytes begin that are in the folded text as they were copied.
        let mut same = at;
        while at < text.len() && folded.len < goal {
            // The last bytes come together with some before them: putting them into a block takes longer.
            let again = BLOCK.saturating_sub(text.len() - at);
            let again = if again <= at.saturating_sub(same) { again } else { 0 };
            (at, folded.len) = (at - again, folded.len - again);
            let rest = &text[at..];
            let Some(out) = folded.bytes[folded.len..].first_chunk_mut() else { break };
            let mut strange = M::fold(rest, self.normalizer.lowercase, out) & u64::MAX << again;
            if brief && strange != 0 {
                folded.plain = false;
                strange &= !M::letters(out, &self.tables.letters);
                // Not for a character that ends in the next block.
                if strange << 2 != 0 || again > 0 {
                    let blanks;
                    (strange, blanks) = self.copy_wide::<M>(strange, folded);
                    same = if blanks { at + BLOCK } else { same };
                }
            }
            // Told by a branch: where the next block begins need not wait for what is in this one.
            if strange == 0 && rest.len() >= BLOCK {
                (at, folded.len) = (at + BLOCK, folded.len + BLOCK);
                continue;
            }
            let plain = strange.trailing_zeros() as usize;
            let count = plain.min(rest.len());
            at += count;
            folded.len += count;
            // A letter may begin in one block and end in the next.
            if plain < BLOCK - 2 || again > 0 {
                break;
            }
        }
        at
    }

    /// Copies ideographs and what [`Copied`] says, too; returns which of the `strange` bytes of the last block remain, and
    /// whether others became blanks.
    #[inline(always)]
    fn copy_wide<M: Machine>(&self, mut strange: u64, folded: &mut Folded) -> (u64, bool) {
        let Some(out) = folded.bytes[folded.len..].first_chunk_mut::<BLOCK>() else { return (strange, false) };
        let ideographs = M::letters(out, &self.tables.ideographs) & strange;
        strange &= !ideographs;
        let (mut alone, mut first, mut blank) = (0, 0, 0);
        // Most of what is left in Japanese and Hindi: their words are found in 1/1.7 and 1/2.7 of the time with AVX-512.
        if M::MEMBERS {
            let of = |members| M::members(out, members) & strange;
            let three = |first: u64| first | first << 1 | first << 2;
            first = of(&self.tables.alone);
            alone = three(first);
            strange &= !(alone | three(of(&self.tables.part)));
        }
        while strange != 0 {
            let at = strange.trailing_zeros() as usize;
            let Some(&utf8) = out[at..].first_chunk::<3>().filter(|utf8| (0xC0..0xF0).contains(&utf8[0])) else {
                break;
            };
            let bits = ((1 << Letters::len(utf8[0])) - 1) << at;
            let copied = self.tables.copies.get(code_point(utf8));
            if copied == Copied::Not {
                break;
            }
            // Without a branch: which of them comes next cannot be predicted.
            let if_it_is = |kind| bits & u64::from(copied == kind).wrapping_neg();
            alone |= if_it_is(Copied::Alone);
            first |= if_it_is(Copied::Alone) & 1 << at;
            blank |= if_it_is(Copied::Blank);
            strange &= !bits;
        }
        let blanks = blank != 0;
        while blank != 0 {
            out[blank.trailing_zeros() as usize] = b' ';
            blank &= blank - 1;
        }
        let before = (strange & strange.wrapping_neg()).wrapping_sub(1);
        let (alone, first, ideographs) = (alone & before, first & before, ideographs & before);
        folded.runs |= ideographs != 0;
        folded.marks.set(folded.len, alone | ideographs, first | ideographs & !(ideographs << 1));
        (strange, blanks)
    }
}
