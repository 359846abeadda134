//! What a scanner finds, as it is handed over.
use crate::folder::{Folder, begins_ideograph};
use crate::packed::{PackedWord, Wide};

/// Consecutive words, and after how many of them texts end.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub(super) folded: &'a [u8],
    pub(super) starts: &'a [u32],
    pub(super) ends: &'a [u32],
    pub(super) singles: &'a [u32],
    pub(super) texts: &'a [u32],
    /// Whether what begins with an ideograph may be several of them.
    pub(super) runs: bool,
    /// Whether their text was ASCII.
    pub(super) plain: bool,
    /// What folds the letters that stay as they are.
    pub(super) letters: Option<&'a Folder>,
}

impl<'a> Found<'a> {
    /// A single word, without the end of its text.
    #[must_use]
    pub fn one(word: &'a [u8], end: &'a [u32; 1]) -> Self {
        Self { starts: &[0], ..Self::new(word, &[], end, &[]) }
    }

    /// Words by where they begin and end in `folded`, which has 16 bytes more than they need, and after how many texts end.
    #[must_use]
    pub(crate) fn new(folded: &'a [u8], starts: &'a [u32], ends: &'a [u32], texts: &'a [u32]) -> Self {
        Self { folded, starts, ends, singles: &[], texts, runs: false, plain: false, letters: None }
    }

    /// The same, with as many ends as starts for the compiler to see, which then checks no index below their number.
    #[inline(always)]
    #[must_use]
    pub fn even(self) -> Self {
        Self { ends: &self.ends[..self.starts.len()], ..self }
    }

    /// So many words at a time, without the ends of texts.
    #[inline(always)]
    pub fn parts(self, words: usize) -> impl Iterator<Item = Self> {
        let parts = self.starts.chunks(words).zip(self.ends.chunks(words));
        parts.map(move |(starts, ends)| Self { starts, ends, texts: &[], ..self }.even())
    }

    /// Number of words.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Where each word begins.
    #[inline(always)]
    #[must_use]
    pub fn starts(&self) -> &'a [u32] {
        self.starts
    }

    /// Calls `count` with each word of one byte, if those come apart, and the lane of `N` it is in; they are ASCII.
    #[inline(always)]
    pub fn each_single<const N: usize>(&self, mut count: impl FnMut(u8, usize)) {
        let (rows, rest) = self.singles.as_chunks::<N>();
        let mut row =
            |places: &[u32]| places.iter().enumerate().for_each(|(lane, at)| count(self.folded[*at as usize], lane));
        rows.iter().for_each(|places| row(places));
        row(rest);
    }

    /// For each text that ends among these words how many come before its end; the words behind belong to a text that goes on.
    #[inline(always)]
    #[must_use]
    pub fn texts(&self) -> &'a [u32] {
        self.texts
    }

    /// The `i`-th word.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self, i: usize) -> &'a [u8] {
        &self.folded[self.starts[i] as usize..self.ends[i] as usize]
    }

    /// Whether the `i`-th word is a run of ideographs, each of which is a word, see [`Words::BRIEF`](super::Words::BRIEF).
    #[inline(always)]
    #[must_use]
    pub fn is_run(&self, i: usize) -> bool {
        self.runs && self.folded[self.starts[i] as usize..].first_chunk().is_some_and(|utf8| begins_ideograph(*utf8))
    }

    /// Whether a packed word is such a run.
    #[inline(always)]
    #[must_use]
    pub fn begins_run(&self, word: PackedWord) -> bool {
        self.runs && begins_ideograph(word.first())
    }

    /// The `i`-th word as tokens spell it; `scratch` is what its letters are folded in.
    pub fn spelled<'s>(&self, i: usize, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        let word = self.bytes(i);
        self.letters.map_or(word, |folder| folder.fold_letters(word, scratch))
    }

    /// Whether the text was ASCII, whose words are mostly frequent ones, and none of them a run of ideographs.
    #[inline(always)]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain & !self.runs
    }

    /// The `i`-th word, packed, if it is not too long.
    #[inline(always)]
    #[must_use]
    pub fn packed(&self, i: usize) -> Option<PackedWord> {
        PackedWord::read(self.folded, self.starts[i] as usize, self.ends[i].wrapping_sub(self.starts[i]) as usize)
    }

    /// The `i`-th word, packed wide.
    #[inline(always)]
    #[must_use]
    pub fn wide<const N: usize>(&self, i: usize) -> Option<Wide<N>> {
        let (start, len) = (self.starts[i] as usize, (self.ends[i] - self.starts[i]) as usize);
        Wide::read(self.folded, start, len)
    }

    /// All words.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).map(move |i| self.bytes(i))
    }
}
