//! Rows that are cut to a length: which text of a pair gives, how windows of a text overlap, in which order they come.
use std::ops::Range;

use super::Window;
use crate::{Error, Result};

/// Which text of a pair is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The longer one down to the shorter one, then both.
    LongestFirst,
    /// The first.
    OnlyFirst,
    /// The second.
    OnlySecond,
}

impl Strategy {
    /// As users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LongestFirst => "longest_first",
            Self::OnlyFirst => "only_first",
            Self::OnlySecond => "only_second",
        }
    }
}

/// How rows are cut.
#[derive(Clone, Copy, Debug)]
pub struct Truncation {
    /// Which text is cut.
    pub strategy: Strategy,
    /// How many ids of text a row may hold.
    pub room: usize,
    /// How many ids each window of a text has in common with the one before it.
    pub stride: usize,
    /// Whether what is cut off makes rows of its own.
    pub overflow: bool,
    /// Whether texts keep their ends, and are cut from there on.
    pub left: bool,
}

impl Truncation {
    /// Appends the rows that one text or pair makes which does not fit; `swapped` says whether a pair's second text comes first.
    pub(super) fn cut(
        &self,
        sample: usize,
        texts: &[Range<usize>; 2],
        pair: Option<bool>,
        rows: &mut Vec<Window>,
    ) -> Result<()> {
        let kept = self.kept(sample, texts[0].len(), pair.map(|_| texts[1].len()))?;
        if !self.overflow {
            let texts = [0, 1].map(|i| self.window(&texts[i], kept[i], 0));
            rows.push(Window { sample, texts, further: [false; 2] });
            return Ok(());
        }
        let windows = [self.windows(&texts[0], kept[0])?, self.windows(&texts[1], kept[1])?];
        let [outer, inner] = if pair == Some(true) { [1, 0] } else { [0, 1] };
        let mut push = |a: usize, b: usize| {
            let at = if outer == 0 { [a, b] } else { [b, a] };
            let texts = [0, 1].map(|i| windows[i][at[i]].clone());
            rows.push(Window { sample, texts, further: at.map(|at| at > 0) });
        };
        push(0, 0);
        (1..windows[outer].len()).for_each(|a| (0..windows[inner].len()).for_each(|b| push(a, b)));
        (1..windows[inner].len()).for_each(|b| push(0, b));
        Ok(())
    }

    /// `kept` ids of a text, `at` ids away from where it is first cut.
    fn window(&self, text: &Range<usize>, kept: usize, at: usize) -> Range<usize> {
        if self.left {
            (text.end - at).saturating_sub(kept).max(text.start)..text.end - at
        } else {
            text.start + at..(text.start + at + kept).min(text.end)
        }
    }

    /// How many ids of each text a row keeps.
    fn kept(&self, sample: usize, first: usize, second: Option<usize>) -> Result<[usize; 2]> {
        let left = |other: usize| {
            let kept = self.room.saturating_sub(other);
            let nothing = Error::NothingLeft { row: sample, room: self.room, strategy: self.strategy.name() };
            if kept == 0 { Err(nothing) } else { Ok(kept) }
        };
        match (self.strategy, second) {
            _ if self.room == 0 => Ok([0, 0]),
            (Strategy::OnlySecond, None) => Err(Error::NoSecondText { row: sample, room: self.room }),
            (_, None) => Ok([self.room, 0]),
            (Strategy::LongestFirst, Some(second)) => Ok(longest_first(first, second, self.room)),
            (Strategy::OnlyFirst, Some(second)) => Ok([left(second)?, second]),
            (Strategy::OnlySecond, Some(_)) => Ok([first, left(first)?]),
        }
    }

    fn windows(&self, text: &Range<usize>, kept: usize) -> Result<Vec<Range<usize>>> {
        if kept >= text.len() {
            return Ok(vec![text.clone()]);
        }
        if kept == 0 {
            return Ok(vec![text.start..text.start, text.clone()]);
        }
        if self.stride >= kept {
            return Err(Error::StrideTooLong { stride: self.stride, kept });
        }
        let count = 1 + (text.len() - kept).div_ceil(kept - self.stride);
        Ok((0..count).map(|i| self.window(text, kept, i * (kept - self.stride))).collect())
    }
}

/// Cuts the longer text down to the shorter one, then both.
fn longest_first(first: usize, second: usize, room: usize) -> [usize; 2] {
    let short = first.min(second);
    let long = if short > room { short } else { short.max(room - short) };
    let (short, long) = if short + long > room { (room / 2, room / 2 + room % 2) } else { (short, long) };
    if first > second { [long, short] } else { [short, long] }
}
