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
    #[error(
        "unknown token {token:?} is not in the vocabulary of {size} tokens: add it, or name the one the vocabulary uses"
    )]
    NoUnknownToken {
        /// The unknown token asked for.
        token: String,
        /// Size of the vocabulary.
        size: usize,
    },
    /// A step of normalization or pre-tokenization that is not known.
    #[error("{kind} step {step:?} is not known or lacks an argument: write it as `tei.Scheme` describes")]
    UnknownStep {
        /// What kind of step.
        kind: &'static str,
        /// Its words.
        step: String,
    },
    /// A token of the bytes scheme is not written in letters of bytes.
    #[error(
        "token {token:?} is no byte string: write each byte as its letter of GPT-2 ('Ġ' for a blank), or declare the \
         token as an added one"
    )]
    NoByteString {
        /// The token.
        token: String,
    },
    /// A vocabulary of the bytes scheme cannot spell every text.
    #[error("the vocabulary lacks {count} of the 256 bytes, the first is {byte:#04x} ({letter:?}): add them")]
    MissingBytes {
        /// The first byte without a token.
        byte: u8,
        /// How it is written.
        letter: char,
        /// How many there are.
        count: usize,
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
    /// There is nothing to induce a vocabulary from.
    #[error("there is no word to induce a vocabulary from: count a text that is not blank")]
    NoWords,
    /// Sums of counts do not fit into 64 bits.
    #[error("the counted words have {bytes} bytes in all, more than {limit}: scale the counts down")]
    CountsTooLarge {
        /// Bytes of all occurrences of all words.
        bytes: u128,
        /// Most that can be summed up.
        limit: u64,
    },
    /// The vocabulary asked for cannot hold what it must.
    #[error(
        "a vocabulary of {size} tokens cannot hold {special} special tokens, {required} required ones, and {characters} \
         characters in the position classes they occur in: ask for at least {minimum}, or raise min_count or lower \
         limit_alphabet to drop rare characters"
    )]
    VocabularyTooSmall {
        /// Size asked for.
        size: usize,
        /// Least size that is possible.
        minimum: usize,
        /// Number of distinct characters to hold.
        characters: usize,
        /// Number of special tokens.
        special: usize,
        /// Number of required tokens.
        required: usize,
    },
    /// The words do not offer as many tokens as asked for.
    #[error(
        "a vocabulary of {size} tokens cannot be filled: the words offer {available} with min_count {min_count}; \
         ask for at most {available}, lower min_count or give more text"
    )]
    VocabularyTooLarge {
        /// Size asked for.
        size: usize,
        /// Greatest size that is possible.
        available: usize,
        /// Least count of a pair that is merged.
        min_count: u64,
    },
    /// Counts that memory is not to hold cannot go to disk.
    #[error(
        "word counts beyond memory_limit cannot go to temporary files in {directory:?}: {reason}; free space there, \
         name another directory in TMPDIR, or raise memory_limit"
    )]
    NoSpill {
        /// Where the files are.
        directory: String,
        /// What the system says.
        reason: String,
    },
    /// Bytes that should hold word counts do not.
    #[error("word counts cannot be read from these bytes: {reason}; count again, or restore them from a copy")]
    BrokenCounts {
        /// What is wrong with them.
        reason: String,
    },
    /// A matrix of weights has fewer rows than the vocabulary tokens.
    #[error(
        "weights have {rows} rows, the vocabulary {tokens} tokens: give the embedding that belongs to this tokenizer"
    )]
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
    /// Truncation leaves nothing of the text it cuts.
    #[error(
        "truncation={strategy:?} leaves nothing of the text in row {row}: its partner takes all {room} places; raise \
         max_length, or use \"longest_first\""
    )]
    NothingLeft {
        /// Number of the pair.
        row: usize,
        /// How many tokens of text a row may hold.
        room: usize,
        /// What was asked for.
        strategy: &'static str,
    },
    /// Truncation asks for a second text where there is none.
    #[error("truncation=\"only_second\" cannot cut the only text of row {row} to {room} tokens: use \"only_first\"")]
    NoSecondText {
        /// Number of the text.
        row: usize,
        /// How many of its tokens may stay.
        room: usize,
    },
    /// Windows that overlap this much would never end.
    #[error("stride is {stride}, must be below the {kept} tokens of text in a row: lower it, or raise max_length")]
    StrideTooLong {
        /// Tokens that windows have in common.
        stride: usize,
        /// Tokens of each window.
        kept: usize,
    },
    /// Rows are padded to more than any memory holds.
    #[error(
        "{rows} rows padded to {width} ids have more than {limit} items: lower max_length or pad_to_multiple_of, or give \
         fewer texts"
    )]
    RowsTooLong {
        /// Number of rows.
        rows: usize,
        /// What they are padded to.
        width: usize,
        /// Most items they may have in all.
        limit: usize,
    },
    /// The system has no memory for an array of rows.
    #[error(
        "{rows} rows need {bytes} bytes for each array, which the system does not give: lower max_length or \
         pad_to_multiple_of, or give fewer texts"
    )]
    NoMemory {
        /// Number of rows.
        rows: usize,
        /// Bytes of one array.
        bytes: usize,
    },
    /// Row offsets do not describe rows of an array.
    #[error("row offset {row} is {offset}: offsets must begin at 0 or later, ascend, and end within the {len} ids")]
    BrokenOffsets {
        /// Number of the offset.
        row: usize,
        /// Its value, -1 if there is none.
        offset: i64,
        /// Number of ids.
        len: usize,
    },
    /// A file cannot be read.
    #[error("cannot read {file}: {reason}; give a readable file of text or JSONL, plain or .gz, .xz, .zst")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// A file is not UTF-8.
    #[error("{file} is not UTF-8: byte {byte:#04x} at offset {offset}; convert the file to UTF-8 first")]
    NotUtf8 {
        /// The file.
        file: String,
        /// The first byte that is part of no character.
        byte: u8,
        /// Where it is in the file, once unpacked.
        offset: u64,
    },
    /// A line of a JSONL file is not JSON.
    #[error("{file}, line {line} is not JSON: {reason}")]
    NotJson {
        /// The file.
        file: String,
        /// Number of the line, from 1 on.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A line of a JSONL file has no text in the field asked for.
    #[error("{file}, line {line} has no text in field {field:?}, only {found}: name the field that holds the text")]
    NoText {
        /// The file.
        file: String,
        /// Number of the line, from 1 on.
        line: usize,
        /// Name of the field.
        field: String,
        /// What there is instead.
        found: String,
    },
}
