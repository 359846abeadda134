//! Byte strings that are not UTF-8, in the bytes scheme: what is text in them is encoded as text, and every other byte,
//! also those of lone surrogates, is a word and a token of its own.
use crate::TokenId;
use crate::batch::{self, AlignedRows, Rows};
use crate::encoder::Encoder;
use crate::encoding::Encoding;

/// Encodes byte strings as [`batch::encode_batch`] encodes texts.
#[must_use]
pub fn encode_batch(encoder: &Encoder, texts: &[&[u8]], limit: usize, threads: usize) -> Rows {
    let parts: Vec<&str> = texts.iter().flat_map(|text| text.utf8_chunks().map(|chunk| chunk.valid())).collect();
    let found = batch::encode_batch(encoder, &parts, limit, threads);
    let mut rows = Rows::empty();
    let place = |end: i64| end.cast_unsigned() as usize;
    let mut part = found.ends.windows(2).map(|ends| &found.ids[place(ends[0])..place(ends[1])]);
    for text in texts {
        let start = rows.ids.len();
        for chunk in text.utf8_chunks() {
            rows.ids.extend_from_slice(part.next().unwrap_or_default());
            rows.ids.extend(singles(encoder, chunk.invalid()));
        }
        rows.ids.truncate(start.saturating_add(limit));
        rows.ends.push(rows.ids.len() as i64);
    }
    rows
}

/// Encodes a byte string with byte offsets and word numbers; `heads` as in [`batch::encode_aligned_batch`].
#[must_use]
pub fn align(encoder: &Encoder, text: &[u8], heads: bool) -> Encoding {
    let (mut encoding, mut at) = (Encoding::default(), 0);
    for chunk in text.utf8_chunks() {
        encoding.append(&encoder.align(chunk.valid(), Encoding::trimmed_as(heads)), at);
        at += chunk.valid().len();
        for id in singles(encoder, chunk.invalid()) {
            encoding.push_word(&[(id, at, at + 1)]);
            at += 1;
        }
    }
    encoding
}

/// Encodes all byte strings with their alignment, in characters.
#[must_use]
pub fn encode_aligned_batch(encoder: &Encoder, texts: &[&[u8]], limit: usize, heads: bool) -> AlignedRows {
    let mut all = AlignedRows { rows: Rows::empty(), ..AlignedRows::default() };
    texts.iter().for_each(|text| all.push(text, align(encoder, text, heads), limit));
    all
}

fn singles(encoder: &Encoder, bytes: &[u8]) -> impl Iterator<Item = TokenId> {
    bytes.iter().map(|&byte| encoder.byte_token(byte))
}
