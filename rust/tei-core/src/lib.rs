//! Sub-word vocabularies that are induced from data, encode by longest match and keep adapting.
//!
//! Text → [`steps`] → normalized text → [`splits`] → words → longest match over a [`trie`] → tokens → ids.
pub mod added_tokens;
pub mod arena;
pub mod batch;
pub mod blanks;
pub mod blocks;
pub mod boundaries;
pub mod broken;
pub mod byte_letters;
pub mod byte_words;
pub mod candidates;
pub mod decoder;
pub mod embedding;
pub mod encoder;
pub mod encoding;
pub mod error;
pub mod feed;
pub mod folder;
pub mod forecast;
pub mod grow;
pub mod helpers;
pub mod huge;
pub mod jsonl;
pub mod letters;
pub mod machine;
pub mod merges;
pub mod normalizer;
pub mod packed;
pub mod pair_counts;
pub mod parallel;
pub mod paths;
pub mod rows;
pub mod rules;
pub mod runs;
pub mod scanner;
pub mod segmentation;
pub mod selection;
pub mod separator;
pub mod short_counts;
pub mod span;
pub mod splits;
pub mod steps;
pub mod tally;
pub mod text_file;
pub mod tracker;
pub mod trainer;
pub mod trie;
pub mod trim;
pub mod unicode;
pub mod usage;
pub mod utf8;
pub mod vocabulary;
pub mod word_cache;
pub mod word_counts;

pub use error::{Error, Result};

/// Number of a token, and of its row in an embedding.
pub type TokenId = u32;

/// A number drawn once for each process, so that no text can be made to collide in a hash table on purpose.
fn seed() -> u64 {
    use std::hash::BuildHasher;
    static SEED: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| std::hash::RandomState::new().hash_one(0));
    *SEED
}
