//! Sub-word vocabularies that are induced from data, encode by longest match and keep adapting.
pub mod error;

pub use error::{Error, Result};

/// Number of a token, and of its row in an embedding.
pub type TokenId = u32;
