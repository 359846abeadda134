//! What can go wrong, as data; text is made late, and Python exceptions only in the binding crate.

/// Result of a fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every error names the culprit, the value, the limit and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A token occurs twice in a vocabulary.
    #[error("token {token:?} has two ids, {first} and {second}: remove one of them")]
    DuplicateToken {
        /// The token.
        token: String,
        /// Its first id.
        first: u32,
        /// Its second id.
        second: u32,
    },
    /// The unknown token is not part of the vocabulary.
    #[error("unknown token {token:?} is not in the vocabulary of {size} tokens: add it, or name the one the vocabulary uses")]
    NoUnknownToken {
        /// The unknown token asked for.
        token: String,
        /// Size of the vocabulary.
        size: usize,
    },
    /// An added token has no text.
    #[error("added token {id} has an empty text: remove it or give it one")]
    EmptyAddedToken {
        /// Its id.
        id: u32,
    },
    /// The automaton over the added tokens cannot be built.
    #[error("{count} added tokens are too many to match in text ({reason}): make them part of the vocabulary instead")]
    TooManyAddedTokens {
        /// How many there are.
        count: usize,
        /// What the automaton's builder says.
        reason: String,
    },
    /// A matrix of weights has fewer rows than the vocabulary tokens.
    #[error("weights have {rows} rows, the vocabulary {tokens} tokens: give the embedding that belongs to this tokenizer")]
    RowsMismatch {
        /// Rows of the matrix.
        rows: usize,
        /// Tokens of the vocabulary.
        tokens: usize,
    },
    /// A weight is infinite or no number.
    #[error("weights hold {value} in row {row}: all rows of tokens must be finite")]
    RowNotFinite {
        /// Where it is.
        row: usize,
        /// What it is.
        value: String,
    },
}
