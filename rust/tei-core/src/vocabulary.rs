//! Token ↔ id, with the two position classes of a word: *initial* tokens begin it, *continuation* tokens go on.
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::{Error, Result, TokenId};

/// Where in a word a token may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Position {
    /// At the beginning.
    Initial,
    /// After another token.
    Continuation,
}

/// An immutable set of tokens with ids dense from 0.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    text: String,
    ends: Vec<usize>,
    index: HashTable<TokenId>,
    hasher: RandomState,
    prefix: String,
    unknown: TokenId,
}

impl Vocabulary {
    /// A vocabulary of `tokens` in id order; a token that begins with `continuation_prefix` is a continuation.
    ///
    /// Without a prefix all tokens are of one class, initial, and may stand anywhere. Without an `unknown_token` the
    /// tokens must spell every word.
    ///
    /// # Errors
    /// [`Error::DuplicateToken`] or [`Error::NoUnknownToken`].
    pub fn new<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = T>,
        continuation_prefix: &str,
        unknown_token: &str,
    ) -> Result<Self> {
        let tokens = tokens.into_iter();
        let mut vocabulary = Self {
            text: String::new(),
            ends: Vec::with_capacity(tokens.size_hint().0),
            index: HashTable::with_capacity(tokens.size_hint().0),
            hasher: RandomState::new(),
            prefix: continuation_prefix.to_owned(),
            unknown: 0,
        };
        for token in tokens {
            vocabulary.push(token.as_ref())?;
        }
        if unknown_token.is_empty() {
            return Ok(vocabulary);
        }
        let size = vocabulary.len();
        let missing = || Error::NoUnknownToken { token: unknown_token.to_owned(), size };
        vocabulary.unknown = vocabulary.id(unknown_token).ok_or_else(missing)?;
        Ok(vocabulary)
    }

    /// The same vocabulary with further tokens, whose ids follow the last one.
    ///
    /// # Errors
    /// [`Error::DuplicateToken`].
    pub fn extended<T: AsRef<str>>(&self, tokens: &[T]) -> Result<Self> {
        let mut vocabulary = self.clone();
        tokens.iter().try_for_each(|token| vocabulary.push(token.as_ref()))?;
        Ok(vocabulary)
    }

    fn push(&mut self, token: &str) -> Result<()> {
        let id = self.len() as TokenId;
        if let Some(first) = self.id(token) {
            return Err(Error::DuplicateToken { token: token.to_owned(), first, second: id });
        }
        self.text.push_str(token);
        self.ends.push(self.text.len());
        let hash = self.hasher.hash_one(token);
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |&id| hasher.hash_one(slice(text, ends, id as usize)));
        Ok(())
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The token of an id, if there is one.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<&str> {
        ((id as usize) < self.len()).then(|| self.token(id))
    }

    /// The token of an id.
    ///
    /// # Panics
    /// If the id is not below [`Vocabulary::len`].
    #[must_use]
    pub fn token(&self, id: TokenId) -> &str {
        slice(&self.text, &self.ends, id as usize)
    }

    /// The id of a token.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<TokenId> {
        self.index.find(self.hasher.hash_one(token), |&id| self.token(id) == token).copied()
    }

    /// All tokens in id order.
    #[must_use]
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| slice(&self.text, &self.ends, i))
    }

    /// What a token spells, and where in a word it may do so.
    ///
    /// # Panics
    /// If the id is not below [`Vocabulary::len`].
    #[must_use]
    pub fn surface(&self, id: TokenId) -> (&str, Position) {
        self.split_surface(self.token(id))
    }

    /// What a token of any vocabulary with this prefix spells; the prefix alone spells itself.
    #[must_use]
    pub fn split_surface<'t>(&self, token: &'t str) -> (&'t str, Position) {
        match token.strip_prefix(&self.prefix) {
            Some(rest) if !rest.is_empty() && !self.prefix.is_empty() => (rest, Position::Continuation),
            _ => (token, Position::Initial),
        }
    }

    /// The class of tokens that come after another.
    #[must_use]
    pub fn later(&self) -> Position {
        if self.prefix.is_empty() { Position::Initial } else { Position::Continuation }
    }

    /// The tokens without those `removed` and then those `added`, each after its length: what fingerprints are made of.
    ///
    /// The length is of four bytes, the least first.
    #[must_use]
    pub fn framed<T: AsRef<str>>(&self, removed: &[TokenId], added: &[T]) -> Vec<u8> {
        let mut stays = vec![true; self.len()];
        removed.iter().for_each(|&id| stays[id as usize] = false);
        let kept = self.tokens().zip(stays).filter(|(_, stays)| *stays).map(|(token, _)| token);
        let mut framed = Vec::with_capacity(self.text.len() + 4 * self.len());
        for token in kept.chain(added.iter().map(AsRef::as_ref)) {
            framed.extend_from_slice(&(token.len() as u32).to_le_bytes());
            framed.extend_from_slice(token.as_bytes());
        }
        framed
    }

    /// Characters that tokens spell, first those of the vocabulary, then others; at least 1.
    #[must_use]
    pub fn lengths<T: AsRef<str>>(&self, others: &[T]) -> Vec<u32> {
        let tokens = self.tokens().chain(others.iter().map(AsRef::as_ref));
        tokens.map(|token| self.split_surface(token).0.chars().count().max(1) as u32).collect()
    }

    /// The id of the unknown token; 0 if there is none.
    #[must_use]
    pub fn unknown(&self) -> TokenId {
        self.unknown
    }

    /// What a continuation token begins with.
    #[must_use]
    pub fn continuation_prefix(&self) -> &str {
        &self.prefix
    }
}

fn slice<'t>(text: &'t str, ends: &[usize], i: usize) -> &'t str {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &text[start..ends[i]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_tokens_ids_and_positions() {
        let vocabulary = Vocabulary::new(["[UNK]", "play", "##ing", "##"], "##", "[UNK]").expect("valid");
        assert_eq!(vocabulary.id("##ing"), Some(2));
        assert_eq!(vocabulary.surface(2), ("ing", Position::Continuation));
        assert_eq!(vocabulary.surface(3), ("##", Position::Initial));
        assert_eq!((vocabulary.get(4), vocabulary.unknown()), (None, 0));
    }

    #[test]
    fn refuses_duplicates_and_a_missing_unknown_token() {
        let twice = Vocabulary::new(["a", "b", "a"], "##", "a").err();
        assert_eq!(twice, Some(Error::DuplicateToken { token: "a".into(), first: 0, second: 2 }));
        let missing = Vocabulary::new(["a"], "##", "[UNK]").err();
        assert_eq!(missing, Some(Error::NoUnknownToken { token: "[UNK]".into(), size: 1 }));
    }
}
