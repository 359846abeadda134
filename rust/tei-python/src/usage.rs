//! Usage, spelling and splitting of counts.
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tei_core::usage::{self, Usage};

use crate::counts::WordCounts;
use crate::encoder::Encoder;

/// How often each token is emitted, and words, tokens, unknown words, characters and bytes of all occurrences.
pub type Figures<'py> = (Bound<'py, PyArray1<u64>>, u64, u64, u64, u64, u64);
/// Ids one after the other, and where each token's ids begin, with the end last.
type Spellings<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<i64>>);

/// What words emit under the vocabulary of an encoder, without the tokens `removed`.
#[pyfunction]
pub fn count_usage<'py>(
    py: Python<'py>,
    encoder: &Encoder,
    counts: &WordCounts,
    removed: PyReadonlyArray1<'py, u32>,
) -> PyResult<Figures<'py>> {
    let removed = removed.as_slice()?;
    Ok(figures(py, py.detach(|| Usage::new(&encoder.core, &counts.core, removed))))
}

/// Usage as an array and numbers.
pub fn figures(py: Python<'_>, usage: Usage) -> Figures<'_> {
    let Usage { emitted, words, tokens, unknown_words, characters, bytes } = usage;
    (emitted.into_pyarray(py), words, tokens, unknown_words, characters, bytes)
}

/// Marks tokens of one character, in any position, that is printable ASCII or occurs in the words.
#[pyfunction]
pub fn alphabet<'py>(py: Python<'py>, encoder: &Encoder, counts: &WordCounts) -> Bound<'py, PyArray1<bool>> {
    py.detach(|| usage::alphabet(&encoder.core, &counts.core)).into_pyarray(py)
}

/// Spells tokens by others, after some have been removed and some added; ids of added ones follow the vocabulary's.
#[pyfunction]
pub fn spell<'py>(
    py: Python<'py>,
    encoder: &Encoder,
    removed: PyReadonlyArray1<'py, u32>,
    added: Vec<String>,
    tokens: Vec<String>,
) -> PyResult<Spellings<'py>> {
    let removed = removed.as_slice()?;
    let (pieces, ends) = py.detach(|| usage::spell(&encoder.core, removed, &added, &tokens));
    let ends: Vec<i64> = ends.into_iter().map(|end| end as i64).collect();
    Ok((pieces.into_pyarray(py), ends.into_pyarray(py)))
}

/// Tokens of an encoder without some, then others, each after its length in four bytes: what fingerprints are made of.
#[pyfunction]
pub fn framed<'py>(py: Python<'py>, encoder: &Encoder, removed: Vec<u32>, added: Vec<String>) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &encoder.core.vocabulary().framed(&removed, &added))
}

/// Characters that the tokens of an encoder spell, and then other tokens; at least 1.
#[pyfunction]
pub fn lengths<'py>(py: Python<'py>, encoder: &Encoder, others: Vec<String>) -> Bound<'py, PyArray1<u32>> {
    encoder.core.vocabulary().lengths(&others).into_pyarray(py)
}

/// The words that each of some texts is cut into.
#[pyfunction]
pub fn split_words(py: Python<'_>, encoder: &Encoder, texts: Vec<String>) -> Vec<Vec<String>> {
    py.detach(|| usage::split_words(&encoder.core, &texts))
}

/// Splits counts into the larger part and a part of about `share`, the same for the same seed.
#[pyfunction]
pub fn hold_out(py: Python<'_>, counts: &WordCounts, share: f64, seed: u64) -> (WordCounts, WordCounts) {
    let (rest, held) = py.detach(|| usage::hold_out(&counts.core, share, seed));
    (WordCounts { core: rest }, WordCounts { core: held })
}
