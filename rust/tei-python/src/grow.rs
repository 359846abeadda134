//! New tokens.
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use tei_core::grow::{Grown, Guard, Options};

use crate::counts::WordCounts;
use crate::encoder::Encoder;

/// Tokens to add after some have been removed, with what each saves; the greatest gain first.
///
/// base: words of text that no new token may change by more than a share of `max_changed`, nor lengthen any of its
/// `keep_top` most frequent words.
#[pyfunction]
#[pyo3(signature = (encoder, counts, removed, *, count, min_gain, max_pieces, base=None, max_changed=0.005, keep_top=0))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn grow(
    py: Python<'_>,
    encoder: &Encoder,
    counts: &WordCounts,
    removed: PyReadonlyArray1<'_, u32>,
    count: usize,
    min_gain: u64,
    max_pieces: usize,
    base: Option<&WordCounts>,
    max_changed: f64,
    keep_top: usize,
) -> PyResult<Vec<(String, u64)>> {
    let removed = removed.as_slice()?;
    let guard = base.map(|base| Guard { counts: &base.core, max_changed, keep_top });
    let options = Options { count, min_gain, max_pieces, guard };
    Ok(pairs(py.detach(|| tei_core::grow::grow(&encoder.core, &counts.core, removed, options))))
}

/// New tokens with what each saves.
pub fn pairs(grown: Vec<Grown>) -> Vec<(String, u64)> {
    grown.into_iter().map(|grown| (grown.token, grown.gain)).collect()
}
