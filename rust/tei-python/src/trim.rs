//! The order in which tokens are given up.
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use tei_core::embedding::Rows;
use tei_core::trim::{self, Options, TrimOrder};

use crate::counts::WordCounts;
use crate::encoder::Encoder;
use crate::errors::{raise, to_python};

/// Token ids, and for each: its uses and cost just before it goes, tokens and unknown words after it is gone.
pub type Columns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<u64>>,
);

/// Orders tokens that are not protected by what giving them up costs; rows are float32 in C order.
///
/// most: how many come at most; None: all.
#[pyfunction]
#[pyo3(signature = (encoder, counts, protected, rows=None, most=None))]
pub fn trim_order<'py>(
    py: Python<'py>,
    encoder: &Encoder,
    counts: &WordCounts,
    protected: PyReadonlyArray1<'py, bool>,
    rows: Option<PyReadonlyArray2<'py, f32>>,
    most: Option<usize>,
) -> PyResult<Columns<'py>> {
    let options = asked(encoder, &protected, rows.as_ref(), most)?;
    Ok(columns(py, py.detach(|| trim::trim_order(&encoder.core, &counts.core, options))))
}

/// Gives up tokens in a given order and measures it on the words.
#[pyfunction]
#[pyo3(signature = (encoder, counts, order, rows=None))]
pub fn trim_along<'py>(
    py: Python<'py>,
    encoder: &Encoder,
    counts: &WordCounts,
    order: PyReadonlyArray1<'py, u32>,
    rows: Option<PyReadonlyArray2<'py, f32>>,
) -> PyResult<Columns<'py>> {
    let (order, rows) = (order.as_slice()?, view(encoder, rows.as_ref())?);
    Ok(columns(py, py.detach(|| trim::trim_along(&encoder.core, &counts.core, rows, order))))
}

/// How often each token is expected in as much text again: uses by id, and the number of words they come from.
#[pyfunction]
#[pyo3(signature = (encoder, uses, words, rows=None))]
pub fn forecast<'py>(
    py: Python<'py>,
    encoder: &Encoder,
    uses: PyReadonlyArray1<'py, i64>,
    words: u64,
    rows: Option<PyReadonlyArray2<'py, f32>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (vocabulary, rows) = (encoder.core.vocabulary(), view(encoder, rows.as_ref())?);
    if uses.len() != vocabulary.len() {
        let message = format!("uses are of {} tokens, the vocabulary has {}", uses.len(), vocabulary.len());
        return Err(raise("InvalidInputError", message));
    }
    let uses: Vec<u64> = uses.as_slice()?.iter().map(|&count| count.cast_unsigned()).collect();
    Ok(py.detach(|| tei_core::forecast::forecast(vocabulary, &uses, words, rows)).into_pyarray(py))
}

/// What trimming goes by.
pub fn asked<'a>(
    encoder: &Encoder,
    protected: &'a PyReadonlyArray1<'_, bool>,
    rows: Option<&'a PyReadonlyArray2<'_, f32>>,
    most: Option<usize>,
) -> PyResult<Options<'a>> {
    let (protected, rows) = (protected.as_slice()?, view(encoder, rows)?);
    Ok(Options { protected, rows, most: most.unwrap_or(usize::MAX) })
}

fn view<'a>(encoder: &Encoder, rows: Option<&'a PyReadonlyArray2<'_, f32>>) -> PyResult<Option<Rows<'a>>> {
    let Some(rows) = rows else { return Ok(None) };
    let (values, dim, tokens) = (rows.as_slice()?, rows.shape()[1], encoder.core.vocabulary().len());
    Rows::new(values, dim, tokens).map(Some).map_err(|error| to_python(&error))
}

/// An order as arrays.
pub fn columns(py: Python<'_>, trimmed: TrimOrder) -> Columns<'_> {
    let TrimOrder { order, uses, costs, tokens, unknown_words } = trimmed;
    (
        order.into_pyarray(py),
        uses.into_pyarray(py),
        costs.into_pyarray(py),
        tokens.into_pyarray(py),
        unknown_words.into_pyarray(py),
    )
}
