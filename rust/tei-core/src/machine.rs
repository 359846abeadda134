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
        _mm_loadu_si128, _mm_movemask_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm512_add_epi32,
        _mm512_castsi512_si128, _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512,
        _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_set1_epi32, _mm512_storeu_si512,
    };

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
