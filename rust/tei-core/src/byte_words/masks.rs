//! The kinds of bytes as bit masks, 64 bytes at a time, and where words begin and end as arithmetic on them.
use super::{Kind, SEPARATOR};
use crate::machine::{BLOCK, Machine};

/// Bits of the bytes of a block, by kind; what has no bit belongs to a kind that is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds {
    pub letter: u64,
    pub digit: u64,
    pub sign: u64,
    /// ASCII white space that is no line break.
    pub space: u64,
    pub newline: u64,
    /// The blank itself.
    pub blank: u64,
    pub separator: u64,
    /// First bytes of words of the kinds that are counted.
    pub counted: u64,
}

/// What the blocks before leave for the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carry {
    /// Kinds of the last byte, as the lowest bits.
    last: Kinds,
    /// Whether it may begin a word of letters.
    prefix: u64,
    /// Beginnings of words that are known already.
    forced: u64,
    /// Bits of characters that reach into this block.
    letter: u64,
    sign: u64,
    /// Number of digits since the last cut, 0 to 3.
    digits: u32,
    /// The kind that is being counted, how many there are, and where the next one must be.
    counted: (Kind, u32, usize),
}

impl Carry {
    #[inline(always)]
    pub fn new(before: Option<Kinds>) -> Self {
        let last = before.unwrap_or_default();
        Self {
            // Nothing ends at the beginning.
            last: Kinds { separator: 1, ..last },
            prefix: 0,
            forced: u64::from(before.is_some()),
            letter: 0,
            sign: 0,
            digits: 0,
            counted: (Kind::Sign, 0, 0),
        }
    }

    /// Bits of the first bytes of words, and of the bytes after their last.
    #[inline(always)]
    pub fn edges<M: Machine>(&mut self, text: &[u8], base: usize) -> (u64, u64) {
        let (mut kinds, ascii, wide, apostrophe) = kinds::<M>(text, base);
        kinds.letter |= std::mem::take(&mut self.letter);
        kinds.sign |= std::mem::take(&mut self.sign);
        if wide != 0 {
            self.add_wide(text, base, wide, &mut kinds);
        }
        let Kinds { letter, digit, sign, space, newline, blank, separator, counted } = kinds;
        let last = self.last;
        let first = |bits: u64, carried: u64| bits & !(bits << 1 | carried);
        let signs = first(sign, last.sign);
        let after_blank = blank << 1 | last.blank;
        let single = signs & !after_blank;
        let prefix = ascii & (space | single);
        let letters = first(letter, last.letter) & !(prefix << 1 | self.prefix);
        let newlines = first(newline, last.newline) & !(sign << 1 | last.sign);
        let next = text[base + BLOCK];
        let next_white = u64::from(is_white(next) || next == SEPARATOR) << 63;
        let before_ink = space & !((space | newline | separator) >> 1 | next_white);
        let forced = std::mem::take(&mut self.forced);
        let mut starts = letters | single | first(space, last.space) | newlines | before_ink;
        starts |= counted | forced | self.digits(digit);
        for at in ones(apostrophe & single) {
            starts |= self.contraction(text, base, at);
        }
        let after_separator = separator << 1 | last.separator;
        let ends = (starts | separator) & !after_separator;
        let top = |bits: u64| bits >> 63;
        self.last = Kinds {
            letter: top(letter),
            digit: top(digit),
            sign: top(sign),
            space: top(space),
            newline: top(newline),
            blank: top(blank),
            separator: top(separator),
            counted: 0,
        };
        self.prefix = top(prefix);
        (starts, ends)
    }

    /// Beginnings of words of digits: one at the first, and at every third after it.
    #[inline(always)]
    fn digits(&mut self, digit: u64) -> u64 {
        let mut cuts = digit & !(digit << 1 | self.last.digit);
        if self.last.digit != 0 {
            let next = 3 - self.digits;
            let reach = (2 << next) - 1;
            cuts |= u64::from(digit & reach == reach) << next;
        }
        let fourth = digit & digit << 1 & digit << 2 & digit << 3;
        let (mut all, phase) = (cuts, if self.last.digit != 0 { self.digits } else { 0 });
        while cuts != 0 {
            cuts = cuts << 3 & fourth;
            all |= cuts;
        }
        let open = (!digit).leading_zeros();
        let carried = if open == 64 { phase } else { 0 };
        self.digits = if open == 0 { 0 } else { (carried + open - 1) % 3 + 1 };
        all
    }

    /// Where the word after a contraction begins, if there is one at `at` and letters follow.
    #[inline(never)]
    fn contraction(&mut self, text: &[u8], base: usize, at: u32) -> u64 {
        let rest = &text[base + at as usize + 1..];
        let lower = |i: usize| rest[i] | 0x20;
        let is_letter = |i: usize| rest[i].is_ascii_alphabetic();
        let len = match (lower(0), lower(1)) {
            (b's' | b'd' | b'm' | b't', _) if is_letter(0) => 1,
            (b'l', b'l') | (b'v' | b'r', b'e') if is_letter(0) && is_letter(1) => 2,
            _ => return 0,
        };
        let goes_on = is_letter(len) || rest[len] >= 0xC0 && is_wide_letter(text, base + at as usize + 1 + len);
        let bit = u128::from(goes_on) << (at as usize + 1 + len);
        self.forced |= (bit >> 64) as u64;
        bit as u64
    }

    /// Adds the characters outside ASCII, whose first bytes are `wide`.
    #[inline(never)]
    fn add_wide(&mut self, text: &[u8], base: usize, wide: u64, kinds: &mut Kinds) {
        let (mut letter, mut sign) = (0_u128, 0_u128);
        for at in ones(wide) {
            let place = base + at as usize;
            let (code, len) = decode(text, place);
            let bytes = ((1_u128 << len) - 1) << at;
            match Kind::of(code) {
                Kind::Letter => letter |= bytes,
                Kind::Sign => sign |= bytes,
                kind => {
                    let (open, count, next) = self.counted;
                    let goes_on = open == kind && next == place && count < kind.limit();
                    self.counted = (kind, if goes_on { count + 1 } else { 1 }, place + len);
                    kinds.counted |= u64::from(!goes_on) << at;
                }
            }
        }
        (kinds.letter, self.letter) = (kinds.letter | letter as u64, (letter >> 64) as u64);
        (kinds.sign, self.sign) = (kinds.sign | sign as u64, (sign >> 64) as u64);
    }
}

/// The kinds of the ASCII characters of a block, its ASCII bytes, first bytes of other characters, and apostrophes.
#[inline(always)]
fn kinds<M: Machine>(text: &[u8], base: usize) -> (Kinds, u64, u64, u64) {
    let block: &[u8; BLOCK] = text[base..].first_chunk().unwrap_or(&[SEPARATOR; BLOCK]);
    let high = M::mask(block);
    let letter = mask::<M>(block, |b| (b | 0x20).wrapping_sub(b'a') < 26);
    let digit = mask::<M>(block, |b| b.wrapping_sub(b'0') < 10);
    let newline = mask::<M>(block, |b| (b == b'\n') | (b == b'\r'));
    let blank = mask::<M>(block, |b| b == b' ');
    let space = mask::<M>(block, |b| (b == b' ') | (b.wrapping_sub(b'\t') < 5)) & !newline;
    let apostrophe = mask::<M>(block, |b| b == b'\'');
    let (mut separator, mut wide) = (0, 0);
    if high != 0 {
        separator = mask::<M>(block, |b| b == SEPARATOR);
        wide = mask::<M>(block, |b| b >= 0xC0) & !separator;
    }
    let sign = !(letter | digit | newline | space | high);
    (Kinds { letter, digit, sign, space, newline, blank, separator, counted: 0 }, !high, wide, apostrophe)
}

/// Bits of the bytes of a block that are as asked.
#[inline(always)]
fn mask<M: Machine>(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let mut flags = [0; BLOCK];
    for i in 0..BLOCK {
        flags[i] = if is(block[i]) { 0xFF } else { 0 };
    }
    M::mask(&flags)
}

/// The places of the bits.
#[inline(always)]
fn ones(mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (at < 64).then_some(at)
    })
}

#[inline(always)]
fn is_white(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(b'\t') < 5
}

/// The character outside ASCII that begins at `at`, and its length; the text is UTF-8.
#[inline(always)]
pub(super) fn decode(text: &[u8], at: usize) -> (u32, usize) {
    let &[a, b, c, d] = text[at..].first_chunk().unwrap_or(&[0; 4]);
    let [b, c, d] = [b, c, d].map(|byte| u32::from(byte & 0x3F));
    let a = u32::from(a);
    if a < 0xE0 {
        ((a & 0x1F) << 6 | b, 2)
    } else if a < 0xF0 {
        ((a & 0xF) << 12 | b << 6 | c, 3)
    } else {
        ((a & 7) << 18 | b << 12 | c << 6 | d, 4)
    }
}

#[cold]
fn is_wide_letter(text: &[u8], at: usize) -> bool {
    text[at] != SEPARATOR && Kind::of(decode(text, at).0) == Kind::Letter
}
