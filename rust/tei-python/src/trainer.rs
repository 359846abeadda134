//! Training: word counts in, tokens out.
use pyo3::prelude::*;
use tei_core::byte_words::{LONGEST, PATTERN};
use tei_core::rules::Rules;
use tei_core::trainer::{self, Options, Reason};

use crate::counts::WordCounts;
use crate::errors::to_python;

/// Tokens in id order, induced from word counts, each with why it is there and two numbers.
///
/// The numbers: how often a merged pair occurred, and 0; how often a chosen token is expected, and the tokens it saves.
#[pyfunction]
#[pyo3(signature = (counts, rules, *, vocab_size, min_count, special_tokens, required_tokens, continuation_prefix,
    max_word_chars, limit_alphabet=None, max_token_bytes=None, quality=true))]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub fn train(
    py: Python<'_>,
    counts: &WordCounts,
    rules: (Vec<Vec<String>>, Vec<Vec<String>>),
    vocab_size: usize,
    min_count: u64,
    special_tokens: Vec<String>,
    required_tokens: Vec<String>,
    continuation_prefix: String,
    max_word_chars: usize,
    limit_alphabet: Option<usize>,
    max_token_bytes: Option<usize>,
    quality: bool,
) -> PyResult<Vec<(String, &'static str, f64, f64)>> {
    let options = Options {
        vocab_size,
        min_count,
        special_tokens,
        required_tokens,
        continuation_prefix,
        max_word_chars,
        limit_alphabet: limit_alphabet.unwrap_or(usize::MAX),
        max_token_bytes: max_token_bytes.unwrap_or(usize::MAX),
        quality,
    };
    let rules = Rules::parse(&rules.0, &rules.1).map_err(|error| to_python(&error))?;
    let induced = py.detach(|| trainer::train(&counts.core, &rules, &options)).map_err(|error| to_python(&error))?;
    Ok(induced.into_iter().map(|(token, reason)| with_reason(token, reason)).collect())
}

fn with_reason(token: String, reason: Reason) -> (String, &'static str, f64, f64) {
    match reason {
        Reason::Special => (token, "special", 0.0, 0.0),
        Reason::Character => (token, "character", 0.0, 0.0),
        Reason::Required => (token, "required", 0.0, 0.0),
        Reason::Merged(count) => (token, "merged", count as f64, 0.0),
        Reason::Chosen(emitted, saved) => (token, "chosen", emitted, saved),
    }
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
