//! `assemble`: arrays of ids in, padded model inputs out.
use numpy::ndarray::ArrayView1;
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use tei_core::arena::Array;
use tei_core::rows::{Item, Layout, Padding, Part, Strategy, Truncation, checked_offsets};

use crate::errors::{raise, to_python};

/// Ids of all rows, and where each row begins.
type Rows<'py> = (PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i64>);

/// Puts texts (ids and row offsets; two of them for pairs) between special tokens, cut and padded.
///
/// parts: id of a special token or None, number of the text, token type.
/// truncation: strategy, places for text, stride, whether the rest makes rows of its own.
/// padding: least width (None: the longest row), multiple, whether it comes first; the id is `pad_id`.
/// columns: which of `input_ids`, `token_type_ids`, `attention_mask`, `special_tokens_mask` and `sources` to write;
/// `sources` says where each id comes from among the ids of all texts, -1 for special tokens and padding.
///
/// Returns the columns, the offsets of rows in them, the text each row is of, and the width of all rows if it is one.
#[pyfunction]
#[pyo3(signature = (texts, parts, *, truncation, padding, pad_id, columns, wide))]
#[expect(clippy::type_complexity, clippy::too_many_arguments, reason = "called from one place in Python")]
pub fn assemble<'py>(
    py: Python<'py>,
    texts: Vec<Rows<'py>>,
    parts: Vec<(Option<i64>, usize, i64)>,
    truncation: Option<(&str, usize, usize, bool)>,
    padding: Option<(Option<usize>, usize, bool)>,
    pad_id: Option<i64>,
    columns: Vec<String>,
    wide: bool,
) -> PyResult<(Vec<Bound<'py, PyAny>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Option<usize>)> {
    let parts =
        parts.into_iter().map(|(id, text, kind)| id.map_or(Part::Text(text, kind), |id| Part::Special(id, kind)));
    let truncation = truncation.map(|(strategy, room, stride, overflow)| {
        let strategy = match strategy {
            "only_first" => Strategy::OnlyFirst,
            "only_second" => Strategy::OnlySecond,
            _ => Strategy::LongestFirst,
        };
        Truncation { strategy, room, stride, overflow }
    });
    let padding = padding.map(|(width, multiple, left)| Padding { width, multiple, left });
    let ids = texts.iter().map(|(ids, _)| ids.as_slice()).collect::<Result<Vec<_>, _>>()?;
    let offsets = texts.iter().map(|(_, offsets)| offsets.as_slice()).collect::<Result<Vec<_>, _>>()?;
    let layout = py.detach(|| {
        let offsets = ids.iter().zip(&offsets).map(|(ids, offsets)| checked_offsets(offsets, ids.len()));
        Layout::new(parts.collect(), &offsets.collect::<Result<Vec<_>, _>>()?, truncation, padding)
    });
    let layout = layout.map_err(|e| to_python(&e))?;
    if pad_id.is_none() && layout.has_padding() {
        let message = "this tokenizer has no pad_token, so rows cannot be padded: encode without padding".to_owned();
        return Err(raise("InvalidInputError", message));
    }
    let column = |name: &String| {
        let write = if wide { write::<i64> } else { write::<i32> };
        write(py, &layout, &ids, name, pad_id.unwrap_or(0))
    };
    let columns = columns.iter().map(column).collect::<PyResult<_>>()?;
    let offsets: Vec<i64> = layout.row_offsets().iter().map(|&offset| offset as i64).collect();
    Ok((columns, offsets.into_pyarray(py), layout.samples().collect::<Vec<_>>().into_pyarray(py), layout.one_width()))
}

fn write<'py, T: Item + Element + 'static>(
    py: Python<'py>,
    layout: &Layout,
    ids: &[&[i32]],
    name: &str,
    pad_id: i64,
) -> PyResult<Bound<'py, PyAny>> {
    if name == "sources" {
        let firsts = [0, ids.first().map_or(0, |ids| ids.len() as i64)];
        return to_numpy(py, py.detach(|| layout.sources(&firsts)));
    }
    if name == "token_type_ids" && layout.has_one_type() {
        // Pages of zeros need not be touched.
        return Ok(PyArray1::<T>::zeros(py, layout.items(), false).into_any());
    }
    let column: Array<T> = py.detach(|| match name {
        "token_type_ids" => layout.types(),
        "attention_mask" => layout.mask(),
        "special_tokens_mask" => layout.special_mask(),
        _ => layout.ids(ids, Item::from(pad_id)),
    });
    to_numpy(py, column)
}

/// What keeps the memory of an array alive.
#[pyclass(frozen)]
struct Memory(#[expect(dead_code, reason = "only dropped")] Box<dyn Send + Sync>);

/// The same memory as a numpy array, writable as any.
fn to_numpy<T: Item + Element + 'static>(py: Python<'_>, array: Array<T>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a slice of what `Memory` owns from here on, at an address that does not change.
    let items = unsafe { std::slice::from_raw_parts(array.as_ptr(), array.len()) };
    let memory = Bound::new(py, Memory(Box::new(array)))?.into_any();
    // SAFETY: the array holds `memory`, and nobody else reads or writes what that owns.
    Ok(unsafe { PyArray1::borrow_from_array(&ArrayView1::from(items), memory) }.into_any())
}
