//! Python strings as Rust strings, without a copy where there is none to make.
use std::borrow::Cow;

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::errors::raise;

/// The strings of a batch, kept alive for as long as they are borrowed.
pub struct Texts<'py>(Vec<Bound<'py, PyString>>);

impl<'py> Texts<'py> {
    /// Takes the elements of a list, a tuple or any other iterable of `str`.
    pub fn new(texts: &Bound<'py, PyAny>) -> PyResult<Self> {
        if texts.is_instance_of::<PyString>() {
            let message = "texts is one str, not a sequence of them: put it in a list, or call encode".to_owned();
            return Err(raise("InvalidInputError", message));
        }
        let strings = if let Ok(list) = texts.cast::<PyList>() {
            list.iter().enumerate().map(string).collect::<PyResult<_>>()?
        } else if let Ok(tuple) = texts.cast::<PyTuple>() {
            tuple.iter().enumerate().map(string).collect::<PyResult<_>>()?
        } else {
            texts.try_iter()?.enumerate().map(|(i, item)| string((i, item?))).collect::<PyResult<_>>()?
        };
        Ok(Self(strings))
    }

    /// Borrows the strings.
    pub fn borrow(&self) -> PyResult<Vec<Cow<'_, str>>> {
        self.0.iter().map(text).collect()
    }
}

fn string((index, item): (usize, Bound<'_, PyAny>)) -> PyResult<Bound<'_, PyString>> {
    item.cast_into::<PyString>().map_err(|error| {
        let class = error.into_inner().get_type().to_string();
        raise("InvalidInputError", format!("texts[{index}] is {class}, not str: convert it first, or leave it out"))
    })
}

/// A Python string as UTF-8; a lone surrogate reads as U+FFFD, which has the same length and is no character either.
pub fn text<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    match string.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(string.py()) => {
            let bytes: Vec<u8> = string.call_method1("encode", ("utf-8", "surrogatepass"))?.extract()?;
            Ok(Cow::Owned(without_surrogates(bytes)))
        }
        Err(error) => Err(error),
    }
}

fn without_surrogates(mut bytes: Vec<u8>) -> String {
    for i in 0..bytes.len().saturating_sub(2) {
        if bytes[i] == 0xED && bytes[i + 1] >= 0xA0 {
            bytes[i..i + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
