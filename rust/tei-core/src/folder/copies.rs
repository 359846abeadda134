//! Which characters outside of ASCII are copied as they are.
use super::LENGTH_SHIFT;
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
