//! Texts straight from files: no Python object per text.
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use tei_core::batch::Rows as Core;
use tei_core::text_file::{Layout, TextFile as CoreFile};

use crate::encoder::Encoder;
use crate::errors::{raise, to_python};
use crate::texts::encode_batch;

/// Ids of all rows, and where each row begins.
type Arrays<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i64>>);

/// A file of texts, read from front to back.
#[pyclass(frozen, module = "tei._core")]
pub struct TextFile {
    file: Mutex<CoreFile<Source>>,
    /// What a Python file raised.
    raised: Arc<Mutex<Option<PyErr>>>,
}

#[pymethods]
impl TextFile {
    /// Opens a file.
    ///
    /// separator: what stands between two texts; None: the file is one text.
    /// field: if not None, a line is a JSON object that has the text in this field, and there is no other separator.
    /// stream: a Python file to read instead of the one at `path`, opened for bytes.
    #[new]
    #[pyo3(signature = (path, *, separator, field, stream=None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        separator: Option<&str>,
        field: Option<String>,
        stream: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let layout = match (field, separator) {
            (Some(field), _) => Layout::json(field),
            (None, None) => Layout::whole(),
            (None, Some(separator)) => Layout::separated(separator).ok_or_else(|| {
                raise("InvalidInputError", "separator is empty: give at least one character, or None".into())
            })?,
        };
        let (name, raised) = (path.display().to_string(), Arc::default());
        let (source, size) = match stream {
            Some(stream) => (Source::Python(stream, Arc::clone(&raised)), usize::MAX),
            None => py.detach(|| open(&path)).map_err(|reason| {
                to_python(&tei_core::Error::Unreadable { file: name.clone(), reason: reason.to_string() })
            })?,
        };
        Ok(Self { file: Mutex::new(CoreFile::new(source, size, name, layout)), raised })
    }

    /// Leaves out the next texts; returns how many there were.
    fn skip(&self, py: Python<'_>, texts: usize) -> PyResult<usize> {
        self.with(py, |file| file.skip(texts))
    }
}

impl TextFile {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        run: impl FnOnce(&mut CoreFile<Source>) -> tei_core::Result<T> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| run(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner)));
        let raised = || self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.map_err(|error| raised().unwrap_or_else(|| to_python(&error)))
    }
}

/// Rows of ids that grow.
#[pyclass(frozen, module = "tei._core")]
pub struct Rows {
    core: Mutex<Core>,
}

#[pymethods]
impl Rows {
    #[new]
    fn new() -> Self {
        Self { core: Mutex::new(Core::empty()) }
    }

    /// Appends a row for each of the next texts of a file, of about `limit` bytes in all; false if they were the last.
    ///
    /// threads: 0 chooses by the limit.
    fn read(&self, py: Python<'_>, encoder: &Encoder, file: &TextFile, threads: usize, limit: usize) -> PyResult<bool> {
        file.with(py, |file| {
            let mut rows = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            file.encode(&encoder.core, threads, limit, &mut rows)
        })
    }

    /// Appends a row for each text; threads: 0 chooses by the size of the batch.
    fn add(&self, encoder: &Encoder, texts: &Bound<'_, PyAny>, threads: usize) -> PyResult<()> {
        encode_batch(texts, &encoder.core, None, threads, |mut part| {
            part.ends.remove(0);
            self.core.lock().unwrap_or_else(PoisonError::into_inner).take(&mut part);
        })
    }

    /// The ids and the offsets of the rows in them, which begin anew.
    fn take<'py>(&self, py: Python<'py>) -> Arrays<'py> {
        // Without the GIL: who holds the lock may be waiting for it, to read from Python.
        let (ids, row_offsets) = py.detach(|| {
            let mut rows = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *rows, Core::empty()).finish()
        });
        (ids.into_pyarray(py), row_offsets.into_pyarray(py))
    }
}

fn open(path: &Path) -> io::Result<(Source, usize)> {
    let file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    Ok((Source::File(file), size))
}

/// Where the bytes of a file come from.
enum Source {
    File(File),
    /// A Python file, and where to leave what it raises.
    Python(Py<PyAny>, Arc<Mutex<Option<PyErr>>>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Python(file, raised) => Python::attach(|py| read(file.bind(py), buffer)).map_err(|error| {
                *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::Error::other("it raised")
            }),
        }
    }
}

fn read(file: &Bound<'_, PyAny>, buffer: &mut [u8]) -> PyResult<usize> {
    let bytes = file.call_method1("read", (buffer.len(),))?;
    let bytes: &[u8] = bytes.extract()?;
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    Ok(len)
}
