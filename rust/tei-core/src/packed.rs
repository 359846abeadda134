//! Short words as integers: up to 15 bytes and their length in one `u128`, compared and hashed without a loop.

use crate::machine::{Bytewise, Machine};

/// The longest word, in bytes, that packs.
pub const MAX_PACKED: usize = 15;

/// Where the length of a packed word begins.
const LENGTH: u32 = 120;

/// A word of 1 to [`MAX_PACKED`] bytes: its bytes from the lowest on, its length in bits 120 to 123, zero in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedWord(u128);

impl PackedWord {
    /// What stands for every word that does not pack; no word packs to it.
    pub const LONG: Self = Self(1);

    /// Packs the `len` bytes from `at` on, if they are 1 to [`MAX_PACKED`] and in a text of 16 bytes more.
    #[inline(always)]
    #[must_use]
    pub fn read<M: Machine>(text: &[u8], at: usize, len: usize) -> Option<Self> {
        let block = text.get(at..at + 16)?.first_chunk()?;
        (1..=MAX_PACKED).contains(&len).then(|| Self(M::first(block, len) | (len as u128) << LENGTH))
    }

    /// Packs a word, or says that it is too long (or empty).
    #[must_use]
    pub fn new(word: &[u8]) -> Option<Self> {
        let mut block = [0; 16];
        block.get_mut(..word.len())?.copy_from_slice(word);
        Self::read::<Bytewise>(&block, 0, word.len())
    }

    /// The integer; never zero.
    #[inline]
    #[must_use]
    pub fn bits(self) -> u128 {
        self.0
    }

    /// Calls `f` with the word's bytes.
    #[inline]
    pub fn with_bytes<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&self.0.to_le_bytes()[..(self.0 >> LENGTH) as usize & 15])
    }
}

/// The longest word, in bytes, that packs wide.
pub const MAX_WIDE: usize = 31;

/// A word of 1 to [`MAX_WIDE`] bytes: its bytes from the lowest on, its length in the highest byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WideWord([u64; 4]);

impl WideWord {
    /// Packs the `len` bytes from `at` on, if they are 1 to [`MAX_WIDE`] and in a text of 32 bytes more.
    #[inline(always)]
    #[must_use]
    pub fn read(text: &[u8], at: usize, len: usize) -> Option<Self> {
        if !(1..=MAX_WIDE).contains(&len) {
            return None;
        }
        let block: &[u8; 32] = text.get(at..)?.first_chunk()?;
        let mask = |i: usize| (1_u64 << (8 * len.saturating_sub(8 * i).min(7))) - 1;
        let quarter = |i: usize| {
            let bytes = u64::from_le_bytes(std::array::from_fn(|j| block[8 * i + j]));
            if len >= 8 * (i + 1) { bytes } else { bytes & mask(i) }
        };
        Some(Self([quarter(0), quarter(1), quarter(2), quarter(3) | (len as u64) << 56]))
    }

    /// The word as integers; never all zero.
    #[inline(always)]
    #[must_use]
    pub fn bits(self) -> [u64; 4] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_keeps_the_word(word in proptest::collection::vec(any::<u8>(), 1..=MAX_PACKED)) {
            let packed = PackedWord::new(&word).expect("short");
            prop_assert!(packed.with_bytes(|bytes| bytes == word.as_slice()));
        }
    }

    proptest! {
        #[test]
        fn packing_wide_keeps_the_word(word in proptest::collection::vec(any::<u8>(), 0..=40), rest: [u8; 32]) {
            let packed = WideWord::read(&[word.as_slice(), &rest].concat(), 0, word.len());
            prop_assert_eq!(packed.is_some(), (1..=31).contains(&word.len()));
            let mut padded = word.clone();
            padded.resize(31, 0);
            padded.push(word.len() as u8);
            let bytes = packed.map(|packed| packed.bits().map(u64::to_le_bytes).concat());
            prop_assert!(bytes.is_none_or(|bytes| bytes == padded));
        }
    }

    #[test]
    fn long_and_empty_words_do_not_pack() {
        assert!(PackedWord::new(&[b'a'; 16]).is_none() && PackedWord::new(b"").is_none());
    }
}
