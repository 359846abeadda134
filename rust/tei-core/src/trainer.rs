//! Induces a vocabulary from word counts: special tokens, the alphabet, then what merges make.
use std::collections::{HashMap, HashSet};

use crate::byte_letters;
use crate::merges::Merges;
use crate::pair_counts::{PairCounts, Symbol};
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
    /// What a continuation token begins with; empty in the bytes scheme, whose tokens are all of one position class.
    pub continuation_prefix: String,
    /// A word of more characters is unknown, so nothing is learned from it.
    pub max_word_chars: usize,
}

impl Options {
    fn positions(&self) -> &'static [Position] {
        const ALL: [Position; 2] = [Position::Initial, Position::Continuation];
        if self.continuation_prefix.is_empty() { &ALL[..1] } else { &ALL }
    }
}

/// Tokens in id order: special tokens, initial characters, continuation characters, merges by falling count.
///
/// Without a continuation prefix characters are letters of bytes, all 256 are tokens, and there is one position class.
/// Otherwise a character that occurs at least `min_count` times is a token in both position classes, so that longest match can
/// spell every word over these characters; a word with a rarer character is unknown, and nothing is learned from it.
/// Merges that give equal strings share one token. The result depends on the counts alone.
///
/// # Errors
/// [`Error::NoWords`], [`Error::CountsTooLarge`], [`Error::DuplicateToken`] for a special token given twice, and
/// [`Error::VocabularyTooSmall`] or [`Error::VocabularyTooLarge`] if the size is below what is needed or above what the
/// words offer.
pub fn train(counts: &WordCounts, options: &Options) -> Result<Vec<String>> {
    if counts.is_empty() {
        return Err(Error::NoWords);
    }
    check_counts(counts)?;
    let characters = alphabet(counts, options);
    let mut tokens = Tokens::new(options, &characters)?;
    for merge in Merges::new(spell(counts, &characters, options), options.min_count) {
        if tokens.list.len() == options.vocab_size {
            break;
        }
        tokens.merge(merge.left, merge.right);
    }
    let available = tokens.list.len();
    if available < options.vocab_size {
        return Err(Error::VocabularyTooLarge { size: options.vocab_size, available, min_count: options.min_count });
    }
    Ok(tokens.list)
}

/// Sums of counts must fit: a pair occurs at most once for each byte of each occurrence.
fn check_counts(counts: &WordCounts) -> Result<()> {
    let bytes: u128 = counts.iter().map(|(word, count)| u128::from(count) * word.len() as u128).sum();
    if bytes > u128::from(u64::MAX) { Err(Error::CountsTooLarge { bytes }) } else { Ok(()) }
}

/// The words that can be known by their length.
fn short_words<'c>(counts: &'c WordCounts, options: &Options) -> impl Iterator<Item = (&'c str, u64)> {
    let limit = options.max_word_chars;
    counts.iter().filter(move |(word, _)| word.len() <= limit || word.chars().count() <= limit)
}

/// Characters that occur often enough, in their order; `characters[i]` is symbol `i` in front, `len + i` further on.
fn alphabet(counts: &WordCounts, options: &Options) -> Vec<char> {
    if options.continuation_prefix.is_empty() {
        // Every byte, so that every text can be spelled.
        let mut letters: Vec<char> = (0..=255).map(byte_letters::letter).collect();
        letters.sort_unstable();
        return letters;
    }
    let mut totals: HashMap<char, u64> = HashMap::new();
    for (word, count) in short_words(counts, options) {
        word.chars().for_each(|c| *totals.entry(c).or_insert(0) += count);
    }
    let mut characters: Vec<char> =
        totals.into_iter().filter(|&(_, total)| total >= options.min_count).map(|(c, _)| c).collect();
    characters.sort_unstable();
    characters
}

fn spell(counts: &WordCounts, characters: &[char], options: &Options) -> PairCounts {
    let symbols: HashMap<char, Symbol> = characters.iter().zip(0..).map(|(&c, symbol)| (c, symbol)).collect();
    let mut pairs = PairCounts::new(options.min_count.max(1));
    let mut word_symbols = Vec::new();
    for (word, count) in short_words(counts, options) {
        word_symbols.clear();
        word_symbols.extend(word.chars().map_while(|c| symbols.get(&c)));
        if word_symbols.len() > 1 && word_symbols.len() == word.chars().count() {
            if !options.continuation_prefix.is_empty() {
                word_symbols[1..].iter_mut().for_each(|symbol| *symbol += characters.len() as Symbol);
            }
            pairs.push(word_symbols.iter().copied(), count);
        }
    }
    pairs.count(options.positions().len() * characters.len());
    pairs
}

/// Tokens while they are collected, each once, and what each symbol spells.
struct Tokens<'o> {
    prefix: &'o str,
    list: Vec<String>,
    known: HashSet<String>,
    symbols: Vec<(Position, String)>,
}

impl<'o> Tokens<'o> {
    fn new(options: &'o Options, characters: &[char]) -> Result<Self> {
        let prefix = &options.continuation_prefix;
        let mut tokens = Self { prefix, list: Vec::new(), known: HashSet::new(), symbols: Vec::new() };
        for (second, token) in (0..).zip(&options.special_tokens) {
            if let Some(first) = options.special_tokens[..second as usize].iter().position(|other| other == token) {
                return Err(Error::DuplicateToken { token: token.clone(), first: first as u32, second });
            }
            tokens.push(token.clone());
        }
        for &position in options.positions() {
            characters.iter().for_each(|c| tokens.symbol(position, c.to_string()));
        }
        if tokens.list.len() > options.vocab_size {
            return Err(Error::VocabularyTooSmall {
                size: options.vocab_size,
                minimum: tokens.list.len(),
                characters: characters.len(),
                special: options.special_tokens.len(),
            });
        }
        Ok(tokens)
    }

    fn push(&mut self, token: String) {
        if self.known.insert(token.clone()) {
            self.list.push(token);
        }
    }

    fn symbol(&mut self, position: Position, surface: String) {
        match position {
            Position::Continuation => self.push(format!("{}{surface}", self.prefix)),
            // In front, such a string would read as a continuation of something else.
            Position::Initial
                if !self.prefix.is_empty() && surface.len() > self.prefix.len() && surface.starts_with(self.prefix) => {
            }
            Position::Initial => self.push(surface.clone()),
        }
        self.symbols.push((position, surface));
    }

    fn merge(&mut self, left: Symbol, right: Symbol) {
        let (position, mut surface) = self.symbols[left as usize].clone();
        surface.push_str(&self.symbols[right as usize].1);
        self.symbol(position, surface);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(vocab_size: usize) -> Options {
        Options {
            vocab_size,
            min_count: 1,
            special_tokens: vec!["[UNK]".into()],
            continuation_prefix: "##".into(),
            max_word_chars: 100,
        }
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
        assert_eq!(small, Error::VocabularyTooSmall { size: 4, minimum: 5, characters: 2, special: 1 });
        let large = train(&words, &options(7)).expect_err("too large");
        assert_eq!(large, Error::VocabularyTooLarge { size: 7, available: 6, min_count: 1 });
        assert_eq!(train(&counts(&[]), &options(7)), Err(Error::NoWords));
    }

    #[test]
    fn refuses_counts_that_overflow_and_special_tokens_given_twice() {
        let huge = train(&counts(&[("ab", u64::MAX)]), &options(5)).expect_err("too large");
        assert_eq!(huge, Error::CountsTooLarge { bytes: 2 * u128::from(u64::MAX) });
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
