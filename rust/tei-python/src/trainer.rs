//! Training: word counts in, tokens out.
use pyo3::prelude::*;
use tei_core::byte_words::{LONGEST, PATTERN};
use tei_core::rules::Rules;
use tei_core::trainer::{self, Options};

use crate::counts::WordCounts;
use crate::errors::to_python;

/// Tokens in id order, induced from word counts: special tokens, characters in both position classes, merges.
#[pyfunction]
#[pyo3(signature = (counts, *, vocab_size, min_count, special_tokens, continuation_prefix, max_word_chars))]
pub fn train(
    py: Python<'_>,
    counts: &WordCounts,
    vocab_size: usize,
    min_count: u64,
    special_tokens: Vec<String>,
    continuation_prefix: String,
    max_word_chars: usize,
) -> PyResult<Vec<String>> {
    let options = Options { vocab_size, min_count, special_tokens, continuation_prefix, max_word_chars };
    py.detach(|| trainer::train(&counts.core, &options)).map_err(|error| to_python(&error))
}

/// The words of the bytes scheme as an expression of Oniguruma, and the longest there are, in characters.
#[pyfunction]
pub fn byte_words() -> (&'static str, usize) {
    (PATTERN, LONGEST)
}

/// The letters of all bytes in their order.
#[pyfunction]
pub fn byte_letters() -> String {
    tei_core::byte_letters::from_bytes(&std::array::from_fn::<u8, 256, _>(|byte| byte as u8))
}

/// A text as words see it; the rules are those an encoder takes.
#[pyfunction]
pub fn normalize(text: &str, rules: (Vec<Vec<String>>, Vec<Vec<String>>)) -> PyResult<String> {
    let rules = Rules::parse(&rules.0, &rules.1).map_err(|error| to_python(&error))?;
    Ok(rules.normalize(text, 0).into_iter().map(|aligned| aligned.c).collect())
}
