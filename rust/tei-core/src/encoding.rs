//! The result of encoding one text with all its detail, as columns.
use crate::TokenId;

/// Ids with their place in the text; the columns are of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<TokenId>,
    /// Byte spans in the source text.
    pub offsets: Vec<(usize, usize)>,
    /// Number of the word each token belongs to; an added token is a word of its own.
    pub word_ids: Vec<u32>,
    words: u32,
    /// Whether offsets are trimmed as if each token were the first of a row.
    heads: bool,
}

impl Encoding {
    /// An encoding to come, whose offsets are trimmed as if each token were the first of a row, or only the first one is.
    #[must_use]
    pub fn trimmed_as(heads: bool) -> Self {
        Self { heads, ..Self::default() }
    }

    /// Whether offsets of the token that comes after so many others are trimmed as those of a row's first one.
    #[must_use]
    pub fn is_first(&self, after: usize) -> bool {
        self.heads || (self.ids.is_empty() && after == 0)
    }

    /// Appends all of an encoding of a later part of the text, which begins at byte `at`.
    pub fn append(&mut self, part: &Self, at: usize) {
        self.ids.extend_from_slice(&part.ids);
        self.offsets.extend(part.offsets.iter().map(|(start, end)| (start + at, end + at)));
        self.word_ids.extend(part.word_ids.iter().map(|word| self.words + word));
        self.words += part.words;
    }

    /// Keeps the first ids.
    pub fn truncate(&mut self, limit: usize) {
        self.ids.truncate(limit);
        self.offsets.truncate(limit);
        self.word_ids.truncate(limit);
    }

    /// Appends the tokens of one word, each with its byte span.
    pub fn push_word(&mut self, tokens: &[(TokenId, usize, usize)]) {
        for &(id, start, end) in tokens {
            self.ids.push(id);
            self.offsets.push((start, end));
            self.word_ids.push(self.words);
        }
        self.words += 1;
    }
}
