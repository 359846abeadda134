//! Python bindings of `tei-core`: conversions only, no algorithm.
use pyo3::prelude::*;

/// The compiled half of `tei`.
#[pymodule(gil_used = false)]
mod _core {}
