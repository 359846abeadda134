//! `WordCounts` and the counter that makes them.
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tei_core::tally::Tally;
use tei_core::word_counts::WordCounts as Core;

use crate::encoder::Encoder;
use crate::errors::to_python;
use crate::texts::Texts;

/// Distinct words with their counts, most frequent first; immutable.
#[pyclass(frozen, module = "tei._core")]
pub struct WordCounts {
    pub core: Core,
}

#[pymethods]
impl WordCounts {
    /// Counts from pairs of word and count; equal words are added up.
    #[staticmethod]
    fn from_pairs(pairs: Vec<(String, u64)>) -> Self {
        Self { core: Core::from_pairs(pairs) }
    }

    /// The `n` most frequent words with their counts; all if None.
    #[pyo3(signature = (n=None))]
    fn most_common(&self, n: Option<usize>) -> Vec<(&str, u64)> {
        self.core.iter().take(n.unwrap_or(usize::MAX)).collect()
    }

    /// Sum of all counts.
    fn total(&self) -> u64 {
        self.core.total()
    }

    /// The sum of two counts.
    fn merged(&self, py: Python<'_>, other: &Self) -> Self {
        Self { core: py.detach(|| self.core.merged(&other.core)) }
    }

    /// Every count times `factor`, rounded; what rounds to zero is left out.
    fn decayed(&self, py: Python<'_>, factor: f64) -> Self {
        Self { core: py.detach(|| self.core.decayed(factor)) }
    }

    /// The counts as bytes that carry their scheme, a version and a checksum.
    fn to_bytes<'py>(&self, py: Python<'py>, scheme: &str) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.core.to_bytes(scheme)))
    }

    /// Reads what `to_bytes` wrote: the counts and the scheme.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<(Self, String)> {
        let (core, scheme) = py.detach(|| Core::from_bytes(data)).map_err(|e| to_python(&e))?;
        Ok((Self { core }, scheme))
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.core == other.core
    }
}

/// Counts words batch by batch.
#[pyclass(frozen, module = "tei._core")]
pub struct WordCounter {
    tally: Mutex<Tally>,
}

#[pymethods]
impl WordCounter {
    /// Counts that take more than `memory_limit` bytes go to temporary files.
    #[new]
    #[pyo3(signature = (memory_limit=None))]
    fn new(memory_limit: Option<usize>) -> Self {
        Self { tally: Mutex::new(Tally::new(memory_limit)) }
    }

    /// Counts the words of texts as an encoder sees them; threads: 0 chooses by the size of the batch.
    fn add(&self, py: Python<'_>, encoder: &Encoder, texts: &Bound<'_, PyAny>, threads: usize) -> PyResult<()> {
        let batch = Texts::new(texts, false)?;
        let texts = batch.as_slice();
        py.detach(|| self.tally.lock().unwrap_or_else(PoisonError::into_inner).count(&encoder.core, texts, threads))
            .map_err(|error| to_python(&error))
    }

    /// What has been counted; the counter begins anew.
    fn finish(&self, py: Python<'_>) -> PyResult<WordCounts> {
        let finish = || std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner)).finish();
        py.detach(finish).map(|core| WordCounts { core }).map_err(|error| to_python(&error))
    }
}
