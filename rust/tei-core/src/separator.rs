//! Where one text ends and the next begins.
use memchr::memchr;
use memchr::memmem::{Finder, rfind};

/// What stands between the texts of a file: any string that is not empty.
///
/// Texts are what `str.split` makes of the whole, but for an empty one at the very end: a separator there ends the last
/// text and begins none. A line feed also ends a text together with a carriage return before it.
#[derive(Clone, Debug)]
pub struct Separator {
    /// In a box: it holds vectors of 32 bytes, and an object of Python's lies on 16.
    finder: Box<Finder<'static>>,
    /// Whether two of them may overlap, as in three line feeds: then they can be told apart only from the first text on.
    overlaps: bool,
    lines: bool,
}

impl Separator {
    /// None if `separator` is empty.
    #[must_use]
    pub fn new(separator: &str) -> Option<Self> {
        let overlaps = (1..separator.len()).any(|n| separator.as_bytes().ends_with(&separator.as_bytes()[..n]));
        let finder = Box::new(Finder::new(separator).into_owned());
        (!separator.is_empty()).then_some(Self { finder, overlaps, lines: separator == "\n" })
    }

    /// The end of the last separator in `bytes`, which begin with a text, or 0.
    #[must_use]
    pub fn last_end(&self, bytes: &[u8]) -> usize {
        let needle = self.finder.needle();
        let last = if self.overlaps { self.finder.find_iter(bytes).last() } else { rfind(bytes, needle) };
        last.map_or(0, |start| start + needle.len())
    }

    /// The texts in `whole`, which begins with one.
    pub fn split<'t>(&self, whole: &'t str) -> impl Iterator<Item = &'t str> {
        let (mut next, needle) = ((!whole.is_empty()).then_some(whole), self.finder.needle());
        std::iter::from_fn(move || {
            let rest = next?;
            let found = match *needle {
                [byte] => memchr(byte, rest.as_bytes()),
                _ => self.finder.find(rest.as_bytes()),
            };
            let (text, after) = match found {
                Some(end) => (&rest[..end], &rest[end + needle.len()..]),
                None => (rest, ""),
            };
            next = (!after.is_empty()).then_some(after);
            Some(if self.lines { text.strip_suffix('\r').unwrap_or(text) } else { text })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule, word for word.
    fn slow(whole: &str, separator: &str) -> Vec<String> {
        let mut texts: Vec<_> = whole.split(separator).map(str::to_owned).collect();
        if texts.last().is_some_and(String::is_empty) {
            texts.pop();
        }
        if separator == "\n" {
            texts = texts.iter().map(|text| text.strip_suffix('\r').unwrap_or(text).to_owned()).collect();
        }
        texts
    }

    proptest! {
        #[test]
        fn equals_the_rule(whole in "[ab\r\né]{0,12}", separator in "(a|b|\n|é|aa|aba|\n\n|ab)") {
            let found = Separator::new(&separator).map(|s| s.split(&whole).map(str::to_owned).collect());
            prop_assert_eq!(found, Some(slow(&whole, &separator)));
        }

        #[test]
        fn the_last_end_is_where_a_text_begins(whole in "[ab\r\né]{0,12}", separator in "(a|\n|é|aa|aba|\n\n|ab)") {
            let end = Separator::new(&separator).map_or(0, |s| s.last_end(whole.as_bytes()));
            let parts = [slow(&whole[..end], &separator), slow(&whole[end..], &separator)].concat();
            prop_assert_eq!(parts, slow(&whole, &separator));
            prop_assert!(!whole[end..].contains(&separator));
        }
    }

    #[test]
    fn an_empty_separator_is_none() {
        assert!(Separator::new("").is_none());
    }
}
