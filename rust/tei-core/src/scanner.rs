//! Text → words in one pass: BERT's normalizer and pre-tokenizer fused.
//!
//! ASCII goes sixteen bytes at a time: a load, a mask of letters and digits, a count. Anything else goes character by
//! character through the folding table into a scratch buffer. `normalizer.rs` is the slow definition, and takes over where
//! marks would have to change places.
use std::ops::Range;

use crate::normalizer::{AlignedChar, Normalizer};
use crate::packed::{MAX_PACKED, PackedWord, block_at, leading_alphanumerics};
use crate::unicode::{Entry, Folding};

/// Receives the words of a text in order; each call is one word.
pub trait Words {
    /// A word of at most [`MAX_PACKED`] bytes.
    fn packed(&mut self, word: PackedWord);
    /// A longer word.
    fn long(&mut self, word: &[u8]);
    /// A word that is one ASCII punctuation character.
    fn ascii(&mut self, byte: u8);
    /// A word that is one character outside ASCII.
    fn character(&mut self, c: char);
    /// A word that is one of the 20,992 unified ideographs from U+4E00 on.
    #[inline]
    fn ideograph(&mut self, c: char) {
        self.character(c);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Word,
    Space,
    Punctuation,
    Control,
    Other,
}

/// A compiled [`Normalizer`] with BERT's pre-tokenizer: white space separates words, punctuation is a word.
#[derive(Clone, Debug)]
pub struct Scanner {
    classes: [Class; 256],
    folding: &'static Folding,
    normalizer: Normalizer,
}

impl Scanner {
    /// Compiles a normalizer.
    #[must_use]
    pub fn new(normalizer: Normalizer) -> Self {
        let classes = std::array::from_fn(|b| ascii_class(b as u8, normalizer.clean_text));
        Self { classes, folding: normalizer.folding(), normalizer }
    }

    /// Hands the words of `text` to `words`; `scratch` is only there to be reused.
    pub fn scan<W: Words>(&self, text: &str, scratch: &mut Vec<u8>, words: &mut W) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match self.classes[usize::from(bytes[at])] {
                Class::Space | Class::Control => at + 1,
                Class::Punctuation => {
                    words.ascii(bytes[at]);
                    at + 1
                }
                Class::Word => {
                    let (len, block) = leading_alphanumerics(block_at(bytes, at), self.normalizer.lowercase);
                    if len <= MAX_PACKED && self.ends_word(bytes, at + len) {
                        words.packed(PackedWord::from_block(block, len));
                        at + len
                    } else {
                        self.scan_slowly(text, at, scratch, words)
                    }
                }
                Class::Other => match ideograph_at(bytes, at) {
                    Some(c) if self.normalizer.split_ideographs => {
                        words.ideograph(c);
                        at + 3
                    }
                    _ => self.scan_slowly(text, at, scratch, words),
                },
            }
        }
    }

    /// The slow definition of `scan`: normalize, then split.
    pub fn scan_exactly<W: Words>(&self, text: &str, words: &mut W) {
        let chars = self.normalizer.normalize(text, 0);
        for range in split_words(&chars) {
            let word: String = chars[range].iter().map(|a| a.c).collect();
            push_word(word.as_bytes(), words);
        }
    }

    #[inline]
    fn ends_word(&self, bytes: &[u8], at: usize) -> bool {
        bytes.get(at).is_none_or(|&b| matches!(self.classes[usize::from(b)], Class::Space | Class::Punctuation))
    }

    /// Scans from `at`, character by character, until ASCII or an ideograph ends a word; returns where that is.
    fn scan_slowly<W: Words>(&self, text: &str, at: usize, scratch: &mut Vec<u8>, words: &mut W) -> usize {
        scratch.clear();
        let mut word_start = at;
        for (i, c) in text[at..].char_indices() {
            if scratch.is_empty() {
                word_start = at + i;
            }
            if c.is_ascii() {
                match self.classes[c as usize & 127] {
                    Class::Space | Class::Punctuation => {
                        flush(scratch, words);
                        return at + i;
                    }
                    Class::Control => {}
                    _ if self.normalizer.lowercase => scratch.push((c as u8).to_ascii_lowercase()),
                    _ => scratch.push(c as u8),
                }
                continue;
            }
            if is_unified_ideograph(c) && self.normalizer.split_ideographs {
                flush(scratch, words);
                return at + i;
            }
            let entry = self.folding.entry(c);
            if entry.is_nonstarter() {
                // Marks may have to change places, but never across the start of the word.
                self.scan_exactly(&text[word_start..], words);
                return text.len();
            }
            self.push_character(c, entry, scratch, words);
        }
        flush(scratch, words);
        text.len()
    }

    #[inline]
    fn push_character<W: Words>(&self, c: char, entry: Entry, scratch: &mut Vec<u8>, words: &mut W) {
        if entry.is_control() && self.normalizer.clean_text {
            return;
        }
        if entry.is_space() {
            return flush(scratch, words);
        }
        let alone = entry.is_ideograph() && self.normalizer.split_ideographs;
        if alone {
            flush(scratch, words);
        }
        self.folding.fold(c, entry, |folded, punctuation| {
            if alone || punctuation {
                flush(scratch, words);
                push_alone(folded, words);
            } else {
                scratch.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
            }
        });
    }
}

fn ascii_class(byte: u8, clean: bool) -> Class {
    match byte {
        b'\t'..=b'\r' | b' ' if !clean || matches!(byte, b'\t' | b'\n' | b'\r' | b' ') => Class::Space,
        _ if byte.is_ascii_punctuation() => Class::Punctuation,
        _ if byte.is_ascii_control() && clean => Class::Control,
        0..=127 if !byte.is_ascii_alphanumeric() => Class::Other,
        0..=127 => Class::Word,
        _ => Class::Other,
    }
}

fn is_unified_ideograph(c: char) -> bool {
    matches!(c, '\u{4E00}'..='\u{9FFF}')
}

/// The unified ideograph that begins at a byte of UTF-8 text, if one does; each folds to itself under every option.
#[inline]
fn ideograph_at(bytes: &[u8], at: usize) -> Option<char> {
    let &[a @ 0xE4..=0xE9, b, c] = bytes.get(at..)?.first_chunk::<3>()? else { return None };
    let code = u32::from(a & 15) << 12 | u32::from(b & 63) << 6 | u32::from(c & 63);
    char::from_u32(code).filter(|&c| is_unified_ideograph(c))
}

#[inline]
fn push_alone<W: Words>(c: char, words: &mut W) {
    if c.is_ascii() {
        words.ascii(c as u8);
    } else {
        words.character(c);
    }
}

#[inline]
fn flush<W: Words>(scratch: &mut Vec<u8>, words: &mut W) {
    if !scratch.is_empty() {
        push_word(scratch, words);
        scratch.clear();
    }
}

#[inline]
fn push_word<W: Words>(word: &[u8], words: &mut W) {
    match PackedWord::new(word) {
        Some(word) => words.packed(word),
        None => words.long(word),
    }
}

/// Splits exactly normalized text as the scanner does: ranges of characters, a word each.
#[must_use]
pub fn split_words(chars: &[AlignedChar]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    // The word that the next character may go on with.
    let mut open: Option<usize> = None;
    for (i, a) in chars.iter().enumerate() {
        let entry = Folding::none().entry(a.c);
        let apart = entry.is_space() || entry.is_punctuation();
        if let Some(start) = open.filter(|_| apart) {
            words.push(start..i);
            open = None;
        }
        if entry.is_punctuation() {
            words.push(i..i + 1);
        } else if !apart {
            open.get_or_insert(i);
        }
    }
    words.extend(open.map(|start| start..chars.len()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl Words for Collected {
        fn packed(&mut self, word: PackedWord) {
            word.with_bytes(|bytes| self.long(bytes));
        }
        fn long(&mut self, word: &[u8]) {
            self.0.push(String::from_utf8(word.to_vec()).expect("words are UTF-8"));
        }
        fn ascii(&mut self, byte: u8) {
            self.long(&[byte]);
        }
        fn character(&mut self, c: char) {
            self.0.push(c.into());
        }
    }

    fn normalizers() -> impl Strategy<Value = Normalizer> {
        any::<[bool; 4]>().prop_map(|[clean_text, split_ideographs, strip_accents, lowercase]| Normalizer {
            clean_text,
            split_ideographs,
            strip_accents,
            lowercase,
        })
    }

    fn agree(normalizer: Normalizer, text: &str) {
        let (scanner, mut fast, mut exact) = (Scanner::new(normalizer), Collected::default(), Collected::default());
        scanner.scan(text, &mut Vec::new(), &mut fast);
        scanner.scan_exactly(text, &mut exact);
        assert_eq!(fast.0, exact.0, "{text:?} with {normalizer:?}");
    }

    proptest! {
        #[test]
        fn equals_the_exact_path(normalizer in normalizers(), text: String) {
            agree(normalizer, &text);
        }

        #[test]
        fn equals_it_on_dense_text(normalizer in normalizers(), text in "[a-zA-Z0-9 _,.\\-\t\u{0}\u{b}\u{85}éÉ한中、\u{301}İ\u{ad}]{0,60}") {
            agree(normalizer, &text);
        }
    }

    #[test]
    fn every_character_agrees_with_the_exact_path() {
        for bits in 0..16u8 {
            let on = |bit: u8| bits >> bit & 1 == 1;
            let [clean_text, split_ideographs, strip_accents, lowercase] = [0, 1, 2, 3].map(on);
            let normalizer = Normalizer { clean_text, split_ideographs, strip_accents, lowercase };
            for first in (0..0x11_0000).step_by(64) {
                let spaced = |c: char| ['a', c, 'B', ' '];
                let text: String = (first..first + 64).filter_map(char::from_u32).flat_map(spaced).collect();
                agree(normalizer, &text);
            }
        }
    }
}
