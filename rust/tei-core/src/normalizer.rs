//! Text → normalized text, with the place in the source that each character comes from.
//!
//! This is the exact, step-by-step definition: one pass a step, as BERT's normalizer is written in Hugging Face
//! `tokenizers`. It serves offsets and the rare texts that need canonical re-ordering; ids come from `scanner.rs`, which
//! fuses all steps, and tests hold the two equal.
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

use crate::unicode::Folding;

/// BERT's normalization: which of its four steps are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    fn with(self, c: char) -> Self {
        Self { c, ..self }
    }
}

impl Normalizer {
    /// The table that folds one character as this normalizer does.
    #[must_use]
    pub fn folding(&self) -> &'static Folding {
        Folding::of(self.strip_accents, self.lowercase)
    }

    /// Normalizes `text`; spans are byte offsets into `text` plus `base`.
    #[must_use]
    pub fn normalize(&self, text: &str, base: usize) -> Vec<AlignedChar> {
        let spans = text.char_indices().map(|(i, c)| AlignedChar { c, start: base + i, end: base + i + c.len_utf8() });
        let mut chars: Vec<_> = spans.collect();
        if self.clean_text {
            clean(&mut chars);
        }
        if self.split_ideographs {
            chars = chars.into_iter().flat_map(set_apart).collect();
        }
        if self.strip_accents {
            chars = strip_accents(&chars);
        }
        if self.lowercase {
            chars = chars.into_iter().flat_map(|a| a.c.to_lowercase().map(move |c| a.with(c))).collect();
        }
        chars
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

/// Canonical decomposition, then the marks that are not nonspacing.
///
/// `tokenizers` hands source spans out by position *after* marks are re-ordered, and so must this.
fn strip_accents(chars: &[AlignedChar]) -> Vec<AlignedChar> {
    let mut parts: Vec<(u8, char, bool)> = Vec::with_capacity(chars.len());
    for a in chars {
        let mut first = true;
        decompose_canonical(a.c, |c| {
            parts.push((canonical_combining_class(c), c, first));
            first = false;
        });
    }
    for run in parts.chunk_by_mut(|a, b| a.0 != 0 && b.0 != 0) {
        run.sort_by_key(|part| part.0);
    }
    let mut next = 0;
    let mut aligned = Vec::with_capacity(parts.len());
    for (_, c, first) in parts {
        next += usize::from(first);
        let source = next.checked_sub(1).map_or(AlignedChar { c, start: 0, end: 0 }, |i| chars[i]);
        if !is_nonspacing(c) {
            aligned.push(source.with(c));
        }
    }
    aligned
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
