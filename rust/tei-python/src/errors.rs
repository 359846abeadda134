//! The only place where errors of the core become Python exceptions.
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use tei_core::Error;

/// Name of the class in `tei.errors` that an error is raised as.
fn class_name(error: &Error) -> &'static str {
    match error {
        Error::DuplicateToken { .. }
        | Error::NoUnknownToken { .. }
        | Error::NoByteString { .. }
        | Error::MissingBytes { .. } => "VocabularyError",
        Error::UnknownStep { .. } => "UnsupportedError",
        Error::NoWords => "EmptySourceError",
        Error::VocabularyTooSmall { .. } | Error::VocabularyTooLarge { .. } => "SizeError",
        Error::NoSpill { .. } => "StorageError",
        Error::BrokenCounts { .. } | Error::Unreadable { .. } | Error::NotJson { .. } => "FileFormatError",
        Error::NotUtf8 { .. } => "EncodingError",
        Error::RowsMismatch { .. } => "MismatchError",
        _ => "InvalidInputError",
    }
}

/// Makes the Python exception of a core error.
pub fn to_python(error: &Error) -> PyErr {
    if matches!(error, Error::NoMemory { .. }) {
        return PyMemoryError::new_err(error.to_string());
    }
    raise(class_name(error), error.to_string())
}

/// Makes an exception of a class of `tei.errors`.
pub fn raise(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let class = py.import("tei.errors").and_then(|module| module.getattr(class));
        match class.and_then(|class| class.call1((message.as_str(),))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(_) => PyRuntimeError::new_err(message),
        }
    })
}
