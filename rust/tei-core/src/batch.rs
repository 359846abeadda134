//! Many texts → rows of ids, and back.
use std::sync::{Mutex, PoisonError};

use crate::encoder::{Encoder, Worker};
use crate::encoding::Encoding;
use crate::feed::{Feed, Incoming, map_units};
use crate::helpers::lock;
use crate::parallel::{MIN_UNIT, Queue, in_order, prefetched, thread_count, units};
use crate::{Error, Result, TokenId, huge, span};

/// From so many bytes on, the number of ids is judged by a sample: of so many texts so many bytes.
const SAMPLED_FROM: usize = 1 << 20;
const SAMPLES: usize = 64;
const SAMPLE: usize = 512;

/// Rows of ids, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// All ids.
    pub ids: Vec<TokenId>,
    /// Where each row ends; in a result, where the first begins comes before.
    pub ends: Vec<i64>,
}

impl Rows {
    /// Appends a row for each text, of at most `limit` ids.
    pub fn encode(&mut self, encoder: &Encoder, texts: &[&str], limit: usize, worker: &mut Worker) {
        self.ends.reserve(texts.len());
        encoder.encode_up_to(limit, prefetched(texts), worker, &mut self.ids, &mut self.ends);
    }

    /// Makes room for the ids of `bytes` of text that is not there yet.
    pub fn reserve(&mut self, bytes: usize) {
        // A third is more than most texts need; what is not written costs nothing.
        huge::reserve(&mut self.ids, bytes / 3);
    }

    /// Makes room for the ids of texts of `bytes` in all, as many as the beginnings of some let expect, of each at most `limit`.
    ///
    /// Growing is a copy to small pages, which took a tenth of all time, and memory of more than 32 MiB is taken from the
    /// system anew for each batch.
    fn make_room(&mut self, encoder: &Encoder, texts: &[&str], bytes: usize, limit: usize) {
        let most = texts.len().saturating_mul(limit);
        if bytes < SAMPLED_FROM {
            return self.ids.reserve((bytes / 2).min(most));
        }
        let beginning = |text: &&'_ str| text.floor_char_boundary(SAMPLE.min(text.len()));
        let sample = texts.iter().step_by(texts.len().div_ceil(SAMPLES));
        let sample: Vec<&str> = sample.map(|text| &text[..beginning(text)]).collect();
        let mut rows = Self::default();
        encoder.with_worker(|worker| rows.encode(encoder, &sample, usize::MAX, worker));
        let times = bytes / sample.iter().map(|text| text.len()).sum::<usize>().max(1) + 1;
        huge::reserve(&mut self.ids, most.min(rows.ids.len() * times / 20 * 21 + SAMPLED_FROM / 8));
    }

    /// Moves the rows of `part` to the end of these.
    pub fn take(&mut self, part: &mut Self) {
        let start = self.ids.len() as i64;
        huge::append(&mut self.ids, &mut part.ids);
        self.ends.extend(part.ends.drain(..).map(|end| start + end));
    }

    /// No rows, with a first offset.
    #[must_use]
    pub fn empty() -> Self {
        Self { ids: Vec::new(), ends: vec![0] }
    }

    /// Ids, and where each row begins, with the end last.
    #[must_use]
    pub fn finish(self) -> (Vec<i32>, Vec<i64>) {
        (signed(self.ids), self.ends)
    }
}

/// Encodes all texts, or the first `limit` ids of each.
#[must_use]
pub fn encode_batch(encoder: &Encoder, texts: &[&str], limit: usize, threads: usize) -> Rows {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let threads = thread_count(threads, bytes);
    if threads > 1 {
        return encode_incoming(encoder, limit, threads, |incoming| incoming.finish(texts)).1;
    }
    let mut rows = Rows::empty();
    rows.make_room(encoder, texts, bytes, limit);
    encoder.with_worker(|worker| rows.encode(encoder, texts, limit, worker));
    rows
}

/// Encodes texts as [`encode_batch`] does, the first of them while `main` still shows further ones; also returns what it does.
///
/// If `main` does not finish them, rows are missing.
pub fn encode_incoming<'t, R>(
    encoder: &Encoder,
    limit: usize,
    threads: usize,
    main: impl FnOnce(IncomingRows<'_, 't>) -> R,
) -> (R, Rows) {
    let (feed, rows) = (Feed::default(), Mutex::new(Rows::empty()));
    let queue = Mutex::new(Queue::closed(|part: &mut Rows| lock(&rows).take(part)));
    let work = || {
        let mut part = Rows::default();
        while let Some((unit, texts)) = feed.take() {
            encoder.with_worker(|worker| part.encode(encoder, texts, limit, worker));
            part = lock(&queue).put(unit, part);
        }
    };
    let open = |texts: &[&str], bytes| {
        lock(&rows).make_room(encoder, texts, bytes, limit);
        lock(&queue).open();
    };
    let result = feed.work(threads, &work, |incoming| main(IncomingRows { incoming, open: &open }));
    (result, rows.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Texts on their way to rows.
pub struct IncomingRows<'a, 't> {
    incoming: Incoming<'a, 't>,
    /// Makes room for all rows, and has them joined.
    open: &'a (dyn Fn(&[&str], usize) + Sync),
}

impl<'t> IncomingRows<'_, 't> {
    /// Shows all texts that are there so far; those shown before come first.
    pub fn show(&mut self, texts: &'t [&'t str]) {
        self.incoming.show(texts);
    }

    /// Encodes all texts to their end; those shown before come first.
    pub fn finish(mut self, texts: &'t [&'t str]) {
        let bytes = self.incoming.end(texts);
        (self.open)(texts, bytes);
        self.incoming.work();
    }
}

/// Row offsets as an array holds them, checked to lie within `len` items and to ascend.
///
/// # Errors
/// [`Error::BrokenOffsets`] if they do not.
pub fn checked_offsets(offsets: &[i64], len: usize) -> Result<Vec<usize>> {
    let broken = |row: usize| Error::BrokenOffsets { row, offset: offsets.get(row).copied().unwrap_or(-1), len };
    let mut checked: Vec<usize> = Vec::with_capacity(offsets.len());
    for (row, &offset) in offsets.iter().enumerate() {
        let offset = usize::try_from(offset).map_err(|_| broken(row))?;
        if offset > len || checked.last().is_some_and(|&before| before > offset) {
            return Err(broken(row));
        }
        checked.push(offset);
    }
    if checked.is_empty() { Err(broken(0)) } else { Ok(checked) }
}

/// Runs `decode` on all rows of `ids`, which begin and end at `offsets`, and returns what it gives in order.
#[must_use]
pub fn decode_batch<T: Send>(
    ids: &[TokenId],
    offsets: &[usize],
    threads: usize,
    decode: impl Fn(&[TokenId]) -> T + Sync,
) -> Vec<T> {
    let threads = thread_count(threads, size_of_val(ids));
    let rows: Vec<_> = offsets.windows(2).map(|ends| &ids[ends[0]..ends[1]]).collect();
    let units = units(rows.iter().map(|row| size_of_val(*row) + 16), MIN_UNIT);
    let mut texts = Vec::with_capacity(rows.len());
    let fill = |unit: usize, part: &mut Vec<T>| part.extend(rows[units[unit].clone()].iter().map(|row| decode(row)));
    in_order(units.len(), threads, fill, |part| texts.append(part));
    texts
}

/// Rows of ids with their places in the texts, as columns.
#[derive(Clone, Debug, Default)]
pub struct AlignedRows {
    /// Ids.
    pub rows: Rows,
    /// Start and end of each id in its text, in characters, one pair after the other.
    pub offsets: Vec<i64>,
    /// Number of the word each id belongs to.
    pub word_ids: Vec<i64>,
}

impl AlignedRows {
    /// Appends the encoding of a text.
    pub(crate) fn push(&mut self, text: &[u8], mut encoding: Encoding, limit: usize) {
        encoding.truncate(limit);
        let spans = span::to_chars(text, &encoding.offsets);
        self.offsets.extend(spans.iter().flat_map(|&(start, end)| [start as i64, end as i64]));
        self.word_ids.extend(encoding.word_ids.iter().map(|&word| i64::from(word)));
        self.rows.ids.extend(encoding.ids);
        self.rows.ends.push(self.rows.ids.len() as i64);
    }
}

/// Encodes all texts, or the first `limit` ids of each, with their alignment; with `heads`, offsets are trimmed as if each token
/// were the first of a row.
#[must_use]
pub fn encode_aligned_batch(
    encoder: &Encoder,
    texts: &[&str],
    limit: usize,
    threads: usize,
    heads: bool,
) -> AlignedRows {
    let parts = map_units(texts, threads, |texts| {
        let mut part = AlignedRows::default();
        let align = |text: &str| encoder.align_up_to(text, limit, heads);
        texts.iter().for_each(|text| part.push(text.as_bytes(), align(text), limit));
        part
    });
    let mut all = AlignedRows { rows: Rows::empty(), ..AlignedRows::default() };
    for mut part in parts {
        all.rows.take(&mut part.rows);
        all.offsets.append(&mut part.offsets);
        all.word_ids.append(&mut part.word_ids);
    }
    all
}

/// The same ids, and the same memory, as numpy wants them.
fn signed(ids: Vec<TokenId>) -> Vec<i32> {
    let mut ids = std::mem::ManuallyDrop::new(ids);
    // SAFETY: both types are four plain bytes; vocabularies are too small for an id that would become negative.
    unsafe { Vec::from_raw_parts(ids.as_mut_ptr().cast(), ids.len(), ids.capacity()) }
}
