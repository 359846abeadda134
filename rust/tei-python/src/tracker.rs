//! Words whose segmentation is kept.
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use tei_core::tracker::Tracker as Core;

use crate::counts::WordCounts;
use crate::encoder::Encoder;
use crate::grow::pairs;
use crate::trim::{Columns, asked, columns};
use crate::usage::{Figures, figures};

/// Words under the vocabulary of an encoder: adding and planning cost what is new, not what is known.
///
/// Each call takes the encoder that the words are segmented by: the first one, or that of the last `apply`.
#[pyclass(frozen, module = "tei._core")]
pub struct Tracker {
    core: Mutex<Core>,
}

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Tracker {
    /// Segments each word once; new tokens are made of at most `max_pieces` pieces.
    #[new]
    fn new(py: Python<'_>, encoder: &Encoder, counts: &WordCounts, max_pieces: usize) -> Self {
        Self { core: Mutex::new(py.detach(|| Core::new(&encoder.core, &counts.core, max_pieces))) }
    }

    /// Adds counts of new text.
    fn add(&self, py: Python<'_>, encoder: &Encoder, counts: &WordCounts) {
        py.detach(|| self.lock().add(&encoder.core, &counts.core));
    }

    /// All words so far.
    fn counts(&self, py: Python<'_>) -> WordCounts {
        WordCounts { core: py.detach(|| self.lock().counts()) }
    }

    /// As `count_usage` of all words.
    fn usage<'py>(&self, py: Python<'py>) -> Figures<'py> {
        figures(py, py.detach(|| self.lock().usage()))
    }

    /// As `alphabet` of all words.
    fn alphabet<'py>(&self, py: Python<'py>, encoder: &Encoder) -> Bound<'py, PyArray1<bool>> {
        py.detach(|| self.lock().alphabet(&encoder.core)).into_pyarray(py)
    }

    /// As `trim_order` of all words.
    #[pyo3(signature = (encoder, protected, rows=None, most=None))]
    fn trim_order<'py>(
        &self,
        py: Python<'py>,
        encoder: &Encoder,
        protected: PyReadonlyArray1<'py, bool>,
        rows: Option<PyReadonlyArray2<'py, f32>>,
        most: Option<usize>,
    ) -> PyResult<Columns<'py>> {
        let options = asked(encoder, &protected, rows.as_ref(), most)?;
        Ok(columns(py, py.detach(|| self.lock().trim_order(&encoder.core, options))))
    }

    /// As `grow` of all words.
    #[pyo3(signature = (encoder, removed, *, count, min_gain))]
    fn grow(
        &self,
        py: Python<'_>,
        encoder: &Encoder,
        removed: PyReadonlyArray1<'_, u32>,
        count: usize,
        min_gain: u64,
    ) -> PyResult<Vec<(String, u64)>> {
        let removed = removed.as_slice()?;
        Ok(pairs(py.detach(|| self.lock().grow(&encoder.core, removed, count, min_gain))))
    }

    /// Goes on with the encoder after a plan; `id_map` has the new id of each token before, or -1.
    fn apply(
        &self,
        py: Python<'_>,
        before: &Encoder,
        after: &Encoder,
        id_map: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<()> {
        let ids: Vec<_> = id_map.as_slice()?.iter().map(|&id| u32::try_from(id).ok()).collect();
        py.detach(|| self.lock().apply(&before.core, &after.core, &ids));
        Ok(())
    }
}
