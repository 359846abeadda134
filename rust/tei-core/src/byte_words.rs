//! Text → words of the bytes scheme: every byte belongs to exactly one word, and nothing is changed.
//!
//! The rules are those of GPT-4's pattern (`cl100k_base` of tiktoken) with stated changes; [`PATTERN`] is their
//! definition. Kinds of bytes become bit masks, 64 bytes at a time, and the beginnings of words bit arithmetic on them;
//! characters outside ASCII are looked up one by one and patch the masks. No rule looks back beyond the beginning of its
//! word, so a text may be taken up again at any of them.
mod masks;

#[cfg(target_arch = "x86_64")]
use crate::machine::{Avx2, Avx512};
use crate::machine::{BLOCK, Baseline, Level, Machine};
use crate::scanner::{Found, Words};
use masks::{Carry, Kinds, decode};

include!(concat!(env!("OUT_DIR"), "/word_kinds.rs"));

/// The rules as an expression of Oniguruma, which Hugging Face `tokenizers` runs: the first alternative that matches is
/// the next word. Words of more than [`LONGEST`] characters are then cut after every [`LONGEST`].
///
/// Against GPT-4's: marks belong to their letters; blanks that join a word are ASCII; line breaks are words of their own
/// if no sign comes before; letters of scripts that are written without spaces, and numbers outside ASCII, have words of
/// their own, of at most 32 and 3 characters. (Shorter words, or a cut between ideographs and kana, are cheaper to count
/// and cost tokens: at 16,000 tokens, 1.3 and 6.3 % more for Chinese and Japanese with 16 characters than with 99.)
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
        let mut begun = 0;
        for end in &mut self.texts {
            begun += starts[begun..].iter().take_while(|start| *start < end).count();
            *end = begun as u32;
        }
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
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
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
