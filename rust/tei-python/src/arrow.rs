//! String arrays of other libraries through Arrow's C data interface, without a copy and without importing them.
//!
//! The structures are those of <https://arrow.apache.org/docs/format/CDataInterface.html>. What the interface cannot check,
//! the size of buffers, is the producer's word; offsets and UTF-8 are checked here.
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use tei_core::utf8;

use crate::errors::raise;
use crate::texts::{missing, not_utf8};

#[repr(C)]
struct Schema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut Self,
    dictionary: *mut Self,
    release: Option<unsafe extern "C" fn(*mut Self)>,
    private_data: *mut c_void,
}

/// An array that was handed over; released when dropped.
#[repr(C)]
pub struct Array {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const c_void,
    children: *mut *mut Self,
    dictionary: *mut Self,
    release: Option<unsafe extern "C" fn(*mut Self)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct Stream {
    get_schema: Option<unsafe extern "C" fn(*mut Self, *mut Schema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut Self, *mut Array) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut Self) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut Self)>,
    private_data: *mut c_void,
}

macro_rules! release_on_drop {
    ($($name:ident),*) => {$(
        impl Drop for $name {
            fn drop(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: a structure whose callback is set has not been released yet; the callback clears it.
                    unsafe { release(self) }
                }
            }
        }
    )*};
}
release_on_drop!(Schema, Array, Stream);

impl Schema {
    const EMPTY: Self = Self {
        format: null(),
        name: null(),
        metadata: null(),
        flags: 0,
        n_children: 0,
        children: null_mut(),
        dictionary: null_mut(),
        release: None,
        private_data: null_mut(),
    };
}

impl Array {
    const EMPTY: Self = Self {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: null(),
        children: null_mut(),
        dictionary: null_mut(),
        release: None,
        private_data: null_mut(),
    };
}

/// How a string array stores its strings.
#[derive(Clone, Copy)]
pub enum Format {
    Small,
    Large,
    View,
}

/// The arrays behind an object that speaks Arrow, or None if it does not (or cannot for its present content).
pub fn arrays(object: &Bound<'_, PyAny>) -> Option<PyResult<(Format, Vec<Array>)>> {
    if let Ok(pair) = object.call_method0("__arrow_c_array__") {
        return Some(one_array(&pair));
    }
    let stream = object.call_method0("__arrow_c_stream__").ok()?;
    Some(all_arrays(&stream))
}

fn one_array(pair: &Bound<'_, PyAny>) -> PyResult<(Format, Vec<Array>)> {
    let pair = pair.cast::<PyTuple>()?;
    // SAFETY: capsules of these names hold these structures, which are taken once.
    let (mut schema, array) = unsafe {
        (
            take(&pair.get_item(0)?, c"arrow_schema", Schema::EMPTY)?,
            take(&pair.get_item(1)?, c"arrow_array", Array::EMPTY)?,
        )
    };
    Ok((format(&mut schema)?, vec![array]))
}

fn all_arrays(capsule: &Bound<'_, PyAny>) -> PyResult<(Format, Vec<Array>)> {
    let empty =
        Stream { get_schema: None, get_next: None, get_last_error: None, release: None, private_data: null_mut() };
    // SAFETY: a capsule of this name holds this structure, which is taken once.
    let mut stream = unsafe { take(capsule, c"arrow_array_stream", empty)? };
    let mut schema = Schema::EMPTY;
    stream.call(stream.get_schema, &mut schema)?;
    let format = format(&mut schema)?;
    let mut arrays = Vec::new();
    loop {
        let mut array = Array::EMPTY;
        stream.call(stream.get_next, &mut array)?;
        if array.release.is_none() {
            return Ok((format, arrays));
        }
        arrays.push(array);
    }
}

/// Moves a structure out of a capsule and leaves `empty` behind, as the interface asks of a consumer.
///
/// # Safety
/// A capsule of this `name` must hold a `T`.
unsafe fn take<T>(capsule: &Bound<'_, PyAny>, name: &CStr, empty: T) -> PyResult<T> {
    let place = capsule.cast::<PyCapsule>()?.pointer_checked(Some(name))?.cast::<T>();
    // SAFETY: promised by the caller.
    Ok(unsafe { place.replace(empty) })
}

impl Stream {
    fn call<T>(&mut self, f: Option<unsafe extern "C" fn(*mut Self, *mut T) -> c_int>, out: &mut T) -> PyResult<()> {
        // SAFETY: callbacks of a stream that is not released, with a structure to fill.
        let status = f.map_or(0, |f| unsafe { f(self, out) });
        if status == 0 {
            return Ok(());
        }
        // SAFETY: as above; the message lives until the next call.
        let message = self.get_last_error.map(|f| unsafe { f(self) }).filter(|message| !message.is_null());
        let reason =
            message.map_or_else(|| status.to_string(), |m| unsafe { CStr::from_ptr(m) }.to_string_lossy().into_owned());
        Err(raise("InvalidInputError", format!("texts is an Arrow stream that fails: {reason}")))
    }
}

fn format(schema: &mut Schema) -> PyResult<Format> {
    // SAFETY: the format of a schema that is not released is a C string.
    let name = if schema.format.is_null() { c"" } else { unsafe { CStr::from_ptr(schema.format) } };
    match name.to_bytes() {
        _ if !schema.dictionary.is_null() => Err(unfit("with a dictionary")),
        b"u" | b"z" => Ok(Format::Small),
        b"U" | b"Z" => Ok(Format::Large),
        b"vu" | b"vz" => Ok(Format::View),
        other => Err(unfit(&format!("of format {:?}", String::from_utf8_lossy(other)))),
    }
}

fn unfit(what: &str) -> PyErr {
    let message = format!("texts is an Arrow array {what}, not one of strings: pick one column and cast it to string");
    raise("InvalidInputError", message)
}

impl Array {
    /// Hands every string of the array to `push`; `first` is the index of the array's first one.
    ///
    /// The strings live as long as the array, wherever it is moved.
    pub fn read(&self, format: Format, first: usize, push: impl FnMut(&'static str)) -> PyResult<()> {
        if let Some(index) = (0..self.len()).find(|&i| self.is_null(i)) {
            return Err(missing(first + index));
        }
        match format {
            Format::Small => self.read_offsets::<i32>(first, push),
            Format::Large => self.read_offsets::<i64>(first, push),
            Format::View => self.read_views(first, push),
        }
    }

    fn len(&self) -> usize {
        self.length.cast_unsigned() as usize
    }

    fn start(&self) -> usize {
        self.offset.cast_unsigned() as usize
    }

    fn buffer<T>(&self, index: usize) -> *const T {
        // SAFETY: arrays of strings have at least three buffers, arrays of views at least two.
        unsafe { (*self.buffers.add(index)).cast() }
    }

    fn is_null(&self, index: usize) -> bool {
        let (bits, at) = (self.buffer::<u8>(0), self.start() + index);
        // SAFETY: a validity bitmap, where there is one, has a bit for each element.
        self.null_count != 0 && !bits.is_null() && unsafe { *bits.add(at / 8) } >> (at % 8) & 1 == 0
    }

    fn read_offsets<O: Copy + Into<i64>>(&self, first: usize, mut push: impl FnMut(&'static str)) -> PyResult<()> {
        if self.length == 0 {
            return Ok(());
        }
        // SAFETY: the second buffer holds one offset more than there are elements.
        let offsets = unsafe { std::slice::from_raw_parts(self.buffer::<O>(1).add(self.start()), self.len() + 1) };
        let at = |i: usize| usize::try_from(offsets[i].into()).ok();
        let end = at(self.len()).ok_or_else(|| unfit("with negative offsets"))?;
        let data = self.buffer::<u8>(2);
        // SAFETY: the third buffer holds all bytes up to the last offset; it may be absent if there is none.
        let data = if data.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(data, end) } };
        let start = at(0).filter(|&start| start <= end).ok_or_else(|| unfit("with descending offsets"))?;
        // One check of all bytes is faster than many small ones; only where it fails they are looked at one by one.
        let checked = utf8::check(&data[start..]).ok();
        for i in 0..self.len() {
            let range = at(i).zip(at(i + 1)).filter(|(a, b)| start <= *a && a <= b && *b <= data.len());
            let (a, b) = range.ok_or_else(|| unfit("with descending offsets"))?;
            let text = checked.and_then(|text| text.get(a - start..b - start));
            push(text.map_or_else(|| utf8::check(&data[a..b]).map_err(|fault| not_utf8(first + i, fault)), Ok)?);
        }
        Ok(())
    }

    fn read_views(&self, first: usize, mut push: impl FnMut(&'static str)) -> PyResult<()> {
        for i in 0..self.len() {
            let bytes = self.view(i).ok_or_else(|| unfit("with views that point outside its buffers"))?;
            push(utf8::check(bytes).map_err(|fault| not_utf8(first + i, fault))?);
        }
        Ok(())
    }

    /// The bytes of a view: inside it if they are few, else in one of the data buffers.
    fn view(&self, index: usize) -> Option<&'static [u8]> {
        // SAFETY: the second buffer holds a view of 16 bytes for each element.
        let view = unsafe { &*self.buffer::<[u8; 16]>(1).add(self.start() + index) };
        let number = |at: usize| usize::try_from(i32::from_le_bytes(*view[at..].first_chunk()?)).ok();
        let len = number(0)?;
        if let Some(inline) = view[4..].get(..len) {
            return Some(inline);
        }
        let (buffer, start) = (number(8)?, number(12)?);
        // The last buffer holds the sizes of the data buffers between it and the views.
        let count = usize::try_from(self.n_buffers - 3).ok()?;
        // SAFETY: just what the last buffer is for.
        let size = (buffer < count).then(|| unsafe { *self.buffer::<i64>(2 + count).add(buffer) })?;
        // SAFETY: the bytes lie within that size.
        (start + len <= usize::try_from(size).ok()?)
            .then(|| unsafe { std::slice::from_raw_parts(self.buffer::<u8>(2 + buffer).add(start), len) })
    }
}
