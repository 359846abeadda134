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
}

impl Encoding {
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
