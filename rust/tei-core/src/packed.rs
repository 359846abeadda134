//! Words as integers: up to 15 bytes and their length in one `u128`, longer ones in a few of 64 bits; compared and hashed
//! without a loop.

/// The longest word, in bytes, that packs.
pub const MAX_PACKED: usize = 15;

/// Where the length of a packed word begins.
const LENGTH: u32 = 120;

/// The lowest bytes of two numbers side by side, for each count of them.
static LOWEST: [[u64; 2]; MAX_PACKED + 1] = {
    let mut masks = [[0; 2]; MAX_PACKED + 1];
    let mut i = 1;
    while i <= MAX_PACKED {
        let mask = u128::MAX >> (128 - 8 * i);
        masks[i] = [mask as u64, (mask >> 64) as u64];
        i += 1;
    }
    masks
};

/// A word of 1 to [`MAX_PACKED`] bytes: its bytes from the lowest on, its length in bits 120 to 123, zero in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedWord(u128);

impl PackedWord {
    /// What stands for none; no word packs to it.
    pub const NONE: Self = Self(1);

    /// Packs the `len` bytes from `at` on, if they are 1 to [`MAX_PACKED`] and in a text of 16 bytes more.
    #[inline(always)]
    #[must_use]
    pub fn read(text: &[u8], at: usize, len: usize) -> Option<Self> {
        let block: &[u8; 16] = text.get(at..at + 16)?.first_chunk()?;
        if len.wrapping_sub(1) >= MAX_PACKED {
            return None;
        }
        // In halves: compilers put a whole number together in a vector, and take it apart again to hash it.
        let half = |i: usize| block.as_chunks().0.get(i).map_or(0, |bytes| u64::from_le_bytes(*bytes)) & LOWEST[len][i];
        Some(Self(u128::from(half(0)) | u128::from(half(1) | (len as u64) << (LENGTH - 64)) << 64))
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

    /// Its first two bytes; the second is zero if there is one.
    #[inline(always)]
    #[must_use]
    pub fn first(self) -> [u8; 2] {
        (self.0 as u16).to_le_bytes()
    }

    /// The word of an integer that [`PackedWord::bits`] gave.
    #[inline]
    #[must_use]
    pub(crate) fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// An integer that stands for the word, too; no word packs to it.
    #[inline]
    #[must_use]
    pub fn mark(self) -> u128 {
        self.0 | 1 << 127
    }

    /// A hash that nobody can know before if the seeds are secret.
    #[inline(always)]
    #[must_use]
    pub fn hash(self, seeds: [u64; 2]) -> u64 {
        fold(self.0 as u64 ^ seeds[0], (self.0 >> 64) as u64 ^ seeds[1])
    }

    /// A number that orders as the bytes do.
    #[inline]
    #[must_use]
    pub fn order(self) -> u128 {
        self.0.swap_bytes()
    }

    /// Calls `f` with the word's bytes.
    #[inline]
    pub fn with_bytes<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&self.0.to_le_bytes()[..(self.0 >> LENGTH) as usize & 15])
    }
}

/// Multiplies to 128 bits and mixes the halves: every bit of both factors counts.
#[inline(always)]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// A longer word: 1 to 8 N − 1 bytes from the lowest on, its length in the highest byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide<const N: usize>([u64; N]);

impl<const N: usize> Wide<N> {
    /// Whether a key is this word's; without a call, as comparing arrays is.
    #[inline(always)]
    #[must_use]
    pub fn is(self, key: &[u64; N]) -> bool {
        self.0.iter().zip(key).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// Packs the `len` bytes from `at` on, if they fit and are in a text of 8 N bytes more.
    #[inline(always)]
    #[must_use]
    pub fn read(text: &[u8], at: usize, len: usize) -> Option<Self> {
        if !(1..8 * N).contains(&len) {
            return None;
        }
        let block = text.get(at..at + 8 * N)?.as_chunks::<8>().0;
        let mut parts = [0; N];
        for (i, (part, bytes)) in parts.iter_mut().zip(block).enumerate() {
            let kept = len.saturating_sub(8 * i);
            *part = u64::from_le_bytes(*bytes) & if kept >= 8 { u64::MAX } else { (1 << (8 * kept)) - 1 };
        }
        parts[N - 1] |= (len as u64) << 56;
        Some(Self(parts))
    }

    /// Another word that stands for this one, too; no bytes pack to it.
    #[inline]
    #[must_use]
    pub fn mark(mut self) -> Self {
        self.0[N - 1] |= 1 << 63;
        self
    }

    /// The word as integers; never all zero.
    #[inline(always)]
    #[must_use]
    pub fn bits(self) -> [u64; N] {
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

        #[test]
        fn packed_words_order_as_their_bytes(words in proptest::collection::vec("[\u{0}ab]{1,6}|.{1,3}", 2)) {
            let order = |i: usize| PackedWord::new(words[i].as_bytes()).expect("short").order();
            prop_assert_eq!(order(0).cmp(&order(1)), words[0].cmp(&words[1]));
        }
    }

    proptest! {
        #[test]
        fn packing_wide_keeps_the_word(word in proptest::collection::vec(any::<u8>(), 0..=80), rest: [u8; 64]) {
            let text = [word.as_slice(), &rest].concat();
            wide_keeps::<4>(&text, &word)?;
            wide_keeps::<8>(&text, &word)?;
        }
    }

    fn wide_keeps<const N: usize>(text: &[u8], word: &[u8]) -> Result<(), TestCaseError> {
        let packed = Wide::<N>::read(text, 0, word.len());
        prop_assert_eq!(packed.is_some(), (1..8 * N).contains(&word.len()));
        let mut padded = word.to_vec();
        padded.resize(8 * N - 1, 0);
        padded.push(word.len() as u8);
        let bytes = packed.map(|packed| packed.bits().map(u64::to_le_bytes).concat());
        prop_assert!(bytes.is_none_or(|bytes| bytes == padded));
        Ok(())
    }

    #[test]
    fn long_and_empty_words_do_not_pack() {
        assert!(PackedWord::new(&[b'a'; 16]).is_none() && PackedWord::new(b"").is_none());
    }
}
