//! Text → normalized text, with the place in the source that each character comes from.
//!
//! This is the exact, step-by-step definition: one pass a step, as BERT's normalizer is written in Hugging Face
//! `tokenizers`. It serves offsets and the rare texts that need canonical re-ordering; ids come from `scanner.rs`, which
//! fuses all steps, and tests hold the two equal.
use unicode_normalization_alignments::{UnicodeNormalization, char::canonical_combining_class};

use crate::unicode::Folding;

/// BERT's normalization: which of its four steps are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches of a published file format")]
pub struct Normalizer {
    /// Remove control characters, turn white space into blanks.
    pub clean_text: bool,
    /// Set every ideograph apart as a word of its own.
    pub split_ideographs: bool,
    /// Decompose canonically and drop nonspacing marks.
    pub strip_accents: bool,
    /// Lowercase each character.
    pub lowercase: bool,
}

/// A character of the normalized text and the byte span of the source it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlignedChar {
    /// The normalized character.
    pub c: char,
    /// First source byte.
    pub start: usize,
    /// One past the last source byte.
    pub end: usize,
}

impl AlignedChar {
    pub(crate) fn with(self, c: char) -> Self {
        Self { c, ..self }
    }
}

/// The characters of `text`, each with its own span; spans are byte offsets into `text` plus `base`.
#[must_use]
pub fn align(text: &str, base: usize) -> Vec<AlignedChar> {
    text.char_indices().map(|(i, c)| AlignedChar { c, start: base + i, end: base + i + c.len_utf8() }).collect()
}

/// The text of normalized characters, and for each of its bytes the character it belongs to.
#[must_use]
pub fn flatten(chars: &[AlignedChar]) -> (String, Vec<usize>) {
    let text: String = chars.iter().map(|a| a.c).collect();
    let owners = chars.iter().enumerate().flat_map(|(i, a)| std::iter::repeat_n(i, a.c.len_utf8())).collect();
    (text, owners)
}

/// Gives new characters the spans of old ones, by position: a character that comes with 1 shares the span before it, one
/// that comes with 0 or -n takes the next span and skips n more.
///
/// This is how `tokenizers` aligns what the normal forms yield, after marks are re-ordered, and so must this.
pub(crate) fn realign(chars: &[AlignedChar], changed: impl Iterator<Item = (char, isize)>) -> Vec<AlignedChar> {
    let mut next = 0_usize;
    let align = |(c, change): (char, isize)| {
        let source = if change > 0 { next.saturating_sub(1) } else { next };
        next += if change > 0 { 0 } else { 1 + change.unsigned_abs() };
        chars[source].with(c)
    };
    changed.map(align).collect()
}

impl Normalizer {
    /// The switches in the order their steps are taken.
    #[must_use]
    pub fn switches(&self) -> [bool; 4] {
        [self.clean_text, self.split_ideographs, self.strip_accents, self.lowercase]
    }

    /// The inverse of [`Normalizer::switches`].
    #[must_use]
    pub fn from_switches([clean_text, split_ideographs, strip_accents, lowercase]: [bool; 4]) -> Self {
        Self { clean_text, split_ideographs, strip_accents, lowercase }
    }

    /// The table that folds one character as this normalizer does.
    #[must_use]
    pub fn folding(&self) -> &'static Folding {
        Folding::of(self.strip_accents, self.lowercase)
    }

    /// Normalizes `text`; spans are byte offsets into `text` plus `base`.
    #[must_use]
    pub fn normalize(&self, text: &str, base: usize) -> Vec<AlignedChar> {
        self.apply(align(text, base))
    }

    /// Normalizes characters, which keep the spans they have.
    #[must_use]
    pub fn apply(&self, mut chars: Vec<AlignedChar>) -> Vec<AlignedChar> {
        if self.clean_text {
            clean(&mut chars);
        }
        if self.split_ideographs {
            chars = chars.into_iter().flat_map(set_apart).collect();
        }
        if self.strip_accents {
            chars = realign(&chars, chars.iter().map(|a| a.c).nfd());
            chars.retain(|a| !is_nonspacing(a.c));
        }
        if self.lowercase {
            chars = chars.into_iter().flat_map(|a| a.c.to_lowercase().map(move |c| a.with(c))).collect();
        }
        chars
    }

    /// The first steps of [`Normalizer::normalize`] without spans, up to where marks have changed places.
    ///
    /// Marks that will be dropped are left out before, unless they keep others from changing places: sorting takes longest.
    pub(crate) fn decompose(&self, text: &str) -> impl Iterator<Item = char> {
        debug_assert!(self.strip_accents, "else no mark changes its place");
        let properties = Folding::none();
        let marks = Folding::of(true, false);
        let moves = |c: char| marks.entry(c).is_dropped() && canonical_combining_class(c) != 0;
        let clean = move |c: &char| !(self.clean_text && properties.entry(*c).is_control()) && !moves(*c);
        let chars = text.chars().filter(clean).flat_map(|c| {
            let blank = (self.split_ideographs && properties.entry(c).is_ideograph()).then_some(' ');
            blank.into_iter().chain([c]).chain(blank)
        });
        chars.nfd().map(|(c, _)| c)
    }
}

fn clean(chars: &mut Vec<AlignedChar>) {
    let properties = Folding::none();
    chars.retain(|a| !properties.entry(a.c).is_control());
    for a in chars {
        if properties.entry(a.c).is_space() {
            a.c = ' ';
        }
    }
}

fn set_apart(a: AlignedChar) -> impl Iterator<Item = AlignedChar> {
    let ideograph = Folding::none().entry(a.c).is_ideograph();
    let blank = ideograph.then(|| a.with(' '));
    blank.into_iter().chain([a]).chain(blank)
}

fn is_nonspacing(c: char) -> bool {
    unicode_categories::UnicodeCategories::is_mark_nonspacing(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNCASED: Normalizer =
        Normalizer { clean_text: true, split_ideographs: true, strip_accents: true, lowercase: true };

    fn text(chars: &[AlignedChar]) -> String {
        chars.iter().map(|a| a.c).collect()
    }

    #[test]
    fn normalizes_as_bert_does() {
        for (source, want) in [("Ça\tVA", "ca va"), ("a\u{0}b\u{FFFD}c", "abc"), ("日本x", " 日  本 x"), ("İ", "i")]
        {
            assert_eq!(text(&UNCASED.normalize(source, 0)), want, "{source:?}");
        }
    }

    #[test]
    fn spans_point_into_the_source() {
        let chars = UNCASED.normalize("Éa\u{0}b", 10);
        assert_eq!(chars.iter().map(|a| (a.start, a.end)).collect::<Vec<_>>(), [(10, 12), (12, 13), (14, 15)]);
    }
}
