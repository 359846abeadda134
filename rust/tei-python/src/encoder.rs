//! `Encoder`: one vocabulary with its rules, text in, arrays out.
use std::string::FromUtf8Error;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use tei_core::added_tokens::AddedToken;
use tei_core::batch::checked_offsets;
use tei_core::decoder::Joints;
use tei_core::encoder::Encoder as Core;
use tei_core::rules::Rules;
use tei_core::vocabulary::Vocabulary;
use tei_core::{batch, broken, decoder, span};

use crate::errors::{raise, to_python};
use crate::texts::{Texts, encode_batch, text};

/// Ids, character offsets and word numbers of one text.
type Aligned = (Vec<u32>, Vec<(usize, usize)>, Vec<u32>);
/// Ids of all rows, and where each row begins.
type Rows<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i64>>);
/// The same, with the place of each id.
type AlignedRows<'py> =
    (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);
/// An added token: id, content, `single_word`, `lstrip`, `rstrip`, `normalized`, `in_model`.
type Added = (u32, String, bool, bool, bool, bool, bool);

/// Encodes text by longest match; immutable, safe to share between threads.
#[pyclass(frozen, module = "tei._core")]
pub struct Encoder {
    pub core: Core,
}

#[pymethods]
impl Encoder {
    /// Compiles a vocabulary (tokens in id order) and its rules.
    ///
    /// rules: steps of the normalizer and of the pre-tokenizer, each its name and its arguments.
    /// trim: whether offsets leave out the blanks at a token's ends (not None), and whether one before the first stays.
    #[new]
    #[pyo3(signature = (tokens, *, unknown_token, continuation_prefix, rules, max_word_chars, added_tokens, trim=None))]
    #[expect(clippy::too_many_arguments, reason = "the fields of a tokenizer, by name")]
    fn new(
        py: Python<'_>,
        tokens: Vec<String>,
        unknown_token: &str,
        continuation_prefix: &str,
        rules: (Vec<Vec<String>>, Vec<Vec<String>>),
        max_word_chars: usize,
        added_tokens: Vec<Added>,
        trim: Option<bool>,
    ) -> PyResult<Self> {
        let added = added_tokens.into_iter().map(added_token).collect();
        let core = py.detach(|| {
            let vocabulary = Vocabulary::new(tokens, continuation_prefix, unknown_token)?;
            Core::new(vocabulary, Rules::parse(&rules.0, &rules.1)?, added, max_word_chars)
                .map(|core| core.trimming(trim))
        });
        Ok(Self { core: core.map_err(|e| to_python(&e))? })
    }

    /// The same encoder with further tokens, whose ids follow the last one; `retired` tokens are never emitted any more,
    /// `restored` ones are again, their ids stay. Quick: nothing but a copy and a few edits.
    fn revised(&self, py: Python<'_>, added: Vec<String>, restored: Vec<u32>, retired: Vec<u32>) -> PyResult<Self> {
        if self.core.is_lossless() {
            let message = "tokens of the bytes scheme cannot be retired: apply a plan that drops them";
            return Err(raise("UnsupportedError", message.to_owned()));
        }
        let size = self.core.vocabulary().len() + added.len();
        if let Some(id) = restored.iter().chain(&retired).find(|&&id| id as usize >= size) {
            return Err(PyIndexError::new_err(format!("id {id} is beyond the {size} tokens of the vocabulary")));
        }
        let core = py.detach(|| self.core.revised(&added, &restored, &retired));
        Ok(Self { core: core.map_err(|e| to_python(&e))? })
    }

    /// Ids, offsets (in characters of a str, in bytes of bytes) and word numbers of one text.
    fn encode_aligned(&self, py: Python<'_>, string: &Bound<'_, PyAny>) -> PyResult<Aligned> {
        let texts = text(string, self.core.is_lossless())?;
        let (text, broken) = (texts.as_slice()[0], texts.broken());
        let in_bytes = string.is_instance_of::<PyBytes>();
        Ok(py.detach(|| {
            let bytes = broken.as_ref().map_or(text.as_bytes(), |texts| texts[0]);
            let encoding =
                if broken.is_some() { broken::align(&self.core, bytes, false) } else { self.core.encode_aligned(text) };
            let offsets = if in_bytes { encoding.offsets } else { span::to_chars(bytes, &encoding.offsets) };
            (encoding.ids, offsets, encoding.word_ids)
        }))
    }

    /// Ids of all texts in one int32 array, and the int64 offsets of the rows in it (one more than there are texts).
    ///
    /// threads: 0 chooses by the size of the batch. limit: how many ids of each text are asked for; None: all.
    #[pyo3(signature = (texts, threads, limit=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: usize,
        limit: Option<usize>,
    ) -> PyResult<Rows<'py>> {
        let (ids, row_offsets) = encode_batch(texts, &self.core, limit, threads, batch::Rows::finish)?;
        Ok((ids.into_pyarray(py), row_offsets.into_pyarray(py)))
    }

    /// As `encode_batch`, and for each id its start and end in characters, one pair after the other, and its word's number.
    ///
    /// heads: whether offsets are trimmed as if each id were the first of a row.
    #[pyo3(signature = (texts, threads, limit=None, *, heads=false))]
    fn encode_batch_aligned<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: usize,
        limit: Option<usize>,
        heads: bool,
    ) -> PyResult<AlignedRows<'py>> {
        let read = Texts::new(texts, self.core.is_lossless())?;
        let (texts, broken, limit) = (read.as_slice(), read.broken(), limit.unwrap_or(usize::MAX));
        let (rows, offsets, word_ids) = py.detach(|| {
            let all = match broken {
                Some(texts) => broken::encode_aligned_batch(&self.core, &texts, limit, heads),
                None => batch::encode_aligned_batch(&self.core, texts, limit, threads, heads),
            };
            (all.rows.finish(), all.offsets, all.word_ids)
        });
        let (ids, row_offsets) = rows;
        Ok((ids.into_pyarray(py), row_offsets.into_pyarray(py), offsets.into_pyarray(py), word_ids.into_pyarray(py)))
    }

    /// Text of ids; `skip` marks the ids that are left out.
    ///
    /// joints: what a token begins with that follows the one before at once, and whether blanks before punctuation are tidied.
    fn decode(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, u32>,
        skip: PyReadonlyArray1<'_, bool>,
        joints: (Option<&str>, bool),
    ) -> PyResult<String> {
        let (ids, skip) = (ids.as_slice()?, skip.as_slice()?);
        Ok(py.detach(|| decoder::decode(&self.core, ids, skip, Joints { prefix: joints.0, cleanup: joints.1 })))
    }

    /// Texts of rows of ids, as `decode` gives them; threads: 0 chooses by the number of ids.
    fn decode_batch<'py>(
        &self,
        py: Python<'py>,
        ids: PyReadonlyArray1<'py, u32>,
        row_offsets: PyReadonlyArray1<'py, i64>,
        skip: PyReadonlyArray1<'py, bool>,
        joints: (Option<&str>, bool),
        threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyString>>> {
        let (ids, row_offsets, skip) = (ids.as_slice()?, row_offsets.as_slice()?, skip.as_slice()?);
        let texts = py.detach(|| {
            let offsets = checked_offsets(row_offsets, ids.len())?;
            let decode = |row: &[u32]| {
                if self.core.is_lossless() {
                    String::from_utf8(self.core.decode_bytes(row, skip)).map_err(FromUtf8Error::into_bytes)
                } else {
                    Ok(decoder::decode(&self.core, row, skip, Joints { prefix: joints.0, cleanup: joints.1 }))
                }
            };
            Ok(batch::decode_batch(ids, &offsets, threads, decode))
        });
        let texts = texts.map_err(|e| to_python(&e))?.into_iter();
        texts.map(|text| text.map_or_else(|bytes| unusual(py, &bytes), |text| Ok(PyString::new(py, &text)))).collect()
    }

    /// The bytes that ids stand for, in the bytes scheme; `skip` marks the ids that are left out.
    fn decode_bytes<'py>(
        &self,
        py: Python<'py>,
        ids: PyReadonlyArray1<'py, u32>,
        skip: PyReadonlyArray1<'py, bool>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (ids, skip) = (ids.as_slice()?, skip.as_slice()?);
        Ok(PyBytes::new(py, &py.detach(|| self.core.decode_bytes(ids, skip))))
    }

    /// Tokens in id order.
    fn tokens(&self) -> Vec<&str> {
        self.core.vocabulary().tokens().collect()
    }

    /// Id of a token, or None.
    fn token_id(&self, token: &str) -> Option<u32> {
        self.core.vocabulary().id(token)
    }

    /// The token of an id, or None.
    fn token(&self, id: u32) -> Option<&str> {
        self.core.vocabulary().get(id)
    }

    fn __len__(&self) -> usize {
        self.core.vocabulary().len()
    }
}

/// Bytes that are no UTF-8 as text: lone surrogates come back, what is no text is U+FFFD.
fn unusual<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let bytes = PyBytes::new(py, bytes);
    let text = bytes.call_method1("decode", ("utf-8", "surrogatepass"));
    Ok(text.or_else(|_| bytes.call_method1("decode", ("utf-8", "replace")))?.cast_into()?)
}

fn added_token((id, content, single_word, lstrip, rstrip, normalized, in_model): Added) -> AddedToken {
    AddedToken { id, content, single_word, lstrip, rstrip, normalized, in_model }
}
