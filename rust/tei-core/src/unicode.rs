//! What a character is and what it folds to: flat tables, built at compile time, two loads a character.
//!
//! A *folding* is one of the four combinations of stripping accents (canonical decomposition, nonspacing marks dropped)
//! and lowercasing. Decomposition here is per character; where canonical *re-ordering* of marks could show, the entry
//! is a [`Entry::is_nonstarter`] and the caller takes the exact path (see `aligned.rs`).

#[allow(clippy::unreadable_literal, reason = "generated")]
mod tables {
    use super::Folding;
    include!(concat!(env!("OUT_DIR"), "/unicode_tables.rs"));
}
use tables::{EXPANSIONS, FOLDINGS};

const BLOCK_BITS: u32 = 7;
const VALUE: u32 = (1 << 21) - 1;
const HANGUL: u32 = 7;

/// One two-stage table.
#[derive(Debug)]
pub struct Folding {
    index: &'static [u16],
    entries: &'static [u32],
}

/// What the table knows of one character: properties of the source, and what it folds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(u32);

impl Folding {
    /// The table for a choice of options.
    #[must_use]
    pub fn of(strip_accents: bool, lowercase: bool) -> &'static Self {
        &FOLDINGS[usize::from(strip_accents) * 2 + usize::from(lowercase)]
    }

    /// The table that changes nothing: for properties alone.
    #[must_use]
    pub fn none() -> &'static Self {
        &FOLDINGS[0]
    }

    /// Looks a character up.
    #[inline]
    #[must_use]
    pub fn entry(&self, c: char) -> Entry {
        let cp = u32::from(c);
        let block = usize::from(self.index[(cp >> BLOCK_BITS) as usize]) << BLOCK_BITS;
        Entry(self.entries[block | (cp & ((1 << BLOCK_BITS) - 1)) as usize])
    }

    /// Calls `emit` with each character that `c` folds to, and whether that one is punctuation.
    #[inline]
    pub fn fold(&self, c: char, entry: Entry, mut emit: impl FnMut(char, bool)) {
        match entry.length() {
            0 => {}
            1 => emit(entry.single(c), entry.is_punctuation()),
            HANGUL => decompose_hangul(c, |jamo| emit(jamo, false)),
            n => {
                for &part in &EXPANSIONS[(entry.0 & VALUE) as usize..][..n as usize] {
                    emit(scalar(part & VALUE), Entry(part).is_punctuation());
                }
            }
        }
    }
}

impl Entry {
    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    #[inline]
    fn length(self) -> u32 {
        self.0 >> 21 & 7
    }

    #[inline]
    fn single(self, c: char) -> char {
        scalar((u32::from(c) + (self.0 & VALUE)) & VALUE)
    }

    /// Whether the character folds to nothing.
    #[inline]
    #[must_use]
    pub fn is_dropped(self) -> bool {
        self.length() == 0
    }

    /// Removed by BERT's cleaning: NUL, U+FFFD, and the categories Cc, Cf, Co but tab, newline, carriage return.
    #[inline]
    #[must_use]
    pub fn is_control(self) -> bool {
        self.has(24)
    }

    /// White space.
    #[inline]
    #[must_use]
    pub fn is_space(self) -> bool {
        self.has(25)
    }

    /// An ideograph that BERT sets apart as a word of its own.
    #[inline]
    #[must_use]
    pub fn is_ideograph(self) -> bool {
        self.has(26)
    }

    /// Whether the single character it folds to is punctuation.
    #[inline]
    #[must_use]
    pub fn is_punctuation(self) -> bool {
        self.has(27)
    }

    /// A mark that survives folding and takes part in canonical re-ordering.
    #[inline]
    #[must_use]
    pub fn is_nonstarter(self) -> bool {
        self.has(28)
    }

    /// A word character in the sense of a regular expression's `\w`.
    #[inline]
    #[must_use]
    pub fn is_word(self) -> bool {
        self.has(29)
    }

    /// A digit, a letter number, or any other number.
    #[inline]
    #[must_use]
    pub fn is_numeric(self) -> bool {
        self.has(30)
    }
}

fn scalar(value: u32) -> char {
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Hangul syllables decompose by arithmetic (The Unicode Standard, section 3.12); a table would be 11,172 rows.
pub(crate) fn decompose_hangul(c: char, mut emit: impl FnMut(char)) {
    let syllable = u32::from(c) - 0xAC00;
    emit(scalar(0x1100 + syllable / 588));
    emit(scalar(0x1161 + syllable % 588 / 28));
    if syllable % 28 != 0 {
        emit(scalar(0x11A7 + syllable % 28));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(c: char, strip: bool, lower: bool) -> String {
        let folding = Folding::of(strip, lower);
        let mut out = String::new();
        folding.fold(c, folding.entry(c), |d, _| out.push(d));
        out
    }

    #[test]
    fn folds_by_options() {
        for (c, strip, lower, want) in [
            ('É', true, true, "e"),
            ('É', false, true, "é"),
            ('É', true, false, "E"),
            ('É', false, false, "É"),
            ('\u{301}', true, true, ""),
            ('한', true, true, "\u{1112}\u{1161}\u{11AB}"),
            ('İ', false, true, "i\u{307}"),
            ('豈', true, true, "豈"),
        ] {
            assert_eq!(folded(c, strip, lower), want, "{c} strip={strip} lower={lower}");
        }
    }

    #[test]
    fn knows_properties() {
        let of = |c| Folding::none().entry(c);
        assert!(of('\u{a0}').is_space() && of('、').is_punctuation() && of('中').is_ideograph());
        assert!(of('\u{ad}').is_control() && !of('\n').is_control() && of('é').is_word());
    }
}
