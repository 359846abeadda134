//! Short words as integers: up to 15 bytes and their length in one `u128`, compared and hashed without a loop.

/// The longest word, in bytes, that packs.
pub const MAX_PACKED: usize = 15;

/// A word of 1 to [`MAX_PACKED`] bytes: its bytes from the lowest on, its length in bits 120 to 123, zero in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedWord(u128);

impl PackedWord {
    /// What stands for every word that does not pack; no word packs to it.
    pub const LONG: Self = Self(1);

    /// Packs the `len` bytes from `at` on, if they are 1 to [`MAX_PACKED`] and in a text of 16 bytes more.
    #[inline(always)]
    #[must_use]
    pub fn read(text: &[u8], at: usize, len: usize) -> Option<Self> {
        let (low, high) = MASKS.get(len.wrapping_sub(1))?;
        let block: &[u8; 16] = text.get(at..)?.first_chunk()?;
        let half = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| block[8 * i + j]));
        let [low, high] = [half(0) & low, half(1) & high | (len as u64) << 56];
        Some(Self(u128::from(low) | u128::from(high) << 64))
    }

    /// Packs a word, or says that it is too long (or empty).
    #[must_use]
    pub fn new(word: &[u8]) -> Option<Self> {
        let mut block = [0; 16];
        block.get_mut(..word.len())?.copy_from_slice(word);
        Self::read(&block, 0, word.len())
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
        f(&self.0.to_le_bytes()[..(self.0 >> 120) as usize & 15])
    }
}

/// The bits of the first bytes of a block, for each number of them from 1 on.
static MASKS: [(u64, u64); MAX_PACKED] = {
    let mut masks = [(u64::MAX, 0); MAX_PACKED];
    let mut i = 0;
    while i < 7 {
        masks[i] = ((1 << (8 * (i + 1))) - 1, 0);
        masks[i + 8] = (u64::MAX, masks[i].0);
        i += 1;
    }
    masks
};

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

    #[test]
    fn long_and_empty_words_do_not_pack() {
        assert!(PackedWord::new(&[b'a'; 16]).is_none() && PackedWord::new(b"").is_none());
    }
}
