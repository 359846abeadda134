//! Whatever holds strings in Python as `&str`s of Rust, without a copy where there is none to make.
use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyString, PyTuple};
use tei_core::batch::{self, Rows};
use tei_core::broken;
use tei_core::encoder::Encoder;
use tei_core::machine::prefetch;
use tei_core::utf8::{self, Fault, without_surrogates};

use crate::arrow;
use crate::errors::raise;

/// Objects are scattered in memory: so many before their turn they are asked for, which is 3 % of encoding.
const AHEAD: usize = 16;
/// Texts of a list that are taken together.
const PART: usize = 1024;
/// From so many texts on, reading them is worth a thread of its own.
const LONG: usize = 4 * PART;

/// The texts of a batch, with all that they are borrowed from.
#[derive(Default)]
pub struct Texts<'py> {
    /// Borrowed from the other fields, whose memory stays where it is until they are dropped.
    items: Vec<&'static str>,
    /// Strong references: a list may change as soon as other threads run. Tuples and slices take them faster than a loop does.
    strings: Vec<Bound<'py, PyAny>>,
    arrays: Vec<arrow::Array>,
    copies: Vec<Box<str>>,
    /// Texts that are not UTF-8, by index, if they are wanted; a placeholder stands among the items.
    broken: Vec<(usize, Box<[u8]>)>,
    /// Whether texts that are not UTF-8 are wanted.
    lossless: bool,
    /// Whether the first text is of bytes, as then all must be.
    bytes: bool,
}

impl<'py> Texts<'py> {
    /// Takes a list, a tuple or any other iterable of `str` or of `bytes`, or an array of strings of numpy or Arrow.
    ///
    /// lossless: take bytes that are not UTF-8 and lone surrogates as they are, too.
    pub fn new(texts: &Bound<'py, PyAny>, lossless: bool) -> PyResult<Self> {
        let mut all = Self { lossless, ..Self::default() };
        if let Ok(list) = texts.cast::<PyList>() {
            all.read_list(list, |_| {})?;
        } else if let Ok(tuple) = texts.cast::<PyTuple>() {
            all.read_tuple(tuple.clone())?;
        } else if is_one_text(texts) {
            let class = texts.get_type().name()?;
            return Err(invalid(format!(
                "texts is one {class}, not several of them: put it in a list, or call encode"
            )));
        } else if let Ok(array) = texts.cast::<PyUntypedArray>() {
            all.read_array(array)?;
        } else if let Some(found) = arrow::arrays(texts) {
            all.read_arrow(found?)?;
        } else {
            all.read_tuple(to_tuple(texts)?)?;
        }
        Ok(all)
    }

    /// The texts, for as long as `self` lives.
    pub fn as_slice(&self) -> &[&str] {
        &self.items
    }

    /// The bytes of all texts, if some are not UTF-8.
    pub fn broken(&self) -> Option<Vec<&[u8]>> {
        if self.broken.is_empty() {
            return None;
        }
        let mut all: Vec<&[u8]> = self.items.iter().map(|text| text.as_bytes()).collect();
        self.broken.iter().for_each(|(index, bytes)| all[*index] = bytes);
        Some(all)
    }

    /// Takes a list; `show` is shown all that has been read, again and again.
    fn read_list(&mut self, list: &Bound<'py, PyList>, mut show: impl FnMut(&'static [&'static str])) -> PyResult<()> {
        let len = list.len();
        self.items.reserve_exact(len);
        // Part by part: a str is then still in a cache when it is read.
        for first in (0..len).step_by(PART) {
            self.read_slice(list.get_slice(first, len.min(first + PART)))?;
            // SAFETY: there is room for all, so that the items stay where they are until `self` is dropped.
            show(unsafe { forever(&self.items) });
        }
        Ok(())
    }

    fn read_tuple(&mut self, tuple: Bound<'py, PyTuple>) -> PyResult<()> {
        self.read_items(tuple.len(), |i| tuple.get_borrowed_item(i))?;
        self.strings.push(tuple.into_any());
        Ok(())
    }

    /// Takes a new list, which it hides from the garbage collector: nobody else can then find it and change it.
    fn read_slice(&mut self, list: Bound<'py, PyList>) -> PyResult<()> {
        // SAFETY: an object of the collector, which may be untracked at any time, and again when it dies.
        unsafe { ffi::PyObject_GC_UnTrack(list.as_ptr().cast()) };
        // SAFETY: the list does not change, and keeps its items.
        self.read_items(list.len(), |i| unsafe {
            pyo3::Borrowed::from_ptr_or_err(list.py(), ffi::PyList_GetItem(list.as_ptr(), i as isize))
        })?;
        self.strings.push(list.into_any());
        Ok(())
    }

    fn read_items<'a>(
        &mut self,
        len: usize,
        get: impl Fn(usize) -> PyResult<pyo3::Borrowed<'a, 'py, PyAny>>,
    ) -> PyResult<()>
    where
        'py: 'a,
    {
        let before = self.items.len();
        self.items.reserve(len);
        for i in 0..len {
            if i + AHEAD < len {
                // Where a str says whether it is ASCII, and where its UTF-8 is: often not in the cache line of its number of
                // references, and then in the next one.
                prefetch(get(i + AHEAD)?.as_ptr(), 56);
            }
            let (index, item) = (before + i, get(i)?);
            if index == 0 {
                self.bytes = item.is_instance_of::<PyBytes>();
            }
            let text = if self.bytes { self.bytes_text(index, &item)? } else { self.str_text(index, &item)? };
            // SAFETY: the object is kept alive by its list or tuple, a copy by its box.
            let text = unsafe { forever(text) };
            self.items.push(text);
        }
        Ok(())
    }

    fn read_arrow(&mut self, (format, arrays): (arrow::Format, Vec<arrow::Array>)) -> PyResult<()> {
        for array in &arrays {
            array.read(format, self.items.len(), |text| self.items.push(text))?;
        }
        self.arrays = arrays;
        Ok(())
    }

    fn read_array(&mut self, array: &Bound<'py, PyUntypedArray>) -> PyResult<()> {
        if array.ndim() != 1 {
            return Err(invalid(format!("texts is an array of {} dimensions, expected one", array.ndim())));
        }
        let (dtype, width) = (array.dtype(), array.dtype().itemsize());
        match dtype.kind() {
            // numpy's zeros at the end of a row are padding, and `tolist` knows it.
            b'U' | b'S' if self.lossless => self.read_tuple(to_tuple(&array.call_method0("tolist")?)?)?,
            b'U' | b'S' if width == 0 => self.items.resize(array.len(), ""),
            b'U' => self.read_characters(flat::<u32>(array, "u4")?.as_slice()?, width / 4)?,
            b'S' => self.read_fixed(flat::<u8>(array, "u1")?.as_slice()?, width)?,
            b'O' | b'T' => self.read_tuple(to_tuple(&array.call_method0("tolist")?)?)?,
            _ => return Err(invalid(format!("texts is an array of {dtype}, not of strings: convert it first"))),
        }
        Ok(())
    }

    fn read_characters(&mut self, characters: &[u32], width: usize) -> PyResult<()> {
        self.read_rows(characters, width, |i, row, text| {
            for (at, &code) in row.iter().enumerate() {
                let surrogate = matches!(code, 0xD800..=0xDFFF).then_some(char::REPLACEMENT_CHARACTER);
                text.push(surrogate.or_else(|| char::from_u32(code)).ok_or_else(|| {
                    encoding(format!("texts[{i}] holds {code:#x} at character {at}, which is no character: remove it"))
                })?);
            }
            Ok(())
        })
    }

    #[inline]
    fn str_text<'a>(&'a mut self, index: usize, item: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
        if let Some(text) = utf8(item) {
            return Ok(text);
        }
        let bytes = unusual(index, item)?;
        if self.lossless {
            self.broken.push((index, bytes.into()));
            return Ok("");
        }
        self.copies.push(without_surrogates(bytes).into());
        Ok(self.copies.last().map_or("", |text| &**text))
    }

    fn bytes_text<'a>(&mut self, index: usize, item: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
        let bytes = item.cast::<PyBytes>().map_err(|_| not_a(index, "bytes as the first", item))?.as_bytes();
        match utf8::check(bytes) {
            Err(_) if self.lossless => {
                self.broken.push((index, bytes.into()));
                Ok("")
            }
            checked => checked.map_err(|fault| not_utf8(index, fault)),
        }
    }

    /// Reads fixed-width bytes. They are copied: an array may be written to while they are encoded.
    fn read_fixed(&mut self, bytes: &[u8], width: usize) -> PyResult<()> {
        self.read_rows(bytes, width, |i, row, text| {
            text.push_str(utf8::check(row).map_err(|fault| not_utf8(i, fault))?);
            Ok(())
        })
    }

    /// Reads rows of `width` items into one string; zeros at the end of a row are padding.
    fn read_rows<T: Copy + Default + PartialEq>(
        &mut self,
        items: &[T],
        width: usize,
        mut read: impl FnMut(usize, &[T], &mut String) -> PyResult<()>,
    ) -> PyResult<()> {
        let (mut text, mut ends) = (String::new(), vec![0]);
        for (i, row) in items.chunks_exact(width).enumerate() {
            let len = row.iter().rposition(|item| *item != T::default()).map_or(0, |last| last + 1);
            read(i, &row[..len], &mut text)?;
            ends.push(text.len());
        }
        let text = text.into_boxed_str();
        // SAFETY: the box is kept, and never changed.
        self.items.extend(ends.windows(2).map(|ends| unsafe { forever(&text[ends[0]..ends[1]]) }));
        self.copies.push(text);
        Ok(())
    }
}

/// What `then` makes of the rows of ids of all texts, of each the first `limit` (None: all).
///
/// Of a long list, the first texts are encoded by other threads while the others are read. threads: 0 chooses by the size
/// of the batch. Other threads of Python run meanwhile.
pub fn encode_batch<R: Send>(
    texts: &Bound<'_, PyAny>,
    encoder: &Encoder,
    limit: Option<usize>,
    threads: usize,
    then: impl FnOnce(Rows) -> R + Send,
) -> PyResult<R> {
    let (py, limit, lossless) = (texts.py(), limit.unwrap_or(usize::MAX), encoder.is_lossless());
    let long = |list: &&Bound<'_, PyList>| threads != 1 && list.len() >= LONG;
    if let Some(list) = texts.cast().ok().filter(long) {
        let mut read = Texts { lossless, ..Texts::default() };
        let (result, rows) = batch::encode_incoming(encoder, limit, threads, |mut rows| {
            read.read_list(list, |texts| rows.show(texts))?;
            if read.broken.is_empty() {
                py.detach(|| rows.finish(&read.items));
            }
            PyResult::Ok(())
        });
        result?;
        if read.broken.is_empty() {
            return Ok(py.detach(|| then(rows)));
        }
    }
    let read = Texts::new(texts, lossless)?;
    let (texts, broken) = (read.as_slice(), read.broken());
    Ok(py.detach(|| {
        then(match broken {
            Some(texts) => broken::encode_batch(encoder, &texts, limit, threads),
            None => batch::encode_batch(encoder, texts, limit, threads),
        })
    }))
}

/// Whether `items` is a tuple of nothing but `str`, no class derived from it among them.
#[pyfunction]
pub fn are_str(items: &Bound<'_, PyAny>) -> bool {
    items.cast::<PyTuple>().is_ok_and(|items| items.iter_borrowed().all(|item| item.is_exact_instance_of::<PyString>()))
}

fn is_one_text(texts: &Bound<'_, PyAny>) -> bool {
    texts.is_instance_of::<PyString>() || texts.is_instance_of::<PyBytes>() || texts.is_instance_of::<PyByteArray>()
}

fn to_tuple<'py>(texts: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let tuple = texts.py().get_type::<PyTuple>().call1((texts,)).map_err(|error| {
        let class = texts.get_type();
        if error.is_instance_of::<PyTypeError>(texts.py()) && texts.try_iter().is_err() {
            return invalid(format!("texts is {class}, not several str: put it in a list"));
        }
        error
    })?;
    Ok(tuple.cast_into()?)
}

/// The items of a fixed-width array as one slice, in native byte order.
fn flat<'py, T: numpy::Element>(array: &Bound<'py, PyUntypedArray>, items: &str) -> PyResult<PyReadonlyArray1<'py, T>> {
    let native = array.dtype().call_method1("newbyteorder", ("=",))?;
    let contiguous = array.py().import("numpy")?.call_method1("ascontiguousarray", (array, native))?;
    contiguous.call_method1("view", (items,))?.extract::<PyReadonlyArray1<'py, T>>()
}

/// Forgets what something is borrowed from.
///
/// # Safety
/// The owner must outlive every use, and leave it as it is.
unsafe fn forever<T: ?Sized>(borrowed: &T) -> &'static T {
    // SAFETY: promised by the caller.
    unsafe { &*std::ptr::from_ref(borrowed) }
}

#[inline]
fn utf8<'a>(item: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    let mut len = 0;
    // SAFETY: an object that is no str makes this fail, not crash; the UTF-8 is kept by the str.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(item.as_ptr(), &raw mut len) };
    // SAFETY: what Python gives here is UTF-8 of this length.
    (!data.is_null())
        .then(|| unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), len.cast_unsigned())) })
}

/// The bytes of a str without UTF-8, those of lone surrogates as if they were characters.
#[cold]
fn unusual(index: usize, item: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let error = PyErr::take(item.py());
    if !item.is_instance_of::<PyString>() {
        return Err(not_a(index, "str", item));
    }
    match error {
        Some(error) if !error.is_instance_of::<PyUnicodeEncodeError>(item.py()) => Err(error),
        _ => item.call_method1("encode", ("utf-8", "surrogatepass"))?.extract(),
    }
}

/// The text of one `str` or `bytes`; lossless as in [`Texts::new`].
pub fn text<'py>(text: &Bound<'py, PyAny>, lossless: bool) -> PyResult<Texts<'py>> {
    let mut one = Texts { lossless, ..Texts::default() };
    one.read_tuple(PyTuple::new(text.py(), [text])?)?;
    Ok(one)
}

fn not_a(index: usize, wanted: &str, item: &Bound<'_, PyAny>) -> PyErr {
    let class = item.get_type();
    invalid(format!("texts[{index}] is {class}, not {wanted}: convert it first, or leave it out"))
}

/// The error of a text that is not there.
pub fn missing(index: usize) -> PyErr {
    invalid(format!("texts[{index}] is null, not a string: fill it, or leave it out"))
}

/// The error of bytes that are no text.
pub fn not_utf8(index: usize, fault: Fault) -> PyErr {
    encoding(format!("texts[{index}] {fault}: decode it with its own encoding first"))
}

fn invalid(message: String) -> PyErr {
    raise("InvalidInputError", message)
}

fn encoding(message: String) -> PyErr {
    raise("EncodingError", message)
}
