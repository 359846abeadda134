//! What only some machines have instructions for, chosen once at run time: masks of 64 bytes, and lists of their bits.
//!
//! Loops over a block are written plainly, and become vector instructions in functions that are compiled for a
//! [`Level`]; only what no compiler finds is written out here. [`Bytewise`] is the portable twin of the others.

use crate::letters::{Letters, Members};

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
    /// AVX-512 with the byte instructions of VBMI and VBMI2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All that this machine has, the best last.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let all = [Some(Self::Baseline)];
        #[cfg(target_arch = "x86_64")]
        let all = {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
            let bytes = is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("avx512vbmi");
            let avx512 = bytes && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
            [all[0], avx2.then_some(Self::Avx2), (avx2 && avx512).then_some(Self::Avx512)]
        };
        all.into_iter().flatten().collect()
    }

    /// The best that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Baseline)
    }
}

/// Asks for the memory some bytes behind an address; any will do, since nothing is read.
#[inline(always)]
pub fn prefetch<T>(address: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, and SSE is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>().wrapping_add(bytes));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above, of every 64-bit ARM.
    unsafe {
        let address = address.cast::<i8>().wrapping_add(bytes);
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    let _ = (address, bytes);
}

/// How a machine makes masks and lists of positions.
pub trait Machine {
    /// Whether the machine can [`Machine::fold_characters`].
    const FOLDS: bool = false;

    /// Whether [`Machine::members`] takes less time than looking up the characters one by one.
    const MEMBERS: bool = false;

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

    /// Folds the characters at the beginning of a text, up to the first that is [`COMPLEX`]; None if the machine cannot.
    ///
    /// `table` holds for each character of the basic plane the bytes it becomes, up to four, the first of them lowest; zero
    /// bytes are none. What lies in `out` behind the bytes that are written is anything.
    #[inline(always)]
    #[must_use]
    fn fold_characters(_text: &[u8], _table: &[u32; 0x1_0000], _out: &mut [u8; BLOCK]) -> Option<Step> {
        None
    }

    /// Bits of the bytes of [`Letters`] that lie in the block as a whole.
    #[inline(always)]
    #[must_use]
    fn letters(block: &[u8; BLOCK], letters: &Letters) -> u64 {
        let mut bits = 0;
        for (i, pair) in block.windows(2).enumerate() {
            let len = if letters.has([pair[0], pair[1]]) { Letters::len(pair[0]) } else { 0 };
            bits |= if i + len > BLOCK { 0 } else { ((1 << len) - 1) << i };
        }
        bits
    }

    /// Bits of the first bytes of characters of [`Members`] that lie in the block as a whole.
    #[inline(always)]
    #[must_use]
    fn members(block: &[u8; BLOCK], members: &Members) -> u64 {
        let firsts = block.windows(3).map(|utf8| u64::from(members.has([utf8[0], utf8[1], utf8[2]])));
        firsts.enumerate().fold(0, |bits, (i, is_member)| bits | is_member << i)
    }

    /// Calls `f` in a function of its own that is compiled for the machine: a loop that is compiled among others has half of
    /// what it needs in memory.
    #[inline(never)]
    fn apart<R>(f: impl FnOnce() -> R) -> R {
        f()
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

/// What [`Machine::fold_characters`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of text that are folded now.
    pub read: usize,
    /// Bytes that they became.
    pub written: usize,
    /// Whether all of it was ASCII.
    pub plain: bool,
}

/// In a table of characters: neither up to four bytes nor nothing.
pub const COMPLEX: u32 = u32::MAX;

/// The portable machine.
#[derive(Debug)]
pub struct Bytewise;

impl Machine for Bytewise {
    fn mask(flags: &[u8; BLOCK]) -> u64 {
        flags.iter().rev().fold(0, |mask, flag| mask << 1 | u64::from(flag >> 7))
    }
}

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
pub use Bytewise as Baseline;
#[cfg(target_arch = "aarch64")]
pub use arm::Neon as Baseline;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Sse2 as Baseline};

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use super::*;
    use proptest::prelude::*;

    /// What a machine makes of a text: folded, masked, its letters, its bits as a list, and where a number is.
    #[derive(Debug, PartialEq)]
    struct Seen(Vec<u8>, [u64; 3], Vec<u32>, [Option<usize>; 3]);

    static LETTERS: LazyLock<Letters> = LazyLock::new(|| Letters::new(char::is_alphabetic));
    static MEMBERS: LazyLock<Members> = LazyLock::new(|| Members::new(char::is_alphabetic));

    fn see<M: Machine>(text: &[u8], lowercase: bool) -> Seen {
        let (mut out, mut list) = ([0; BLOCK], vec![0; 2 * BLOCK]);
        let strange = M::fold(text, lowercase, &mut out);
        let len = M::push(strange, 7, &mut list, 1);
        let first = u128::from_le_bytes(*out.first_chunk().expect("64 bytes"));
        let find = |numbers: [u128; 2]| M::find(&numbers, first);
        let found = [find([first, !first]), find([first ^ 1 << 127, first]), find([first ^ 1, first ^ 1 << 64])];
        let bits = [M::mask(&out), M::letters(&out, &LETTERS), M::members(&out, &MEMBERS)];
        Seen(out.to_vec(), bits, list[1..len].to_vec(), found)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn see_avx2(text: &[u8], lowercase: bool) -> Seen {
        see::<Avx2>(text, lowercase)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
    fn see_avx512(text: &[u8], lowercase: bool) -> Seen {
        see::<Avx512>(text, lowercase)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
    fn fold_on_avx512(text: &[u8], table: &[u32; 0x1_0000], out: &mut [u8; BLOCK]) -> Option<Step> {
        Avx512::fold_characters(text, table, out)
    }

    /// What `fold_characters` does, character by character.
    fn fold_slowly(text: &str, table: &[u32], out: &mut Vec<u8>) -> Step {
        let known = |c: &char| table.get(*c as usize).is_some_and(|entry| *entry != COMPLEX);
        let chars: Vec<_> = text.chars().take(16).take_while(known).collect();
        out.extend(chars.iter().flat_map(|c| table[*c as usize].to_le_bytes()).filter(|byte| *byte != 0));
        let plain = chars.len() == 16 && chars.iter().all(char::is_ascii);
        Step { read: chars.iter().map(|c| c.len_utf8()).sum(), written: out.len(), plain }
    }

    /// The slow twin of a machine that folds characters together.
    pub(crate) struct Together;

    impl Machine for Together {
        const FOLDS: bool = true;

        fn mask(flags: &[u8; BLOCK]) -> u64 {
            Bytewise::mask(flags)
        }

        fn fold_characters(text: &[u8], table: &[u32; 0x1_0000], out: &mut [u8; BLOCK]) -> Option<Step> {
            let mut folded = Vec::new();
            let step = fold_slowly(str::from_utf8(text).expect("begins with a character"), table, &mut folded);
            out[..folded.len()].copy_from_slice(&folded);
            Some(step)
        }
    }

    proptest! {
        #[test]
        #[cfg(target_arch = "x86_64")]
        fn characters_fold_together_as_one_by_one(text in "[a-z .\u{0}éßñ中がд\u{FFFF}😀]{0,40}", changed: [u32; 9]) {
            let mut table: Vec<u32> = (0..0x1_0000).map(|c| c << 8 & 0xFF_00FF).collect();
            for (c, entry) in "aézдが中ß. ".chars().zip(changed) {
                table[c as usize] = if entry % 5 == 0 { COMPLEX } else { entry };
            }
            if Level::best() == Level::Avx512 {
                let (mut out, mut want) = ([0; BLOCK], Vec::new());
                // SAFETY: this machine has the level.
                let step = unsafe { fold_on_avx512(text.as_bytes(), table.first_chunk().expect("long"), &mut out) };
                let slow = fold_slowly(&text, &table, &mut want);
                let step = step.expect("this machine can");
                prop_assert!(step.read <= slow.read && (step.read > 0) == (slow.read > 0));
                let again = fold_slowly(&text[..step.read], &table, &mut Vec::new());
                prop_assert_eq!((step.written, &out[..step.written]), (again.written, &want[..step.written]));
                prop_assert_eq!(step.plain, slow.plain && step.read == slow.read);
            }
        }

        #[test]
        fn all_see_what_the_portable_one_sees(
            parts in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(prop_oneof![any::<u8>(), 0xC0..0xF0_u8, 0x80..0xC0_u8], 1..9),
                "[\u{900}-\u{97F}\u{2000}-\u{2040}\u{3000}-\u{3100}\u{FF00}-\u{FF40}\u{24000}-\u{26000}]{1,3}".prop_map(String::into_bytes),
            ], 0..20),
            lowercase: bool,
        ) {
            let text = parts.concat();
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
