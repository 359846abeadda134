//! Induces a vocabulary from word counts: special tokens, the alphabet, then what merges make.
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::byte_letters;
use crate::merges::{Merge, Merges};
use crate::pair_counts::{PairCounts, Symbol};
use crate::rules::Rules;
use crate::selection::{self, Surface};
use crate::vocabulary::Position;
use crate::word_counts::WordCounts;
use crate::{Error, Result};

/// What a vocabulary should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of tokens, special ones included.
    pub vocab_size: usize,
    /// Characters and pairs that occur fewer times get no token.
    pub min_count: u64,
    /// Tokens that get the first ids, in this order.
    pub special_tokens: Vec<String>,
    /// Tokens that come next, whatever the words say; one with the prefix is a continuation.
    pub required_tokens: Vec<String>,
    /// What a continuation token begins with; empty in the bytes scheme, whose tokens are all of one position class.
    pub continuation_prefix: String,
    /// A word of more characters is unknown, so nothing is learned from it.
    pub max_word_chars: usize,
    /// Only so many characters get tokens, the most frequent ones.
    pub limit_alphabet: usize,
    /// No token of more than one character is longer; required and special ones may be.
    pub max_token_bytes: usize,
    /// Whether tokens are chosen by what unseen text needs, from more than are wanted; see [`crate::selection`].
    pub quality: bool,
}

impl Options {
    fn is_lossless(&self) -> bool {
        self.continuation_prefix.is_empty()
    }

    fn positions(&self) -> &'static [Position] {
        const ALL: [Position; 2] = [Position::Initial, Position::Continuation];
        if self.is_lossless() { &ALL[..1] } else { &ALL }
    }
}

/// Why a token is in a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// It is special.
    Special,
    /// It is a character.
    Character,
    /// It was asked for.
    Required,
    /// The pair it was merged from occurred so often.
    Merged(u64),
    /// So often it is expected in as much text, and so many tokens it saves there.
    Chosen(f64, f64),
}

/// A token with its reason.
pub type Induced = (String, Reason);

/// Candidates for each token that is chosen; more choose hardly better.
const CANDIDATES: usize = 2;

/// Tokens in id order: special tokens, initial characters, continuation characters, required tokens, then the others,
/// merges by falling count or chosen tokens by falling use.
///
/// Without a continuation prefix characters are letters of bytes, all 256 are tokens, and there is one position class.
/// Otherwise a character that occurs at least `min_count` times is a token in both position classes, so that longest
/// match can spell every word over these characters; one that is always a word by itself needs no continuation. A word
/// with a rarer character is unknown, and nothing is learned from it. Merges that give equal strings share one token.
/// The result depends on the counts alone.
///
/// # Errors
/// [`Error::NoWords`], [`Error::CountsTooLarge`], [`Error::DuplicateToken`] for a special token given twice, and
/// [`Error::VocabularyTooSmall`] or [`Error::VocabularyTooLarge`] if the size is below what is needed or above what the
/// words offer.
pub fn train(counts: &WordCounts, rules: &Rules, options: &Options) -> Result<Vec<Induced>> {
    if counts.is_empty() {
        return Err(Error::NoWords);
    }
    check_counts(counts, if options.quality { selection::MAX_BYTES } else { u64::MAX })?;
    let alphabet = Alphabet::new(counts, rules, options);
    let mut tokens = Tokens::new(options, &alphabet)?;
    let wanted = options.vocab_size.saturating_mul(if options.quality { CANDIDATES } else { 1 });
    let base = tokens.list.len();
    for merge in merges(counts, &alphabet, options) {
        // What occurred once is no candidate, but fills a vocabulary that would lack tokens.
        let enough = if merge.count > 1 { wanted } else { options.vocab_size };
        if tokens.list.len() >= enough || base == options.vocab_size {
            break;
        }
        tokens.merge(merge);
    }
    let available = tokens.list.len();
    if available < options.vocab_size {
        return Err(Error::VocabularyTooLarge { size: options.vocab_size, available, min_count: options.min_count });
    }
    Ok(if options.quality { tokens.choose(base, counts, &alphabet) } else { tokens.list })
}

/// Sums of counts must fit: a pair occurs at most once for each byte of each occurrence.
fn check_counts(counts: &WordCounts, limit: u64) -> Result<()> {
    let bytes: u128 = counts.iter().map(|(word, count)| u128::from(count) * word.len() as u128).sum();
    if bytes > u128::from(limit) { Err(Error::CountsTooLarge { bytes, limit }) } else { Ok(()) }
}

/// Characters that get tokens, in their order; `characters[i]` is symbol `i` in front, `len + i` further on.
struct Alphabet {
    characters: Vec<char>,
    /// Which of them are only ever words by themselves.
    alone: Vec<bool>,
    symbols: HashMap<char, Symbol>,
    max_word_chars: usize,
}

impl Alphabet {
    fn new(counts: &WordCounts, rules: &Rules, options: &Options) -> Self {
        if options.is_lossless() {
            // Every byte, so that every text can be spelled.
            let mut letters: Vec<char> = (0..=255).map(byte_letters::letter).collect();
            letters.sort_unstable();
            return Self::of(letters, vec![false; 256], options);
        }
        // How often each occurs, and whether next to another one.
        let mut totals: HashMap<char, (u64, bool)> = HashMap::new();
        for (word, count) in short_words(counts, options.max_word_chars) {
            let several = word.chars().nth(1).is_some();
            for c in word.chars() {
                let (total, joined) = totals.entry(c).or_default();
                *total += count;
                *joined |= several;
            }
        }
        let mut found: Vec<(char, (u64, bool))> =
            totals.into_iter().filter(|(_, (total, _))| *total >= options.min_count).collect();
        found.sort_unstable_by_key(|&(c, (total, _))| (Reverse(total), c));
        found.truncate(options.limit_alphabet);
        found.sort_unstable();
        let alone = found.iter().map(|&(c, (_, joined))| !joined && stands_alone(rules, c)).collect();
        Self::of(found.into_iter().map(|(c, _)| c).collect(), alone, options)
    }

    fn of(characters: Vec<char>, alone: Vec<bool>, options: &Options) -> Self {
        let symbols = characters.iter().zip(0..).map(|(&c, symbol)| (c, symbol)).collect();
        Self { characters, alone, symbols, max_word_chars: options.max_word_chars }
    }

    /// Words over these characters that are not too long, with their counts.
    fn words<'w>(&self, counts: &'w WordCounts) -> impl Iterator<Item = (&'w str, u64)> + Clone {
        short_words(counts, self.max_word_chars).filter(|(word, _)| word.chars().all(|c| self.symbols.contains_key(&c)))
    }

    /// Bytes of each of the first symbols, in all position classes; a letter stands for one byte.
    fn sizes(&self, options: &Options) -> Vec<u32> {
        let size = |c: &char| if options.is_lossless() { 1 } else { c.len_utf8() as u32 };
        options.positions().iter().flat_map(|_| self.characters.iter().map(size)).collect()
    }
}

/// The words that can be known by their length.
fn short_words(counts: &WordCounts, limit: usize) -> impl Iterator<Item = (&str, u64)> + Clone {
    counts.iter().filter(move |(word, _)| word.len() <= limit || word.chars().count() <= limit)
}

/// Whether the rules part a character from all neighbours.
fn stands_alone(rules: &Rules, c: char) -> bool {
    let mut words = Vec::new();
    rules.scan_exactly(&format!("a{c}a{c}{c}1{c}.{c}!{c}-"), |word| words.push(word.chars().collect::<Vec<_>>()));
    let mut found = words.iter().filter(|word| word.contains(&c)).peekable();
    found.peek().is_some() && found.all(|word| word.len() == 1)
}

fn merges(counts: &WordCounts, alphabet: &Alphabet, options: &Options) -> Merges {
    let mut pairs = PairCounts::new(options.min_count.max(1));
    let later = if options.is_lossless() { 0 } else { alphabet.characters.len() as Symbol };
    for (word, count) in alphabet.words(counts) {
        pairs.push(word.chars().enumerate().map(|(i, c)| alphabet.symbols[&c] + if i > 0 { later } else { 0 }), count);
    }
    pairs.count(options.positions().len() * alphabet.characters.len());
    Merges::new(pairs, options.min_count).limited(alphabet.sizes(options), options.max_token_bytes)
}

/// Tokens while they are collected, each once, and what each symbol spells.
struct Tokens<'o> {
    options: &'o Options,
    list: Vec<Induced>,
    known: HashSet<String>,
    symbols: Vec<Surface>,
}

impl<'o> Tokens<'o> {
    fn new(options: &'o Options, alphabet: &Alphabet) -> Result<Self> {
        let mut tokens = Self { options, list: Vec::new(), known: HashSet::new(), symbols: Vec::new() };
        for (second, token) in (0..).zip(&options.special_tokens) {
            if let Some(first) = options.special_tokens[..second as usize].iter().position(|other| other == token) {
                return Err(Error::DuplicateToken { token: token.clone(), first: first as u32, second });
            }
            tokens.push(token.clone(), Reason::Special);
        }
        for &position in options.positions() {
            for (c, alone) in alphabet.characters.iter().zip(&alphabet.alone) {
                let surface = (position, c.to_string());
                if position == Position::Initial || !alone {
                    tokens.push_surface(&surface, Reason::Character);
                }
                tokens.symbols.push(surface);
            }
        }
        options.required_tokens.iter().for_each(|token| tokens.push(token.clone(), Reason::Required));
        if tokens.list.len() > options.vocab_size {
            return Err(Error::VocabularyTooSmall {
                size: options.vocab_size,
                minimum: tokens.list.len(),
                characters: alphabet.characters.len(),
                special: options.special_tokens.len(),
                required: options.required_tokens.len(),
            });
        }
        Ok(tokens)
    }

    fn push(&mut self, token: String, reason: Reason) {
        if self.known.insert(token.clone()) {
            self.list.push((token, reason));
        }
    }

    fn push_surface(&mut self, (position, surface): &Surface, reason: Reason) {
        let prefix = &self.options.continuation_prefix;
        match position {
            Position::Continuation => self.push(format!("{prefix}{surface}"), reason),
            // In front, such a string would read as a continuation of something else.
            Position::Initial if reads_as_continuation(surface, prefix) => {}
            Position::Initial => self.push(surface.clone(), reason),
        }
    }

    fn merge(&mut self, merge: Merge) {
        let (position, mut surface) = self.symbols[merge.left as usize].clone();
        surface.push_str(&self.symbols[merge.right as usize].1);
        let surface = (position, surface);
        self.push_surface(&surface, Reason::Merged(merge.count));
        self.symbols.push(surface);
    }

    /// Keeps the first `base` tokens, and chooses the others.
    fn choose(mut self, base: usize, counts: &WordCounts, alphabet: &Alphabet) -> Vec<Induced> {
        let surfaces: Vec<Surface> = self.list.iter().map(|(token, _)| self.surface(token)).collect();
        let chosen = selection::select(
            alphabet.words(counts),
            selection::Options {
                size: self.options.vocab_size - base,
                kept: &surfaces[..base],
                candidates: &surfaces[base..],
                max_token_bytes: self.options.max_token_bytes,
                continuation_prefix: &self.options.continuation_prefix,
            },
        );
        self.list.truncate(base);
        self.known = self.list.iter().map(|(token, _)| token.clone()).collect();
        for token in chosen {
            self.push_surface(&token.surface, Reason::Chosen(token.emitted, token.saved));
        }
        self.list
    }

    fn surface(&self, token: &str) -> Surface {
        match token.strip_prefix(&self.options.continuation_prefix) {
            Some(rest) if !rest.is_empty() && !self.options.is_lossless() => (Position::Continuation, rest.to_owned()),
            _ => (Position::Initial, token.to_owned()),
        }
    }
}

/// Whether a string in front would be taken for a token further on.
fn reads_as_continuation(surface: &str, prefix: &str) -> bool {
    !prefix.is_empty() && surface.len() > prefix.len() && surface.starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(vocab_size: usize) -> Options {
        Options {
            vocab_size,
            min_count: 1,
            special_tokens: vec!["[UNK]".into()],
            required_tokens: Vec::new(),
            continuation_prefix: "##".into(),
            max_word_chars: 100,
            limit_alphabet: usize::MAX,
            max_token_bytes: usize::MAX,
            quality: false,
        }
    }

    fn train(counts: &WordCounts, options: &Options) -> Result<Vec<String>> {
        let rules = Rules::parse(&[vec!["BertNormalizer", "handle_chinese_chars"]], &[vec!["BertPreTokenizer"]]);
        let induced = super::train(counts, &rules.expect("known"), options)?;
        Ok(induced.into_iter().map(|(token, _)| token).collect())
    }

    fn counts(pairs: &[(&str, u64)]) -> WordCounts {
        WordCounts::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn orders_special_tokens_alphabet_and_merges() {
        let tokens = train(&counts(&[("ab", 3), ("bab", 1)]), &options(7)).expect("trains");
        assert_eq!(tokens, ["[UNK]", "a", "b", "##a", "##b", "ab", "ba"]);
    }

    #[test]
    fn equal_strings_share_a_token() {
        // `abc` arises as a + ##bc and as ab + ##c.
        let words = counts(&[("abc", 10), ("dbc", 30), ("ab", 35)]);
        let tokens = train(&words, &options(1 + 8 + 4)).expect("trains");
        let distinct: HashSet<&String> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len());
    }

    #[test]
    fn says_which_sizes_are_possible() {
        let words = counts(&[("ab", 3)]);
        let small = train(&words, &options(4)).expect_err("too small");
        assert_eq!(small, Error::VocabularyTooSmall { size: 4, minimum: 5, characters: 2, special: 1, required: 0 });
        let large = train(&words, &options(7)).expect_err("too large");
        assert_eq!(large, Error::VocabularyTooLarge { size: 7, available: 6, min_count: 1 });
        assert_eq!(train(&counts(&[]), &options(7)), Err(Error::NoWords));
    }

    #[test]
    fn refuses_counts_that_overflow_and_special_tokens_given_twice() {
        let huge = train(&counts(&[("ab", u64::MAX)]), &options(5)).expect_err("too large");
        assert_eq!(huge, Error::CountsTooLarge { bytes: 2 * u128::from(u64::MAX), limit: u64::MAX });
        let mut twice = options(7);
        twice.special_tokens = vec!["[UNK]".into(), "x".into(), "[UNK]".into()];
        let twice = train(&counts(&[("ab", 1)]), &twice).expect_err("duplicate");
        assert_eq!(twice, Error::DuplicateToken { token: "[UNK]".into(), first: 0, second: 2 });
    }

    #[test]
    fn learns_nothing_from_long_words_and_rare_characters() {
        let mut limited = options(1 + 4 + 1);
        limited.max_word_chars = 2;
        let tokens = train(&counts(&[("ab", 1), ("xyz", 9)]), &limited).expect("trains");
        assert_eq!(tokens, ["[UNK]", "a", "b", "##a", "##b", "ab"]);
        limited.min_count = 2;
        let tokens = train(&counts(&[("ab", 2), ("a!", 1)]), &limited).expect("trains");
        assert_eq!(tokens, ["[UNK]", "a", "b", "##a", "##b", "ab"]);
    }
}
