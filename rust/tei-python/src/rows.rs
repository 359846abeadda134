//! `assemble`: arrays of ids in, padded model inputs out.
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
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
    let columns = columns.iter().map(column).collect();
    let offsets: Vec<i64> = layout.row_offsets().iter().map(|&offset| offset as i64).collect();
    Ok((columns, offsets.into_pyarray(py), layout.samples().collect::<Vec<_>>().into_pyarray(py), layout.one_width()))
}

fn write<'py, T: Item + Element>(
    py: Python<'py>,
    layout: &Layout,
    ids: &[&[i32]],
    name: &str,
    pad_id: i64,
) -> Bound<'py, PyAny> {
    if name == "sources" {
        let firsts = [0, ids.first().map_or(0, |ids| ids.len() as i64)];
        return py.detach(|| layout.sources(&firsts)).into_pyarray(py).into_any();
    }
    let column: Vec<T> = py.detach(|| match name {
        "token_type_ids" => layout.types(),
        "attention_mask" => layout.mask(),
        "special_tokens_mask" => layout.special_mask(),
        _ => layout.ids(ids, Item::from(pad_id)),
    });
    column.into_pyarray(py).into_any()
}
