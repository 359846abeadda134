//! What x86-64 has.
use super::{BLOCK, Machine};
use super::{COMPLEX, Step};
use crate::letters::{Letters, Members};
#[allow(clippy::wildcard_imports, reason = "half a hundred names")]
use std::arch::x86_64::*;

/// For every x86-64.
#[derive(Debug)]
pub struct Sse2;
/// Only for functions compiled for [`crate::machine::Level::Avx2`].
#[derive(Debug)]
pub struct Avx2;
/// Only for functions compiled for [`crate::machine::Level::Avx512`].
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

#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn apart_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
fn apart_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

impl Machine for Avx2 {
    const MEMBERS: bool = true;

    #[inline(always)]
    fn apart<R>(f: impl FnOnce() -> R) -> R {
        // SAFETY: only functions with AVX2 get here.
        unsafe { apart_avx2(f) }
    }

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
    fn letters(block: &[u8; BLOCK], letters: &Letters) -> u64 {
        // SAFETY: only functions with AVX2 get here.
        unsafe { letters_avx2(block, letters) }
    }

    #[inline(always)]
    fn members(block: &[u8; BLOCK], members: &Members) -> u64 {
        // SAFETY: as above.
        unsafe { members_avx2(block, members) }
    }

    #[inline(always)]
    fn find(numbers: &[u128; 2], wanted: u128) -> Option<usize> {
        find(numbers, wanted)
    }

    // Without a branch: how many bits a block has cannot be predicted.
    #[inline(always)]
    fn push(bits: u64, base: u32, list: &mut [u32], len: usize) -> usize {
        let room = &mut list[len..len + BLOCK];
        // SAFETY: at most 8 i places are written before the i-th vector of 8, and only functions with AVX2 get here.
        unsafe {
            let mut base = _mm256_set1_epi32(base.cast_signed());
            let (mut out, mut rest) = (room.as_mut_ptr(), bits);
            for _ in 0..BLOCK / 8 {
                let places = &PLACES_OF[(rest & 0xFF) as usize];
                let places = _mm256_cvtepu8_epi32(_mm_loadl_epi64(places.as_ptr().cast()));
                _mm256_storeu_si256(out.cast(), _mm256_add_epi32(places, base));
                out = out.add((rest & 0xFF).count_ones() as usize);
                base = _mm256_add_epi32(base, _mm256_set1_epi32(8));
                rest >>= 8;
            }
        }
        len + bits.count_ones() as usize
    }
}

/// The places of the bits of a byte, the lowest first; zeros behind them.
static PLACES_OF: [[u8; 8]; 256] = {
    let mut all = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut at) = (0_u8, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                all[byte][at] = bit;
                at += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    all
};

/// The bits of all bytes of letters, from those of the first bytes, and of the first bytes of three.
#[inline(always)]
fn spread(first: u64, three: u64) -> u64 {
    let (first, third) = (first & (u64::MAX >> 1), first & three & (u64::MAX >> 2));
    // A letter of three bytes that goes on in the next block is none.
    let first = first & !three | third;
    first | first << 1 | third << 2
}

#[inline]
#[target_feature(enable = "avx2")]
fn letters_avx2(block: &[u8; BLOCK], letters: &Letters) -> u64 {
    let [(low, after), (high, end)] = halves_avx2(block);
    let low = first_bytes_avx2(low, _mm256_alignr_epi8::<1>(after, low), letters);
    let high = first_bytes_avx2(high, _mm256_alignr_epi8::<1>(end, high), letters);
    spread(low.0 | high.0 << 32, low.1 | high.1 << 32)
}

/// The halves of a block, each with what lies 16 bytes further on, from which a shift takes; zeros behind the end.
#[inline]
#[target_feature(enable = "avx2")]
fn halves_avx2(block: &[u8; BLOCK]) -> [(__m256i, __m256i); 2] {
    // SAFETY: two halves of 32 bytes are read.
    let (low, high) = unsafe {
        (_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast()))
    };
    let after = _mm256_permute2x128_si256::<0x21>(low, high);
    let end = _mm256_permute2x128_si256::<0x81>(high, high);
    [(low, after), (high, end)]
}

/// Bits of the first bytes of letters, and of all first bytes of three.
#[inline]
#[target_feature(enable = "avx2")]
fn first_bytes_avx2(first: __m256i, second: __m256i, letters: &Letters) -> (u64, u64) {
    let [least, span] = [letters.least(), letters.span()].map(|table| look_up_avx2(&table[..48], 0xC0, first));
    let known = at_least_avx2(span, _mm256_sub_epi8(second, least));
    let [two, three] = [0xC0_u8, 0xE0].map(u8::cast_signed);
    let wide = at_least_avx2(first, _mm256_set1_epi8(two));
    let three = at_least_avx2(first, _mm256_set1_epi8(three));
    let known = _mm256_movemask_epi8(_mm256_and_si256(known, wide)).cast_unsigned();
    (u64::from(known), u64::from(_mm256_movemask_epi8(three).cast_unsigned()))
}

#[inline]
#[target_feature(enable = "avx2")]
fn at_least_avx2(bytes: __m256i, least: __m256i) -> __m256i {
    _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, least), bytes)
}

/// What parts of a table hold for bytes from `least` on, a multiple of 16; zero for all others.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up_avx2(table: &[u8], least: u8, bytes: __m256i) -> __m256i {
    let mut found = _mm256_setzero_si256();
    for (part, least) in table.as_chunks::<16>().0.iter().zip((least..=0xF0).step_by(16)) {
        // SAFETY: the part has 16 bytes.
        let part = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(part.as_ptr().cast()) });
        // A shuffle looks up by four bits, and finds zero where the highest is set: for bytes of other parts.
        let place = _mm256_sub_epi8(bytes, _mm256_set1_epi8(least.cast_signed()));
        let place = _mm256_adds_epu8(place, _mm256_set1_epi8(0x70));
        found = _mm256_or_si256(found, _mm256_shuffle_epi8(part, place));
    }
    found
}

#[inline]
#[target_feature(enable = "avx2")]
fn members_avx2(block: &[u8; BLOCK], members: &Members) -> u64 {
    // Not by `map`, which the compiler leaves without AVX2: finding words then takes 1.25 times as long.
    let [(low, after), (high, end)] = halves_avx2(block);
    let half = |first, after| {
        let (second, third) = (_mm256_alignr_epi8::<1>(after, first), _mm256_alignr_epi8::<2>(after, first));
        let of_first = |table: &[u8; BLOCK]| look_up_avx2(&table[32..48], 0xE0, first);
        let behind = _mm256_sub_epi8(second, of_first(&members.least));
        let known = at_least_avx2(of_first(&members.span), behind);
        let three = at_least_avx2(first, _mm256_set1_epi8(0xE0_u8.cast_signed()));
        let powers = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
        let row = _mm256_shuffle_epi8(powers, _mm256_add_epi8(behind, of_first(&members.row)));
        let of = _mm256_cmpeq_epi8(_mm256_and_si256(look_up_avx2(&members.of, 0x80, third), row), row);
        let found = _mm256_and_si256(_mm256_and_si256(known, three), of);
        u64::from(_mm256_movemask_epi8(found).cast_unsigned())
    };
    (half(low, after) | half(high, end) << 32) & (u64::MAX >> 2)
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

/// Where the first `count` characters end: there the next one begins, in the block, too.
#[inline(always)]
unsafe fn end_of(count: u32, first: u64) -> usize {
    // SAFETY: only functions with BMI2 get here.
    unsafe { _pdep_u64(1 << count, first).trailing_zeros() as usize }
}

/// The end of the characters before a complex one, and which of their bytes are some.
///
/// Out of line, so that it is a branch: then the next block need not wait for this one's gather.
#[cold]
#[inline(never)]
#[target_feature(enable = "bmi2")]
fn cut(complex: u16, first: u64, some: u64) -> (usize, u64) {
    let count = complex.trailing_zeros();
    // SAFETY: this function has BMI2.
    (unsafe { end_of(count, first) }, some & ((1 << (4 * count)) - 1))
}

impl Machine for Avx512 {
    const FOLDS: bool = true;
    const MEMBERS: bool = true;

    #[inline(always)]
    fn apart<R>(f: impl FnOnce() -> R) -> R {
        // SAFETY: only functions with AVX-512 get here.
        unsafe { apart_avx512(f) }
    }

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
    fn letters(block: &[u8; BLOCK], letters: &Letters) -> u64 {
        // SAFETY: the block and the tables have 64 bytes, and only functions with AVX-512 get here.
        unsafe {
            let first = _mm512_loadu_si512(block.as_ptr().cast());
            let least = _mm512_loadu_si512(letters.least().as_ptr().cast());
            let span = _mm512_loadu_si512(letters.span().as_ptr().cast());
            let places = _mm512_loadu_si512(PLACES.as_ptr().cast());
            let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
            let second = _mm512_permutexvar_epi8(_mm512_add_epi8(places, all(1)), first);
            // Only the lowest six bits of a first byte say where it looks.
            let (least, span) = (_mm512_permutexvar_epi8(first, least), _mm512_permutexvar_epi8(first, span));
            let at_least = |byte: u8| _mm512_cmpge_epu8_mask(first, all(byte));
            let known = _mm512_cmple_epu8_mask(_mm512_sub_epi8(second, least), span);
            spread(known & at_least(0xC0), at_least(0xE0))
        }
    }

    #[inline(always)]
    fn members(block: &[u8; BLOCK], members: &Members) -> u64 {
        // SAFETY: the block and the tables have 64 bytes, and only functions with AVX-512 get here.
        unsafe {
            let load = |bytes: &[u8; BLOCK]| _mm512_loadu_si512(bytes.as_ptr().cast());
            let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
            let (first, places) = (load(block), load(&PLACES));
            let after = |bytes: u8| _mm512_permutexvar_epi8(_mm512_add_epi8(places, all(bytes)), first);
            let of_first = |table: &[u8; BLOCK]| _mm512_permutexvar_epi8(first, load(table));
            let behind = _mm512_sub_epi8(after(1), of_first(&members.least));
            let known = _mm512_cmple_epu8_mask(behind, of_first(&members.span)) & (u64::MAX >> 2);
            let (third, powers) = (after(2), _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed()));
            let known = known & _mm512_cmpge_epu8_mask(first, all(0xE0)) & _mm512_cmplt_epi8_mask(third, all(0xC0));
            let row = _mm512_shuffle_epi8(powers, _mm512_add_epi8(behind, of_first(&members.row)));
            _mm512_mask_test_epi8_mask(known, row, _mm512_permutexvar_epi8(third, load(&members.of)))
        }
    }

    // Sixteen characters at once, decoded and looked up by a gather; one after the other takes three times as long.
    #[inline(always)]
    fn fold_characters(text: &[u8], table: &[u32; 0x1_0000], out: &mut [u8; BLOCK]) -> Option<Step> {
        let there = if text.len() < BLOCK { (1 << text.len()) - 1 } else { u64::MAX };
        // SAFETY: only bytes that are there are read, what is looked up is below 2^16, `out` has 64 bytes, and only
        // functions with AVX-512 get here.
        unsafe {
            let all = |n: u32| _mm512_set1_epi32(n.cast_signed());
            let block = _mm512_mask_loadu_epi8(_mm512_setzero_si512(), there, text.as_ptr().cast());
            let first = !_mm512_cmplt_epi8_mask(block, _mm512_set1_epi8(-64));
            // All bytes of these characters are in the block.
            let whole = (first & there & (u64::MAX >> 3)).count_ones().min(16);
            let places = _mm512_maskz_compress_epi8(first, _mm512_loadu_si512(PLACES.as_ptr().cast()));
            let places = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(places));
            let bytes = _mm512_add_epi32(_mm512_mullo_epi32(places, all(0x0101_0101)), all(0x0302_0100));
            let bytes = _mm512_permutexvar_epi8(bytes, block);
            let lead = _mm512_and_si512(bytes, all(0xFF));
            let [two, three, four] = [0xC0, 0xE0, 0xF0].map(|least| _mm512_cmpge_epu32_mask(lead, all(least)));
            let second = _mm512_and_si512(_mm512_srli_epi32::<8>(bytes), all(0x3F));
            let third = _mm512_and_si512(_mm512_srli_epi32::<16>(bytes), all(0x3F));
            let pair = _mm512_or_si512(_mm512_slli_epi32::<6>(_mm512_and_si512(lead, all(0x1F))), second);
            let triple = _mm512_or_si512(_mm512_slli_epi32::<6>(pair), third);
            let number = _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(lead, two, pair), three, triple);
            let known = !four & ((1_u32 << whole) - 1) as u16;
            let entry = _mm512_mask_i32gather_epi32::<4>(all(COMPLEX), known, number, table.as_ptr().cast());
            let complex = _mm512_cmpeq_epi32_mask(entry, all(COMPLEX));
            let some = _mm512_test_epi8_mask(entry, entry);
            let (read, kept) = if complex == 0 { (end_of(16, first), some) } else { cut(complex, first, some) };
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(kept, entry));
            let plain = complex == 0 && two == 0;
            Some(Step { read, written: kept.count_ones() as usize, plain })
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
