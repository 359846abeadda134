//! `RowPlan`: texts, or arrays of their ids, in; padded model inputs out.
use numpy::ndarray::ArrayView1;
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use tei_core::arena::{Array, Item};
use tei_core::batch::checked_offsets;
use tei_core::rows::{Layout, Padding, Part, Strategy, Truncation};

use crate::encoder::Encoder;
use crate::errors::{raise, to_python};
use crate::texts::encode_batch;

/// Ids of all rows, and where each row begins.
type Rows<'py> = (PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i64>);
/// Columns, the offsets of rows in them, the text each row is of if a text may have several, and the width of all rows if
/// it is one.
type Assembled<'py> =
    (Vec<Bound<'py, PyAny>>, Bound<'py, PyArray1<i64>>, Option<Bound<'py, PyArray1<i64>>>, Option<usize>);

/// How texts become rows: put between special tokens, cut and padded.
///
/// Read once and used for many batches: reading takes as long as encoding a few texts.
#[pyclass(frozen, module = "tei._core")]
pub struct RowPlan {
    parts: Vec<Part>,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    pad_id: Option<i64>,
    columns: Vec<Column>,
    wide: bool,
}

#[pymethods]
impl RowPlan {
    /// parts: id of a special token or None, number of the text, token type, token type in further rows of what is cut off.
    /// truncation: strategy, places for text, stride, whether the rest makes rows of its own, whether ends of texts are kept.
    /// padding: least width (None: the longest row), multiple, whether it comes first; the id is `pad_id`.
    /// columns: which of `input_ids`, `token_type_ids`, `attention_mask`, `special_tokens_mask` and `sources` to write;
    /// `sources` says where each id comes from among the ids of all texts, -1 for special tokens and padding.
    /// wide: whether items are int64, not int32.
    #[new]
    #[pyo3(signature = (parts, *, truncation, padding, pad_id, columns, wide))]
    fn new(
        parts: Vec<(Option<i64>, usize, i64, i64)>,
        truncation: Option<(&str, usize, usize, bool, bool)>,
        padding: Option<(Option<usize>, usize, bool)>,
        pad_id: Option<i64>,
        columns: Vec<String>,
        wide: bool,
    ) -> Self {
        let part = |(id, text, kind, further): (Option<i64>, _, _, _)| {
            id.map_or(Part::Text(text, [kind, further]), |id| Part::Special(id, kind))
        };
        let truncation = truncation.map(|(strategy, room, stride, overflow, left)| {
            let strategy = match strategy {
                "only_first" => Strategy::OnlyFirst,
                "only_second" => Strategy::OnlySecond,
                _ => Strategy::LongestFirst,
            };
            Truncation { strategy, room, stride, overflow, left }
        });
        let padding = padding.map(|(width, multiple, left)| Padding { width, multiple, left });
        let columns = columns.iter().map(|name| Column::named(name)).collect();
        Self { parts: parts.into_iter().map(part).collect(), truncation, padding, pad_id, columns, wide }
    }

    /// Makes rows of texts that are encoded (ids and row offsets); two of them for pairs.
    ///
    /// Returns the columns, the offsets of rows in them, the text each row is of (None: each is of its own), and the width
    /// of all rows if it is one.
    fn assemble<'py>(&self, py: Python<'py>, texts: Vec<Rows<'py>>, threads: usize) -> PyResult<Assembled<'py>> {
        let ids = texts.iter().map(|(ids, _)| ids.as_slice()).collect::<Result<Vec<_>, _>>()?;
        let offsets = texts.iter().map(|(_, offsets)| offsets.as_slice()).collect::<Result<Vec<_>, _>>()?;
        let made = py.detach(|| self.make(&ids, &offsets, threads));
        self.finish(py, made.map_err(|e| to_python(&e))?)
    }

    /// Encodes texts, each for a row, and makes rows of them; as `assemble` after `encode_batch`, at once.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        encoder: &Encoder,
        texts: &Bound<'py, PyAny>,
        threads: usize,
        limit: Option<usize>,
    ) -> PyResult<Assembled<'py>> {
        let made = encode_batch(texts, &encoder.core, limit, threads, |rows| {
            let (ids, offsets) = rows.finish();
            self.make(&[&ids], &[&offsets], threads)
        })?;
        self.finish(py, made.map_err(|e| to_python(&e))?)
    }
}

impl RowPlan {
    fn make(&self, ids: &[&[i32]], offsets: &[&[i64]], threads: usize) -> tei_core::Result<(Layout, Vec<Items>)> {
        let offsets = ids.iter().zip(offsets).map(|(ids, offsets)| checked_offsets(offsets, ids.len()));
        let offsets = offsets.collect::<Result<Vec<_>, _>>()?;
        let layout = Layout::new(self.parts.clone(), &offsets, self.truncation, self.padding)?.written_by(threads);
        let columns = self.columns.iter().map(|column| self.items(*column, &layout, ids)).collect::<Result<_, _>>()?;
        Ok((layout, columns))
    }

    fn items(&self, column: Column, layout: &Layout, ids: &[&[i32]]) -> tei_core::Result<Items> {
        Ok(match column {
            Column::Sources => Items::Wide(layout.sources(&[0, ids.first().map_or(0, |ids| ids.len() as i64)])?),
            // Pages of zeros need not be touched.
            Column::TokenTypes if layout.has_one_type() => Items::Zeros(layout.items()),
            _ if self.wide => Items::Wide(self.column(column, layout, ids)?),
            _ => Items::Narrow(self.column(column, layout, ids)?),
        })
    }

    fn column<T: Item>(&self, column: Column, layout: &Layout, ids: &[&[i32]]) -> tei_core::Result<Array<T>> {
        match column {
            Column::TokenTypes => layout.types(),
            Column::Attention => layout.mask(),
            Column::Special => layout.special_mask(),
            Column::Ids | Column::Sources => layout.ids(ids, Item::from(self.pad_id.unwrap_or(0))),
        }
    }

    fn finish<'py>(&self, py: Python<'py>, (layout, columns): (Layout, Vec<Items>)) -> PyResult<Assembled<'py>> {
        if self.pad_id.is_none() && layout.has_padding() {
            let message =
                "this tokenizer has no pad_token, so rows cannot be padded: encode without padding".to_owned();
            return Err(raise("InvalidInputError", message));
        }
        let columns = columns.into_iter().map(|items| match items {
            Items::Narrow(items) => to_numpy(py, items),
            Items::Wide(items) => to_numpy(py, items),
            Items::Zeros(count) if self.wide => zeros::<i64>(py, count),
            Items::Zeros(count) => zeros::<i32>(py, count),
        });
        let columns = columns.collect::<PyResult<_>>()?;
        let offsets: Vec<i64> = layout.row_offsets().iter().map(|&offset| offset as i64).collect();
        let several = self.truncation.is_some_and(|truncation| truncation.overflow);
        let samples = several.then(|| layout.samples().collect::<Vec<_>>().into_pyarray(py));
        Ok((columns, offsets.into_pyarray(py), samples, layout.one_width()))
    }
}

/// What an array has an item of for each place of a row.
#[derive(Clone, Copy)]
enum Column {
    Ids,
    TokenTypes,
    Attention,
    Special,
    Sources,
}

impl Column {
    fn named(name: &str) -> Self {
        match name {
            "token_type_ids" => Self::TokenTypes,
            "attention_mask" => Self::Attention,
            "special_tokens_mask" => Self::Special,
            "sources" => Self::Sources,
            _ => Self::Ids,
        }
    }
}

/// A column that is no array of numpy yet.
enum Items {
    Narrow(Array<i32>),
    Wide(Array<i64>),
    /// So many zeros.
    Zeros(usize),
}

/// From so many items on, numpy is asked in a way that can fail.
const MAY_FAIL: usize = 1 << 20;

fn zeros<T: Element>(py: Python<'_>, count: usize) -> PyResult<Bound<'_, PyAny>> {
    if count < MAY_FAIL {
        return Ok(PyArray1::<T>::zeros(py, count, false).into_any());
    }
    py.import("numpy")?.call_method1("zeros", (count, T::get_dtype(py)))
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
