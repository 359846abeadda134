//! Sub-word vocabularies that are induced from data, encode by longest match and keep adapting.
//!
//! Text → [`normalizer`] → normalized text → words → longest match over a [`trie`] → tokens → ids.
pub mod added_tokens;
pub mod boundaries;
pub mod decoder;
pub mod encoder;
pub mod encoding;
pub mod error;
pub mod folder;
pub mod grow;
pub mod huge;
pub mod machine;
pub mod merges;
pub mod normalizer;
pub mod packed;
pub mod pair_counts;
pub mod parallel;
pub mod scanner;
pub mod segmentation;
pub mod span;
pub mod trainer;
pub mod trie;
pub mod trim;
pub mod unicode;
pub mod usage;
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
