//! Where words begin and end: any sequence of pre-tokenizers, as one pass over characters.
//!
//! Each pre-tokenizer sorts characters into classes, drops the characters of one class or none, and cuts between two
//! neighbours by their classes alone. So the order of pre-tokenizers is of no matter, and all of them together are a
//! set of dropped classes and a table of cuts.
use std::ops::Range;

use crate::normalizer::AlignedChar;
use crate::unicode::Folding;
use crate::{Error, Result};

/// What happens to a character that words are split at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// One pre-tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// White space is removed.
    Space,
    /// White space is removed; runs of word characters and runs of the others are words.
    Words,
    Punctuation(Behavior),
    Digits(Behavior),
}

/// The class of a character: a set of four properties.
pub(crate) type Class = usize;
const SPACE: Class = 1;
const WORD: Class = 2;
const PUNCTUATION: Class = 4;
const NUMERIC: Class = 8;
const CLASSES: usize = 16;

/// A compiled sequence of pre-tokenizers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splitter {
    /// Classes whose characters are no part of a word.
    dropped: [bool; CLASSES],
    /// Whether a word ends between a class and the next.
    cuts: [[bool; CLASSES]; CLASSES],
}

impl Splitter {
    /// Compiles pre-tokenizers, each its name in `tokenizers` and its arguments; without any, a text is one word.
    ///
    /// # Errors
    /// [`Error::UnknownStep`] if there is no such pre-tokenizer.
    pub fn parse<W: AsRef<str>>(steps: &[Vec<W>]) -> Result<Self> {
        let mut splitter = Self::default();
        for step in steps {
            parse(step)?.iter().for_each(|split| splitter.add(*split));
        }
        Ok(splitter)
    }

    /// White space removed, punctuation isolated: BERT's pre-tokenizer.
    #[must_use]
    pub fn bert() -> Self {
        let mut splitter = Self::default();
        BERT.iter().for_each(|split| splitter.add(*split));
        splitter
    }

    fn add(&mut self, split: Split) {
        for class in 0..CLASSES {
            self.dropped[class] |= split.drops(class);
            for next in 0..CLASSES {
                self.cuts[class][next] |= split.cuts(class, next);
            }
        }
    }

    /// The words of characters, as ranges.
    #[must_use]
    pub fn split(&self, chars: &[AlignedChar]) -> Vec<Range<usize>> {
        let mut words = Vec::new();
        self.each(chars.iter().map(|a| class(a.c)), |word| words.push(word));
        words
    }

    /// Whether characters of a class are no part of a word.
    pub(crate) fn drops(&self, class: Class) -> bool {
        self.dropped[class]
    }

    /// Calls `word` with the range of each word in a sequence of classes.
    #[inline]
    pub(crate) fn each(&self, classes: impl Iterator<Item = Class>, mut word: impl FnMut(Range<usize>)) {
        let (mut open, mut before, mut len) = (None, 0, 0);
        for (i, class) in classes.enumerate() {
            let drop = self.dropped[class];
            if let Some(start) = open.filter(|_| drop || self.cuts[before][class]) {
                word(start..i);
                open = None;
            }
            if !drop {
                open.get_or_insert(i);
            }
            (before, len) = (class, i + 1);
        }
        if let Some(start) = open {
            word(start..len);
        }
    }
}

const BERT: [Split; 2] = [Split::Space, Split::Punctuation(Behavior::Isolated)];

fn parse(words: &[impl AsRef<str>]) -> Result<Vec<Split>> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let unknown = || Error::UnknownStep { kind: "pre-tokenizer", step: words.join(" ") };
    Ok(match *words.as_slice() {
        ["BertPreTokenizer"] => BERT.to_vec(),
        ["Whitespace"] => vec![Split::Words],
        ["WhitespaceSplit"] => vec![Split::Space],
        ["Punctuation", behavior] => vec![Split::Punctuation(Behavior::parse(behavior).ok_or_else(unknown)?)],
        ["Digits"] => vec![Split::Digits(Behavior::Contiguous)],
        ["Digits", "individual_digits"] => vec![Split::Digits(Behavior::Isolated)],
        _ => return Err(unknown()),
    })
}

impl Behavior {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Removed" => Self::Removed,
            "Isolated" => Self::Isolated,
            "MergedWithPrevious" => Self::MergedWithPrevious,
            "MergedWithNext" => Self::MergedWithNext,
            "Contiguous" => Self::Contiguous,
            _ => return None,
        })
    }

    /// Whether a word ends between two characters, each of which is a delimiter or not.
    fn cuts(self, one: bool, next: bool) -> bool {
        (one || next)
            && match self {
                Self::Removed | Self::Isolated => true,
                Self::Contiguous => one != next,
                Self::MergedWithPrevious => one || !next,
                Self::MergedWithNext => next || !one,
            }
    }
}

impl Split {
    fn drops(self, class: Class) -> bool {
        let (dropped, is_dropped) = match self {
            Self::Space | Self::Words => (SPACE, true),
            Self::Punctuation(behavior) => (PUNCTUATION, behavior == Behavior::Removed),
            Self::Digits(behavior) => (NUMERIC, behavior == Behavior::Removed),
        };
        is_dropped && class & dropped != 0
    }

    fn cuts(self, class: Class, next: Class) -> bool {
        let differ = |properties: Class| class & properties != next & properties;
        match self {
            Self::Space => differ(SPACE),
            Self::Words => differ(SPACE | WORD),
            Self::Punctuation(behavior) => behavior.cuts(class & PUNCTUATION != 0, next & PUNCTUATION != 0),
            Self::Digits(behavior) => behavior.cuts(class & NUMERIC != 0, next & NUMERIC != 0),
        }
    }
}

/// The class of a character.
pub(crate) fn class(c: char) -> Class {
    let entry = Folding::none().entry(c);
    let properties = [entry.is_space(), entry.is_word(), entry.is_punctuation(), entry.is_numeric()];
    properties.iter().enumerate().map(|(i, &has)| usize::from(has) << i).sum()
}
