//! What each character of the basic plane folds to, in tables of three kinds.
use std::sync::OnceLock;

use super::copies::{Copied, Copies};
use super::{COMPLEX, Folded, IDEOGRAPHS, LENGTH_SHIFT, LONGEST, itself, push_by_table};
use crate::letters::{Letters, Members};
use crate::machine;
use crate::normalizer::Normalizer;

/// Tables of one normalizer.
#[derive(Debug)]
pub(super) struct Tables {
    /// For each character of the basic plane the bytes it folds to, up to 15, and their number in the highest byte.
    pub plane: Box<[u128]>,
    narrow: [OnceLock<Box<[u32]>>; 2],
    pub copies: Copies,
    /// What may stay as it is: each folds to a part of a word, wherever it stands.
    pub letters: Letters,
    /// Ideographs that are words of their own.
    pub ideographs: Letters,
    /// Others that may stay as they are, as parts of words.
    pub part: Members,
    /// Others that are words of their own.
    pub alone: Members,
}

impl Tables {
    /// Those of a normalizer.
    pub fn of(normalizer: Normalizer) -> &'static Self {
        // A mebibyte and more each, made in some milliseconds and shared by all tokenizers of one kind.
        static TABLES: [OnceLock<Tables>; 16] = [const { OnceLock::new() }; 16];
        let Normalizer { clean_text, split_ideographs, strip_accents, lowercase } = normalizer;
        let options = [clean_text, split_ideographs, strip_accents, lowercase];
        let number = options.into_iter().fold(0, |number, option| number << 1 | usize::from(option));
        TABLES[number].get_or_init(|| {
            let plane = compile(normalizer);
            let copies = Copies::new(normalizer, &plane);
            let letters = Letters::new(|c| copies.get(c as usize) == Copied::Letter);
            let ideographs = Letters::new(|c| split_ideographs && (c as usize).wrapping_sub(0x4E00) < IDEOGRAPHS);
            let [part, alone] =
                [Copied::Letter, Copied::Alone].map(|copied| Members::new(|c| copies.get(c as usize) == copied));
            Self { plane, narrow: Default::default(), copies, letters, ideographs, part, alone }
        })
    }

    /// What each character folds to in 4 bytes, see [`machine::Machine::fold_characters`]; with `brief`, letters stay.
    #[inline]
    pub fn narrow(&self, brief: bool) -> &[u32] {
        // Counting needs one of them, encoding the other.
        self.narrow[usize::from(brief)].get_or_init(|| narrow(&self.plane, brief.then_some(&self.letters)))
    }
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
        if !entry.is_nonstarter() && folded.len < 16 {
            let bytes = folded.bytes.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
            let kept = bytes & !(u128::MAX << (8 * folded.len));
            plane[c as usize] = kept | (folded.len as u128) << LENGTH_SHIFT;
        }
    }
    plane
}

/// What folds to up to 4 bytes, none of them zero.
fn narrow(plane: &[u128], letters: Option<&Letters>) -> Box<[u32]> {
    let shorten = |(c, &entry): (usize, &u128)| {
        let (mut utf8, c) = ([0; 4], char::from_u32(c as u32).unwrap_or_default());
        c.encode_utf8(&mut utf8);
        let stays = letters.is_some_and(|letters| letters.has([utf8[0], utf8[1]]));
        let entry = if stays { itself([utf8[0], utf8[1], utf8[2]]) } else { entry };
        let len = (entry >> LENGTH_SHIFT) as usize;
        let fits = len <= 4 && entry.to_le_bytes().iter().take(len).all(|byte| *byte > 0);
        if fits { entry as u32 } else { machine::COMPLEX }
    };
    plane.iter().enumerate().map(shorten).collect()
}
