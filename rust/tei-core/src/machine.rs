//! What only some machines have instructions for, chosen once at run time: masks of 64 bytes, and lists of their bits.
//!
//! Loops over a block are written plainly, and become vector instructions in functions that are compiled for a
//! [`Level`]; only what no compiler finds is written out here. [`Bytewise`] is the portable twin of the others.

/// Bytes looked at together.
pub const BLOCK: usize = 64;

/// The instructions a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Those that every machine of its kind has.
    Baseline,
    /// AVX2 and BMI2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with the byte instructions of VBMI2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All that this machine has, the best last.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
            all.extend(avx2.then_some(Self::Avx2));
            let avx512 = is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("avx512bw");
            all.extend((avx2 && avx512).then_some(Self::Avx512));
        }
        all
    }

    /// The best that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Baseline)
    }
}

/// How a machine makes masks and lists of positions.
pub trait Machine {
    /// Bits of the bytes whose highest bit is set.
    fn mask(flags: &[u8; BLOCK]) -> u64;

    /// Writes the first block of `text`, blanks behind its end: capitals as small letters if asked, white space as blanks.
    ///
    /// Returns the bits of the bytes that are neither printable ASCII nor white space of that kind.
    #[inline(always)]
    fn fold(text: &[u8], lowercase: bool, out: &mut [u8; BLOCK]) -> u64 {
        let block = text.first_chunk::<BLOCK>().copied().unwrap_or_else(|| {
            let mut padded = [b' '; BLOCK];
            padded[..text.len()].copy_from_slice(text);
            padded
        });
        let case = if lowercase { 0x20 } else { 0 };
        let mut strange = [0; BLOCK];
        for i in 0..BLOCK {
            let b = block[i];
            let white = (b == b'\t') | (b == b'\n') | (b == b'\r');
            let capital = b.wrapping_sub(b'A') < 26;
            out[i] = if white { b' ' } else { b | if capital { case } else { 0 } };
            strange[i] = if white | (b.wrapping_sub(0x20) < 95) { 0 } else { 0xFF };
        }
        Self::mask(&strange)
    }

    /// The first `len` bytes of a block, the first of them lowest, and zeros; `len` is below 16.
    #[inline(always)]
    #[must_use]
    fn first(block: &[u8; 16], len: usize) -> u128 {
        u128::from_le_bytes(*block) & LOWEST[len & 15]
    }

    /// Where a number is among two.
    #[inline(always)]
    #[must_use]
    fn find(numbers: &[u128; 2], wanted: u128) -> Option<usize> {
        // Which of the two it is cannot be predicted, so it is computed.
        let [first, second] = numbers.map(|number| number == wanted);
        (first | second).then_some(usize::from(second))
    }

    /// Writes the positions of the bits of a mask behind the first `len`; returns how many there are then.
    ///
    /// `list` has room for [`BLOCK`] more, and what lies behind the last position is overwritten with anything.
    #[inline(always)]
    fn push(mut bits: u64, base: u32, list: &mut [u32], len: usize) -> usize {
        let room = &mut list[len..len + BLOCK];
        let count = bits.count_ones() as usize;
        let mut at = 0;
        while bits != 0 {
            // Eight at a time, as most blocks have about so many.
            for place in &mut room[at..at + 8] {
                *place = base + bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
            }
            at += 8;
        }
        len + count
    }
}

/// The lowest bytes of a number, for each count of them.
static LOWEST: [u128; 16] = {
    let mut masks = [0; 16];
    let mut i = 1;
    while i < 16 {
        masks[i] = masks[i - 1] << 8 | 0xFF;
        i += 1;
    }
    masks
};

/// The portable machine.
#[derive(Debug)]
pub struct Bytewise;

impl Machine for Bytewise {
    fn mask(flags: &[u8; BLOCK]) -> u64 {
        flags.iter().rev().fold(0, |mask, flag| mask << 1 | u64::from(flag >> 7))
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub use Bytewise as Baseline;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Sse2 as Baseline};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, Machine};
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_maskz_loadu_epi8, _mm_movemask_epi8, _mm256_broadcastsi128_si256, _mm256_castsi256_pd,
        _mm256_cmpeq_epi64, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_movemask_pd, _mm512_add_epi32,
        _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cmpge_epu8_mask, _mm512_cmplt_epu8_mask,
        _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_mask_add_epi8,
        _mm512_mask_loadu_epi8, _mm512_mask_mov_epi8, _mm512_maskz_compress_epi8, _mm512_movepi8_mask,
        _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_sub_epi8,
    };

    /// For every x86-64.
    #[derive(Debug)]
    pub struct Sse2;
    /// Only for functions compiled for [`super::Level::Avx2`].
    #[derive(Debug)]
    pub struct Avx2;
    /// Only for functions compiled for [`super::Level::Avx512`].
    #[derive(Debug)]
    pub struct Avx512;

    impl Machine for Sse2 {
        #[inline(always)]
        fn mask(flags: &[u8; BLOCK]) -> u64 {
            let quarter = |i: usize| {
                // SAFETY: 16 bytes from 16 i on lie in the block, and SSE2 is part of every x86-64.
                let mask = unsafe { _mm_movemask_epi8(_mm_loadu_si128(flags.as_ptr().add(16 * i).cast())) };
                u64::from(mask.cast_unsigned()) << (16 * i)
            };
            quarter(0) | quarter(1) | quarter(2) | quarter(3)
        }
    }

    impl Machine for Avx2 {
        #[inline(always)]
        fn mask(flags: &[u8; BLOCK]) -> u64 {
            let half = |i: usize| {
                // SAFETY: 32 bytes from 32 i on lie in the block, and only functions with AVX2 get here.
                let mask = unsafe { _mm256_movemask_epi8(_mm256_loadu_si256(flags.as_ptr().add(32 * i).cast())) };
                u64::from(mask.cast_unsigned()) << (32 * i)
            };
            half(0) | half(1)
        }

        #[inline(always)]
        fn find(numbers: &[u128; 2], wanted: u128) -> Option<usize> {
            find(numbers, wanted)
        }
    }

    /// One comparison for both numbers, where the compiler makes two of each half.
    #[inline(always)]
    fn find(numbers: &[u128; 2], wanted: u128) -> Option<usize> {
        // SAFETY: both arguments are whole vectors, and only functions with AVX2 get here.
        let halves = unsafe {
            let wanted = _mm256_broadcastsi128_si256(_mm_loadu_si128((&raw const wanted).cast()));
            let equal = _mm256_cmpeq_epi64(wanted, _mm256_loadu_si256(numbers.as_ptr().cast()));
            _mm256_movemask_pd(_mm256_castsi256_pd(equal)).cast_unsigned()
        };
        let both = halves & (halves >> 1) & 0b101;
        (both != 0).then_some((both >> 2) as usize)
    }

    /// 0, 1, … 63: the place of each byte in its block.
    static PLACES: [u8; BLOCK] = {
        let mut places = [0; BLOCK];
        let mut i = 0;
        while i < BLOCK {
            places[i] = i as u8;
            i += 1;
        }
        places
    };

    impl Machine for Avx512 {
        #[inline(always)]
        fn mask(flags: &[u8; BLOCK]) -> u64 {
            // SAFETY: the block has 64 bytes, and only functions with AVX-512 get here.
            unsafe { _mm512_movepi8_mask(_mm512_loadu_si512(flags.as_ptr().cast())) }
        }

        // Written out since the compiler puts the vectors into memory in between, where a masked store stalls the next load.
        #[inline(always)]
        fn fold(text: &[u8], lowercase: bool, out: &mut [u8; BLOCK]) -> u64 {
            let there = if text.len() < BLOCK { (1 << text.len()) - 1 } else { u64::MAX };
            // SAFETY: only bytes that are there are read, `out` has 64, and only functions with AVX-512 get here.
            unsafe {
                let all = |b: u8| _mm512_set1_epi8(b.cast_signed());
                let block = _mm512_mask_loadu_epi8(all(b' '), there, text.as_ptr().cast());
                let is = |b: u8| _mm512_cmpeq_epi8_mask(block, all(b));
                let white = is(b'\t') | is(b'\n') | is(b'\r');
                let capital = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(block, all(b'A')), all(26));
                let capital = if lowercase { capital } else { 0 };
                let small = _mm512_mask_add_epi8(block, capital, block, all(0x20));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_mask_mov_epi8(small, white, all(b' ')));
                _mm512_cmpge_epu8_mask(_mm512_sub_epi8(block, all(0x20)), all(95)) & !white
            }
        }

        #[inline(always)]
        fn first(block: &[u8; 16], len: usize) -> u128 {
            // SAFETY: the block has 16 bytes, and only functions with AVX-512 get here.
            unsafe {
                std::mem::transmute(_mm_maskz_loadu_epi8((1_u32 << (len & 15)) as u16 - 1, block.as_ptr().cast()))
            }
        }

        #[inline(always)]
        fn find(numbers: &[u128; 2], wanted: u128) -> Option<usize> {
            find(numbers, wanted)
        }

        #[inline(always)]
        fn push(bits: u64, base: u32, list: &mut [u32], len: usize) -> usize {
            let room = &mut list[len..len + BLOCK];
            let count = bits.count_ones() as usize;
            // SAFETY: four times 16 numbers lie in `room`, and only functions with AVX-512 get here.
            unsafe {
                let out = room.as_mut_ptr();
                let base = _mm512_set1_epi32(base.cast_signed());
                let places = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(PLACES.as_ptr().cast()));
                let put = |i: usize, quarter| {
                    _mm512_storeu_si512(out.add(16 * i).cast(), _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), base));
                };
                put(0, _mm512_castsi512_si128(places));
                put(1, _mm512_extracti32x4_epi32::<1>(places));
                if count > 32 {
                    put(2, _mm512_extracti32x4_epi32::<2>(places));
                    put(3, _mm512_extracti32x4_epi32::<3>(places));
                }
            }
            len + count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a machine makes of a text: folded, masked, its bits as a list, its first bytes and where they are.
    #[derive(Debug, PartialEq)]
    struct Seen(Vec<u8>, u64, Vec<u32>, u128, [Option<usize>; 3]);

    fn see<M: Machine>(text: &[u8], lowercase: bool) -> Seen {
        let (mut out, mut list) = ([0; BLOCK], vec![0; 2 * BLOCK]);
        let strange = M::fold(text, lowercase, &mut out);
        let len = M::push(strange, 7, &mut list, 1);
        let first = M::first(out.first_chunk().expect("64 bytes"), text.len() % 16);
        let find = |numbers: [u128; 2]| M::find(&numbers, first);
        let found = [find([first, !first]), find([first ^ 1 << 127, first]), find([first ^ 1, first ^ 1 << 64])];
        Seen(out.to_vec(), M::mask(&out), list[1..len].to_vec(), first, found)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn see_avx2(text: &[u8], lowercase: bool) -> Seen {
        see::<Avx2>(text, lowercase)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi2")]
    fn see_avx512(text: &[u8], lowercase: bool) -> Seen {
        see::<Avx512>(text, lowercase)
    }

    proptest! {
        #[test]
        fn all_see_what_the_portable_one_sees(text in proptest::collection::vec(any::<u8>(), 0..100), lowercase: bool) {
            let want = see::<Bytewise>(&text, lowercase);
            for level in Level::all() {
                let seen = match level {
                    Level::Baseline => see::<Baseline>(&text, lowercase),
                    // SAFETY: only levels that this machine has are looked at.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => unsafe { see_avx2(&text, lowercase) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => unsafe { see_avx512(&text, lowercase) },
                };
                prop_assert_eq!(&seen, &want, "{:?}", level);
            }
        }
    }
}
