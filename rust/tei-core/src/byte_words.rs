//! Text → words of the bytes scheme: every byte belongs to exactly one word, and nothing is changed.
//!
//! The rules are those of GPT-4's pattern (`cl100k_base` of tiktoken) with stated changes; [`PATTERN`] is their
//! definition. Kinds of bytes become bit masks, 64 bytes at a time, and the beginnings of words bit arithmetic on them;
//! characters outside ASCII are looked up one by one and patch the masks. No rule looks back beyond the beginning of its
//! word, so a text may be taken up again at any of them.
#[cfg(target_arch = "x86_64")]
use crate::machine::{Avx2, Avx512};
use crate::machine::{BLOCK, Baseline, Level, Machine};
use crate::scanner::{Found, Words};

include!(concat!(env!("OUT_DIR"), "/word_kinds.rs"));

/// The rules as an expression of Oniguruma, which Hugging Face `tokenizers` runs: the first alternative that matches is
/// the next word. Words of more than [`LONGEST`] characters are then cut after every [`LONGEST`].
///
/// Against GPT-4's: marks belong to their letters; blanks that join a word are ASCII; line breaks are words of their own
/// if no sign comes before; letters of scripts that are written without spaces, and numbers outside ASCII, have words of
/// their own, of at most 32 and 3 characters. (Shorter words, or a cut between ideographs and kana, are cheaper to count
/// and cost tokens: at 16,000 tokens, 1.3 and 6.8 % more for Chinese and Japanese with 16 characters than with 99.)
pub const PATTERN: &str = concat!(
    r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])",
    r"|[\x00-\x09\x0B\x0C\x0E-\x2F\x3A-\x40\x5B-\x60\x7B-\x7F]?(?:(?!",
    r"[\p{Han}\p{Hiragana}\p{Katakana}ーｰ\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[\p{L}\p{M}])+",
    r"|[0-9]{1,3}|(?:(?![0-9])\p{N}){1,3}",
    r"|(?:(?=[\p{L}\p{M}])[\p{Han}\p{Hiragana}\p{Katakana}ーｰ]){1,32}",
    r"|(?:(?=[\p{L}\p{M}])[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]){1,32}",
    r"| ?[^\x09-\x0D\x20\p{L}\p{M}\p{N}]+[\r\n]*",
    r"|[\r\n]+|[\x09\x0B\x0C ]+(?![^\x09-\x0D ])|[\x09\x0B\x0C ]",
);

/// Words of more characters are cut.
pub const LONGEST: usize = 64;

/// Characters outside ASCII by what they do to words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whatever is nothing else.
    Sign,
    /// Letters and marks of scripts with spaces between words.
    Letter,
    /// Ideographs and kana.
    Ideographic,
    /// Thai, Lao, Khmer and Burmese.
    SouthEastAsian,
    Number,
}

impl Kind {
    #[inline(always)]
    fn of(code: u32) -> Self {
        let block = usize::from(INDEX[(code >> 7) as usize]) << 7;
        KINDS[usize::from(ENTRIES[block | (code & 127) as usize])]
    }

    /// The most characters of a word of this kind alone.
    #[inline(always)]
    fn limit(self) -> u32 {
        if self == Self::Number { 3 } else { 32 }
    }
}

/// Bytes at once: with the lists of their words they fill half the first-level cache.
const CHUNK: usize = 2 << 10;

/// Stands between texts; UTF-8 never has this byte.
const SEPARATOR: u8 = 0xFF;

/// Buffers of a scan, only there to be reused.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Texts, a separator behind each, and separators behind the last up to two blocks.
    text: Vec<u8>,
    len: usize,
    starts: Vec<u32>,
    ends: Vec<u32>,
    words: usize,
    texts: Vec<u32>,
    /// What comes before the first byte, if a word was cut there.
    before: Option<Kinds>,
}

impl Scratch {
    fn clear(&mut self) {
        (self.len, self.before) = (0, None);
        self.texts.clear();
        // A separator may follow the last byte of a full chunk, and a block be read behind it.
        self.text.resize(CHUNK + 3 * BLOCK, SEPARATOR);
        [&mut self.starts, &mut self.ends].into_iter().for_each(|list| list.resize(CHUNK + 4 * BLOCK, 0));
    }

    /// Appends as much of a text as has room; returns how much.
    #[inline(always)]
    fn fill(&mut self, text: &str) -> usize {
        let taken = text.floor_char_boundary(CHUNK - self.len.min(CHUNK));
        self.text[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        taken
    }

    #[inline(always)]
    fn end_text(&mut self) {
        self.text[self.len] = SEPARATOR;
        self.len += 1;
        self.texts.push(self.len as u32);
    }

    /// Hands over all words; if a text goes on, its last word may, too, and is kept.
    #[inline(always)]
    fn flush<M: Machine, W: Words>(&mut self, goes_on: bool, words: &mut W) {
        let end = self.len;
        let blocks = end / BLOCK + 1;
        self.text[end..(blocks + 1) * BLOCK].fill(SEPARATOR);
        self.find::<M>(blocks);
        self.before = None;
        let lengths = self.starts[..self.words].iter().zip(&self.ends[..self.words]).map(|(start, end)| end - start);
        let cut = lengths.max().is_some_and(|longest| longest > LONGEST as u32) && self.cut_long();
        let open = goes_on && self.words > 0 && self.ends[self.words - 1] as usize == end;
        self.words -= usize::from(open);
        let tail = if open { self.starts[self.words] as usize } else { end };
        let (starts, ends) = (&self.starts[..self.words], &self.ends[..self.words]);
        words.take_on::<M>(Found::new(&self.text, starts, ends, &self.texts));
        if open && cut {
            self.before = self.kinds_before(tail);
        }
        self.text.copy_within(tail..end, 0);
        self.len = end - tail;
        self.texts.clear();
    }

    /// Finds the words of the first blocks.
    #[inline(always)]
    fn find<M: Machine>(&mut self, blocks: usize) {
        let Self { text, starts, ends, .. } = self;
        let mut carry = Carry::new(self.before);
        let (mut begun, mut ended) = (0, 0);
        for block in 0..blocks {
            let (first, after) = carry.edges::<M>(text, block * BLOCK);
            begun = M::push(first, (block * BLOCK) as u32, starts, begun);
            ended = M::push(after, (block * BLOCK) as u32, ends, ended);
        }
        debug_assert_eq!(begun, ended, "the text ends with a separator");
        self.words = begun.min(ended);
    }

    /// Cuts words that are too long; returns whether the last one was cut.
    #[cold]
    #[inline(never)]
    fn cut_long(&mut self) -> bool {
        let (mut starts, mut ends, mut cut) = (Vec::new(), Vec::new(), false);
        for i in 0..self.words {
            let (start, end) = (self.starts[i], self.ends[i]);
            let word = &self.text[start as usize..end as usize];
            let firsts = (start..end).zip(word).filter(|(_, byte)| byte.cast_signed() >= -64).map(|(at, _)| at);
            let before = starts.len();
            starts.extend(firsts.step_by(LONGEST));
            ends.extend_from_slice(&starts[before + 1..]);
            ends.push(end);
            cut = starts.len() > before + 1;
        }
        self.words = starts.len();
        // There are no more words than bytes, as before.
        self.starts[..starts.len()].copy_from_slice(&starts);
        self.ends[..ends.len()].copy_from_slice(&ends);
        cut
    }

    /// The kinds of the character that ends at `at`, where a word was cut.
    fn kinds_before(&self, at: usize) -> Option<Kinds> {
        let start = (0..at).rev().find(|&i| self.text[i].cast_signed() >= -64)?;
        let mut kinds = Kinds::default();
        match self.text[start] {
            b' ' => (kinds.space, kinds.blank) = (1, 1),
            b'\r' | b'\n' => kinds.newline = 1,
            b'\t' | 0x0B | 0x0C => kinds.space = 1,
            byte if byte.is_ascii_alphabetic() => kinds.letter = 1,
            byte if byte < 0x80 => kinds.sign = 1,
            _ if Kind::of(decode(&self.text, start).0) == Kind::Letter => kinds.letter = 1,
            _ => kinds.sign = 1,
        }
        Some(kinds)
    }
}

/// Bits of the bytes of a block, by kind; what has no bit belongs to a kind that is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    letter: u64,
    digit: u64,
    sign: u64,
    /// ASCII white space that is no line break.
    space: u64,
    newline: u64,
    /// The blank itself.
    blank: u64,
    separator: u64,
    /// First bytes of words of the kinds that are counted.
    counted: u64,
}

/// What the blocks before leave for the next.
#[derive(Clone, Copy, Debug)]
struct Carry {
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
    fn new(before: Option<Kinds>) -> Self {
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
    fn edges<M: Machine>(&mut self, text: &[u8], base: usize) -> (u64, u64) {
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
fn decode(text: &[u8], at: usize) -> (u32, usize) {
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

/// The scanner of the bytes scheme.
#[derive(Clone, Debug)]
pub struct ByteWords {
    level: Level,
}

impl ByteWords {
    /// The scanner for this machine.
    #[must_use]
    pub fn new() -> Self {
        Self { level: Level::best() }
    }

    /// Hands the words of all texts to `words`.
    pub fn scan<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
        match self.level {
            Level::Baseline => scan_on::<Baseline, W>(texts, scratch, words),
            // SAFETY: a level is only chosen where the machine has its instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { scan_avx2(texts, scratch, words) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { scan_avx512(texts, scratch, words) },
        }
    }
}

impl Default for ByteWords {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn scan_avx2<'t, W: Words>(texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
    scan_on::<Avx2, W>(texts, scratch, words);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi2")]
fn scan_avx512<'t, W: Words>(texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
    scan_on::<Avx512, W>(texts, scratch, words);
}

#[inline(always)]
fn scan_on<'t, M: Machine, W: Words>(texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
    scratch.clear();
    for text in texts {
        if scratch.len > CHUNK {
            scratch.flush::<M, W>(false, words);
        }
        let mut rest = text;
        loop {
            let taken = scratch.fill(rest);
            rest = &rest[taken..];
            if rest.is_empty() {
                break;
            }
            scratch.flush::<M, W>(true, words);
            if words.is_full() {
                (scratch.len, scratch.before) = (0, None);
                break;
            }
        }
        scratch.end_text();
    }
    scratch.flush::<M, W>(false, words);
}

#[cfg(test)]
mod tests;
