//! How well a vocabulary fits word counts, and how tokens are spelled by others.
use std::sync::Arc;

use hashbrown::HashSet;
use rapidhash::fast::RandomState;

use crate::TokenId;
use crate::byte_letters;
use crate::encoder::Encoder;
use crate::paths::{char_count, trace_without_itself};
use crate::scanner::{Found, Words};
use crate::segmentation::{Segmentation, trie_without};
use crate::word_counts::WordCounts;

/// What words emit under a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How often each token is emitted, by id; unknown words emit the unknown token.
    pub emitted: Vec<u64>,
    /// Occurrences of words.
    pub words: u64,
    /// Tokens emitted.
    pub tokens: u64,
    /// Occurrences of words that are unknown.
    pub unknown_words: u64,
    /// Characters of all occurrences of words, normalized.
    pub characters: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Usage {
    /// Encodes each distinct word once, without the tokens `removed`.
    #[must_use]
    pub fn new(encoder: &Encoder, counts: &WordCounts, removed: &[TokenId]) -> Self {
        let segmentation = Segmentation::new(encoder, Arc::new(counts.clone()), removed);
        let sum =
            |size: fn(&[u8]) -> usize| (0..counts.len()).map(|i| counts.count(i) * size(counts.bytes(i)) as u64).sum();
        let [characters, bytes] = measures(encoder).map(sum);
        Self {
            emitted: segmentation.emitted().to_vec(),
            words: counts.total(),
            tokens: segmentation.tokens(),
            unknown_words: segmentation.unknown_words(),
            characters,
            bytes,
        }
    }
}

/// How many characters and bytes a word has; in the bytes scheme a letter is a byte.
pub(crate) fn measures(encoder: &Encoder) -> [fn(&[u8]) -> usize; 2] {
    if encoder.is_lossless() { [first_letters, char_count] } else { [char_count, <[u8]>::len] }
}

/// Number of letters whose bytes begin a character.
fn first_letters(word: &[u8]) -> usize {
    let letters = word.utf8_chunks().flat_map(|chunk| chunk.valid().chars());
    letters.filter(|&letter| byte_letters::byte(letter).is_none_or(|byte| byte.cast_signed() >= -64)).count()
}

/// Which tokens are one character, in either position, that is printable ASCII or occurs in `counts`; in the bytes scheme,
/// which are one byte.
#[must_use]
pub fn alphabet(encoder: &Encoder, counts: &WordCounts) -> Vec<bool> {
    let mut characters = printable();
    counts.iter().for_each(|(word, _)| characters.extend(word.chars()));
    alphabet_of(encoder, &characters)
}

/// Printable ASCII.
pub(crate) fn printable() -> HashSet<char, RandomState> {
    ('!'..='~').collect()
}

/// Which tokens are one of some characters, or in the bytes scheme one byte.
pub(crate) fn alphabet_of(encoder: &Encoder, characters: &HashSet<char, RandomState>) -> Vec<bool> {
    let vocabulary = encoder.vocabulary();
    let is_needed = |c| characters.contains(&c) || encoder.is_lossless() && byte_letters::byte(c).is_some();
    let single = |id| single_char(vocabulary.surface(id).0).is_some_and(is_needed);
    (0..vocabulary.len() as TokenId).map(single).collect()
}

/// The character of a string that has only one.
pub(crate) fn single_char(surface: &str) -> Option<char> {
    let mut chars = surface.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Spells each of `tokens` by the others, after `removed` are taken away and `added` have come.
///
/// Ids of added tokens follow those of the vocabulary. What cannot be spelled is the unknown token. The result is all
/// pieces one after the other, and where each token's pieces begin, with the end last.
#[must_use]
pub fn spell<T: AsRef<str>>(
    encoder: &Encoder,
    removed: &[TokenId],
    added: &[T],
    tokens: &[T],
) -> (Vec<TokenId>, Vec<usize>) {
    let vocabulary = encoder.vocabulary();
    let mut trie = trie_without(encoder, removed);
    for (id, token) in (vocabulary.len() as TokenId..).zip(added) {
        let (surface, position) = vocabulary.split_surface(token.as_ref());
        trie.insert(position, surface.as_bytes(), id);
    }
    let (mut pieces, mut ends) = (Vec::new(), vec![0]);
    for token in tokens {
        let start = pieces.len();
        if !trace_without_itself(&trie, vocabulary.split_surface(token.as_ref()), &mut pieces) {
            pieces.truncate(start);
            pieces.push(vocabulary.unknown());
        }
        ends.push(pieces.len());
    }
    (pieces, ends)
}

/// The words that each of some texts is cut into; added tokens are no words.
#[must_use]
pub fn split_words<T: AsRef<str>>(encoder: &Encoder, texts: &[T]) -> Vec<Vec<String>> {
    let words = |text: &T| {
        let mut words = Collected::default();
        encoder.with_worker(|worker| encoder.visit_words(std::iter::once(text.as_ref()), worker, &mut words));
        words.0
    };
    texts.iter().map(words).collect()
}

#[derive(Default)]
struct Collected(Vec<String>);

impl Words for Collected {
    fn take(&mut self, found: Found<'_>) {
        self.0.extend(found.iter().map(|word| String::from_utf8_lossy(word).into_owned()));
    }
}

/// Splits counts into a part to decide by and a part of about `share` to check with.
///
/// Each word's count is divided in proportion and rounded up or down at random, so rare words are in one part only, as
/// in text that was not seen. The same `seed` gives the same split everywhere.
#[must_use]
#[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
pub fn hold_out(counts: &WordCounts, share: f64, seed: u64) -> (WordCounts, WordCounts) {
    let held = |word: &str, count: u64| (count as f64 * share + random(word.as_bytes(), seed)) as u64;
    let rest = counts.iter().map(|(word, count)| (word, count.saturating_sub(held(word, count))));
    let held = counts.iter().map(|(word, count)| (word, held(word, count).min(count)));
    (WordCounts::from_pairs(rest), WordCounts::from_pairs(held))
}

/// A number from 0 to below 1 that depends on the bytes and the seed alone (FNV-1a, then the finish of `SplitMix64`).
fn random(bytes: &[u8], seed: u64) -> f64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325 ^ seed, fold);
    for multiplier in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB] {
        hash = (hash ^ hash >> 30).wrapping_mul(multiplier);
    }
    ((hash ^ hash >> 31) >> 11) as f64 / (1u64 << 53) as f64
}
