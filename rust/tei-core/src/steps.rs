//! Steps of normalization, one after the other, on characters that know where they come from.
//!
//! Each does what the normalizer of the same name in Hugging Face `tokenizers` does, spans included.
use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::is_combining_mark;

use crate::normalizer::{AlignedChar, Normalizer, flatten, realign};
use crate::{Error, Result};

/// One step of normalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// BERT's normalizer, or a part of it; lowercasing alone is one, too.
    Bert(Normalizer),
    /// Canonical composition.
    Nfc,
    /// Canonical decomposition.
    Nfd,
    /// Compatible composition.
    Nfkc,
    /// Compatible decomposition.
    Nfkd,
    /// Drop combining marks, as far as they are characters of their own.
    StripAccents,
    /// Drop white space at the ends of the text.
    Strip {
        /// At the start.
        left: bool,
        /// At the end.
        right: bool,
    },
    /// Replace a text wherever it occurs.
    Replace {
        /// What is replaced; not empty.
        from: String,
        /// What comes in its place.
        to: String,
    },
    /// Put a text in front, unless there is nothing.
    Prepend(String),
}

impl Step {
    /// Reads a step: its name in `tokenizers`, then its arguments, or the names of the switches that are on.
    ///
    /// # Errors
    /// [`Error::UnknownStep`] if there is no such step.
    pub fn parse(words: &[impl AsRef<str>]) -> Result<Self> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let unknown = || Error::UnknownStep { kind: "normalizer", step: words.join(" ") };
        match *words.as_slice() {
            ["BertNormalizer", ref switches @ ..] => bert(switches).map(Self::Bert).ok_or_else(unknown),
            ["Lowercase"] => Ok(Self::Bert(Normalizer { lowercase: true, ..Normalizer::default() })),
            ["NFC"] => Ok(Self::Nfc),
            ["NFD"] => Ok(Self::Nfd),
            ["NFKC"] => Ok(Self::Nfkc),
            ["NFKD"] => Ok(Self::Nfkd),
            ["StripAccents"] => Ok(Self::StripAccents),
            ["Strip", ref sides @ ..] if sides.iter().all(|side| ["left", "right"].contains(side)) => {
                Ok(Self::Strip { left: sides.contains(&"left"), right: sides.contains(&"right") })
            }
            ["Replace", from, to] if !from.is_empty() => Ok(Self::Replace { from: from.into(), to: to.into() }),
            ["Prepend", text] if !text.is_empty() => Ok(Self::Prepend(text.into())),
            _ => Err(unknown()),
        }
    }

    /// Applies the step.
    #[must_use]
    pub fn apply(&self, mut chars: Vec<AlignedChar>) -> Vec<AlignedChar> {
        match self {
            Self::Bert(normalizer) => normalizer.apply(chars),
            Self::Nfc => realign(&chars, chars.iter().map(|a| a.c).nfc()),
            Self::Nfd => realign(&chars, chars.iter().map(|a| a.c).nfd()),
            Self::Nfkc => realign(&chars, chars.iter().map(|a| a.c).nfkc()),
            Self::Nfkd => realign(&chars, chars.iter().map(|a| a.c).nfkd()),
            Self::StripAccents => {
                chars.retain(|a| !is_combining_mark(a.c));
                chars
            }
            Self::Strip { left, right } => strip(chars, *left, *right),
            Self::Replace { from, to } => replace(&chars, from, to),
            Self::Prepend(text) => prepend(chars, text),
        }
    }

    /// Whether the step treats each ASCII character alone, whatever is around it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Replace { from, .. } => from.chars().count() == 1,
            Self::Strip { left, right } => !left && !right,
            Self::Prepend(_) => false,
            _ => true,
        }
    }
}

fn bert(switches: &[&str]) -> Option<Normalizer> {
    let mut normalizer = Normalizer::default();
    for switch in switches {
        *match *switch {
            "clean_text" => &mut normalizer.clean_text,
            "handle_chinese_chars" => &mut normalizer.split_ideographs,
            "strip_accents" => &mut normalizer.strip_accents,
            "lowercase" => &mut normalizer.lowercase,
            _ => return None,
        } = true;
    }
    Some(normalizer)
}

fn strip(mut chars: Vec<AlignedChar>, left: bool, right: bool) -> Vec<AlignedChar> {
    let blank = |a: &&AlignedChar| a.c.is_whitespace();
    if right {
        chars.truncate(chars.len() - chars.iter().rev().take_while(blank).count());
    }
    if left {
        chars.drain(..chars.iter().take_while(blank).count());
    }
    chars
}

/// Every new character has the span of the last one it replaces.
fn replace(chars: &[AlignedChar], from: &str, to: &str) -> Vec<AlignedChar> {
    let (text, owners) = flatten(chars);
    let mut replaced = Vec::with_capacity(chars.len());
    let mut after = 0;
    for (start, found) in text.match_indices(from) {
        let last = owners[start + found.len() - 1];
        replaced.extend_from_slice(&chars[after..owners[start]]);
        replaced.extend(to.chars().map(|c| chars[last].with(c)));
        after = last + 1;
    }
    replaced.extend_from_slice(&chars[after..]);
    replaced
}

/// Every new character has the span of the one it is put before.
fn prepend(mut chars: Vec<AlignedChar>, text: &str) -> Vec<AlignedChar> {
    if let Some(&first) = chars.first() {
        chars.splice(..0, text.chars().map(|c| first.with(c)));
    }
    chars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizer::align;

    fn applied(step: &[&str], source: &str) -> (String, Vec<(usize, usize)>) {
        let chars = Step::parse(step).expect("a step").apply(align(source, 0));
        (flatten(&chars).0, chars.iter().map(|a| (a.start, a.end)).collect())
    }

    #[test]
    fn new_characters_point_at_old_ones() {
        assert_eq!(applied(&["NFD"], "éa"), ("e\u{301}a".into(), vec![(0, 2), (0, 2), (2, 3)]));
        assert_eq!(applied(&["NFC"], "e\u{301}a"), ("éa".into(), vec![(0, 1), (3, 4)]));
        assert_eq!(applied(&["Replace", "aa", "éx"], "baaa"), ("béxa".into(), vec![(0, 1), (2, 3), (2, 3), (3, 4)]));
        assert_eq!(applied(&["Strip", "left"], "  a "), ("a ".into(), vec![(2, 3), (3, 4)]));
        assert_eq!(applied(&["Prepend", "_"], "ab"), ("_ab".into(), vec![(0, 1), (0, 1), (1, 2)]));
        assert_eq!(applied(&["Prepend", "_"], ""), (String::new(), vec![]));
    }

    #[test]
    fn unknown_steps_are_named() {
        for step in [&["Nmt"][..], &["Replace", "", "a"], &["Strip", "middle"], &["BertNormalizer", "x"], &[]] {
            let unknown = Error::UnknownStep { kind: "normalizer", step: step.join(" ") };
            assert_eq!(Step::parse(step), Err(unknown));
        }
    }
}
