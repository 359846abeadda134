//! Rows of model inputs: parts of texts between special tokens, cut to a length and padded to a width.
//!
//! The rules, which text of a pair is cut, how windows overlap and in which order they come, are those of Hugging Face
//! `tokenizers`. A [`Layout`] says where everything goes; its columns are then written once, from the first place to the last.
mod truncation;

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Mutex;

use crate::arena::{Array, Item};
use crate::helpers::{self, lock};
use crate::parallel::{SHARES, thread_count};
use crate::{Error, Result};

pub use truncation::{Strategy, Truncation};

/// One part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A special token and its token type.
    Special(i64, i64),
    /// The text of this number, 0 or 1, and the token type of its ids: in the first window of the text, and in further ones.
    Text(usize, [i64; 2]),
}

/// How rows are padded.
#[derive(Clone, Copy, Debug)]
pub struct Padding {
    /// Least width of a row; None pads to the longest.
    pub width: Option<usize>,
    /// Widths are multiples of this.
    pub multiple: usize,
    /// Whether padding comes first.
    pub left: bool,
}

/// Where everything of a batch goes.
#[derive(Clone, Debug)]
pub struct Layout {
    parts: Vec<Part>,
    windows: Vec<Window>,
    row_offsets: Vec<usize>,
    left: bool,
    threads: usize,
}

/// One row: the text or pair it is of, and the places of each text's ids among all ids of that text's array.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    sample: usize,
    texts: [Range<usize>; 2],
    /// Whether each text is a further window, not the first.
    further: [bool; 2],
}

/// So many items, of 8 bytes at most, a column may have.
const MOST_ITEMS: usize = isize::MAX.cast_unsigned() / 8;

/// So many items are written in the time that a byte of text takes to be encoded.
const ITEMS_A_BYTE: usize = 8;

impl Layout {
    /// Places texts, whose ids begin and end at `row_offsets` (one array for each text of a pair), between special tokens.
    ///
    /// # Errors
    /// [`Error::NothingLeft`] if a strategy leaves nothing of a text that must be kept, [`Error::StrideTooLong`] if
    /// windows would not move on, and [`Error::RowsTooLong`] if no memory could hold the rows.
    pub fn new(
        parts: Vec<Part>,
        row_offsets: &[Vec<usize>],
        truncation: Option<Truncation>,
        padding: Option<Padding>,
    ) -> Result<Self> {
        let count = row_offsets.first().map_or(0, |offsets| offsets.len().saturating_sub(1));
        let swapped =
            parts.iter().find(|part| matches!(part, Part::Text(..))).is_some_and(|p| matches!(p, Part::Text(1, _)));
        let mut windows = Vec::with_capacity(count);
        for sample in 0..count {
            let range = |offsets: &Vec<usize>| offsets[sample]..offsets[sample + 1];
            let texts = [row_offsets.first().map_or(0..0, range), row_offsets.get(1).map_or(0..0, range)];
            match truncation {
                Some(truncation) if texts[0].len() + texts[1].len() > truncation.room => {
                    let pair = (row_offsets.len() > 1).then_some(swapped);
                    truncation.cut(sample, &texts, pair, &mut windows)?;
                }
                _ => windows.push(Window { sample, texts, further: [false; 2] }),
            }
        }
        let mut layout =
            Self { parts, windows, row_offsets: Vec::new(), left: padding.is_some_and(|p| p.left), threads: 1 };
        layout.row_offsets = layout.offsets(padding)?;
        Ok(layout)
    }

    /// The same, written by so many threads (0: choose by size).
    #[must_use]
    pub fn written_by(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    fn offsets(&self, padding: Option<Padding>) -> Result<Vec<usize>> {
        let lengths = self.windows.iter().map(|window| self.width(window));
        let mut width = 0;
        if let Some(padding) = padding {
            // The rows of what was cut off come after the first of their text, and do not count.
            let firsts = self.windows.chunk_by(|a, b| a.sample == b.sample).map(|rows| self.width(&rows[0]));
            width = padding.width.unwrap_or_else(|| firsts.max().unwrap_or(0));
            width = width.checked_next_multiple_of(padding.multiple.max(1)).unwrap_or(usize::MAX);
        }
        let (mut end, mut offsets) = (0_usize, Vec::with_capacity(self.windows.len() + 1));
        offsets.push(end);
        for len in lengths {
            // Saturated is too long as well.
            end = end.saturating_add(len.max(width));
            offsets.push(end);
        }
        let too_long = Error::RowsTooLong { rows: self.windows.len(), width, limit: MOST_ITEMS };
        if end > MOST_ITEMS { Err(too_long) } else { Ok(offsets) }
    }

    fn width(&self, window: &Window) -> usize {
        let len = |part: &Part| if let Part::Text(text, _) = *part { window.texts[text].len() } else { 1 };
        self.parts.iter().map(len).sum()
    }

    /// Where each row begins, and the end.
    #[must_use]
    pub fn row_offsets(&self) -> &[usize] {
        &self.row_offsets
    }

    /// The text or pair each row is of.
    pub fn samples(&self) -> impl Iterator<Item = i64> {
        self.windows.iter().map(|window| window.sample as i64)
    }

    /// The width of all rows, if it is one.
    #[must_use]
    pub fn one_width(&self) -> Option<usize> {
        let mut widths = self.row_offsets.windows(2).map(|w| w[1] - w[0]);
        let first = widths.next().unwrap_or(0);
        widths.all(|width| width == first).then_some(first)
    }

    /// Whether any row is padded.
    #[must_use]
    pub fn has_padding(&self) -> bool {
        let widths = self.row_offsets.windows(2).map(|w| w[1] - w[0]);
        self.windows.iter().zip(widths).any(|(window, width)| self.width(window) < width)
    }

    /// Ids: those of the special tokens, of the texts (one array for each of a pair), and of the padding.
    ///
    /// # Errors
    /// As for any column, [`Error::NoMemory`].
    pub fn ids<T: Item>(&self, texts: &[&[i32]], pad: T) -> Result<Array<T>> {
        self.column(
            pad,
            |id, _| T::from(id),
            |text, _, range, places| {
                for (place, &id) in places.iter_mut().zip(&texts[text][range]) {
                    place.write(T::from(id));
                }
            },
        )
    }

    /// Whether all token types are 0.
    #[must_use]
    pub fn has_one_type(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Special(_, 0) | Part::Text(_, [0, 0])))
    }

    /// Token types, 0 for padding.
    ///
    /// # Errors
    /// As for any column, [`Error::NoMemory`].
    pub fn types<T: Item>(&self) -> Result<Array<T>> {
        self.column(T::from(0), |_, kind| T::from(kind), |_, kind, _, places| fill(places, T::from(kind)))
    }

    /// 1 for ids, 0 for padding.
    ///
    /// # Errors
    /// As for any column, [`Error::NoMemory`].
    pub fn mask<T: Item>(&self) -> Result<Array<T>> {
        self.column(T::from(0), |_, _| T::from(1), |_, _, _, places| fill(places, T::from(1)))
    }

    /// 0 for ids of texts, 1 for special tokens and padding.
    ///
    /// # Errors
    /// As for any column, [`Error::NoMemory`].
    pub fn special_mask<T: Item>(&self) -> Result<Array<T>> {
        self.column(T::from(1), |_, _| T::from(1), |_, _, _, places| fill(places, T::from(0)))
    }

    /// Where each id comes from: its place among the ids of the first text, then of the second; -1 for all others.
    ///
    /// `firsts` are the numbers of ids before those of each text.
    ///
    /// # Errors
    /// As for any column, [`Error::NoMemory`].
    pub fn sources(&self, firsts: &[i64]) -> Result<Array<i64>> {
        self.column(
            -1,
            |_, _| -1,
            |text, _, range, places| {
                for (place, at) in places.iter_mut().zip(range) {
                    place.write(firsts[text] + at as i64);
                }
            },
        )
    }

    /// Number of items of a column.
    #[must_use]
    pub fn items(&self) -> usize {
        self.row_offsets.last().copied().unwrap_or(0)
    }

    /// Writes one column of all rows: `special` gives the item of a special token, `text` fills *all* places of a range.
    fn column<T: Item>(
        &self,
        pad: T,
        special: impl Fn(i64, i64) -> T + Sync,
        text: impl Fn(usize, i64, Range<usize>, &mut [MaybeUninit<T>]) + Sync,
    ) -> Result<Array<T>> {
        // SAFETY: rows follow each other without a gap, and `write` fills every place of a row.
        let array = unsafe { Array::fill(self.items(), |places| self.write_rows(places, pad, &special, &text)) };
        array.ok_or_else(|| Error::NoMemory { rows: self.windows.len(), bytes: self.items() * size_of::<T>() })
    }

    fn write_rows<T: Item>(
        &self,
        mut rest: &mut [MaybeUninit<T>],
        pad: T,
        special: &(impl Fn(i64, i64) -> T + Sync),
        text: &(impl Fn(usize, i64, Range<usize>, &mut [MaybeUninit<T>]) + Sync),
    ) {
        let (count, threads) = (self.windows.len(), thread_count(self.threads, rest.len() / ITEMS_A_BYTE));
        let step = count.div_ceil(SHARES * threads).max(1);
        let parts = (0..count).step_by(step).map(|first| {
            let rows = first..(first + step).min(count);
            let (out, after) = std::mem::take(&mut rest).split_at_mut(self.span(&rows));
            rest = after;
            (rows, out)
        });
        let parts = Mutex::new(parts);
        let next = || lock(&parts).next();
        helpers::run(threads, &|| {
            while let Some((rows, out)) = next() {
                self.write(rows, out, pad, special, text);
            }
        });
    }

    fn span(&self, rows: &Range<usize>) -> usize {
        self.row_offsets[rows.end] - self.row_offsets[rows.start]
    }

    fn write<T: Item>(
        &self,
        rows: Range<usize>,
        mut out: &mut [MaybeUninit<T>],
        pad: T,
        special: &impl Fn(i64, i64) -> T,
        text: &impl Fn(usize, i64, Range<usize>, &mut [MaybeUninit<T>]),
    ) {
        for row in rows {
            let (window, width) = (&self.windows[row], self.span(&(row..row + 1)));
            let before = if self.left { width - self.width(window) } else { 0 };
            let (mut places, rest) = out.split_at_mut(width);
            out = rest;
            places = put(places, before, |places| fill(places, pad));
            for part in &self.parts {
                places = match *part {
                    Part::Special(id, kind) => put(places, 1, |places| fill(places, special(id, kind))),
                    Part::Text(i, kinds) => {
                        let range = window.texts[i].clone();
                        let kind = kinds[usize::from(window.further[i])];
                        put(places, range.len(), |places| text(i, kind, range, places))
                    }
                };
            }
            fill(places, pad);
        }
    }
}

fn fill<T: Copy>(places: &mut [MaybeUninit<T>], item: T) {
    places.fill(MaybeUninit::new(item));
}

/// Fills the first `count` places and returns the others.
fn put<T>(
    places: &mut [MaybeUninit<T>],
    count: usize,
    fill: impl FnOnce(&mut [MaybeUninit<T>]),
) -> &mut [MaybeUninit<T>] {
    let (first, rest) = places.split_at_mut(count);
    fill(first);
    rest
}
