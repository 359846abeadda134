//! Short words as integers: up to 15 bytes and their length in one `u128`, compared and hashed without a loop.

/// The longest word, in bytes, that packs.
pub const MAX_PACKED: usize = 15;

/// A word of 1 to [`MAX_PACKED`] bytes: its bytes from the lowest on, its length in bits 120 to 123, zero in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedWord(u128);

impl PackedWord {
    /// Packs the first `len` bytes of a block; `len` is at most [`MAX_PACKED`].
    #[inline]
    #[must_use]
    pub fn from_block(block: u128, len: usize) -> Self {
        debug_assert!(len <= MAX_PACKED);
        Self(block & ((1 << (8 * len)) - 1) | (len as u128) << 120)
    }

    /// Packs a word, or says that it is too long (or empty).
    #[inline]
    #[must_use]
    pub fn new(word: &[u8]) -> Option<Self> {
        if word.is_empty() || word.len() > MAX_PACKED {
            return None;
        }
        Some(Self::from_block(block_at(word, 0), word.len()))
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

/// The 16 bytes from `at` on, little-endian, zeros past the end of `bytes`.
#[inline]
#[must_use]
pub fn block_at(bytes: &[u8], at: usize) -> u128 {
    if let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        return u128::from_le_bytes(*block);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let mut block = [0; 16];
    block[..rest.len()].copy_from_slice(rest);
    u128::from_le_bytes(block)
}

/// Number of leading ASCII letters and digits in a block, and the block with those letters in lower case if asked.
#[cfg(target_arch = "x86_64")]
#[inline]
#[must_use]
pub fn leading_alphanumerics(block: u128, lowercase: bool) -> (usize, u128) {
    // SAFETY: SSE2 is part of every x86-64.
    unsafe { leading_alphanumerics_sse2(block, lowercase) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn leading_alphanumerics_sse2(block: u128, lowercase: bool) -> (usize, u128) {
    use std::arch::x86_64::{__m128i, _mm_and_si128, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
    // SAFETY: both types are 16 plain bytes.
    let bytes: __m128i = unsafe { std::mem::transmute(block) };
    let between = |v, low: u8, high: u8| {
        let over = _mm_cmpgt_epi8(v, _mm_set1_epi8((low - 1).cast_signed()));
        _mm_and_si128(over, _mm_cmpgt_epi8(_mm_set1_epi8((high + 1).cast_signed()), v))
    };
    let letter = between(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), b'a', b'z');
    let digit = between(bytes, b'0', b'9');
    let mask = _mm_movemask_epi8(_mm_or_si128(letter, digit)).cast_unsigned();
    let folded = _mm_or_si128(bytes, _mm_and_si128(letter, _mm_set1_epi8(if lowercase { 0x20 } else { 0 })));
    // SAFETY: both types are 16 plain bytes.
    ((!mask).trailing_zeros() as usize, unsafe { std::mem::transmute::<__m128i, u128>(folded) })
}

/// Number of leading ASCII letters and digits in a block, and the block with those letters in lower case if asked.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
#[must_use]
pub fn leading_alphanumerics(block: u128, lowercase: bool) -> (usize, u128) {
    leading_alphanumerics_bytewise(block, lowercase)
}

/// The portable twin of [`leading_alphanumerics`].
#[must_use]
pub fn leading_alphanumerics_bytewise(block: u128, lowercase: bool) -> (usize, u128) {
    let mut bytes = block.to_le_bytes();
    let count = bytes.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    if lowercase {
        bytes.make_ascii_lowercase();
    }
    (count, u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn simd_equals_bytewise(bytes in any::<[u8; 16]>(), lowercase: bool) {
            let block = u128::from_le_bytes(bytes);
            prop_assert_eq!(leading_alphanumerics(block, lowercase), leading_alphanumerics_bytewise(block, lowercase));
        }

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
