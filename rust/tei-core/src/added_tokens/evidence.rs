//! Whether normalizing a text could bring an added token to light, told without normalizing it: no is certain.
use aho_corasick::AhoCorasick;

use super::AddedToken;
use crate::rules::Rules;
use crate::unicode::Folding;

/// What a text must show if it holds one of the tokens.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Bytes that only themselves become; each token that is not among `letters` needs one of them.
    bytes: Vec<u8>,
    letters: Option<Letters>,
}

/// Tokens of visible ASCII, as BERT's rules make them of text.
#[derive(Clone, Debug)]
struct Letters {
    automaton: AhoCorasick,
    folding: &'static Folding,
}

impl Evidence {
    /// The evidence for normalized tokens; None if a text without any of it may still hold one.
    pub fn new(tokens: &[AddedToken], rules: &Rules) -> Option<Self> {
        let (mut bytes, mut letters) = (Vec::new(), Vec::new());
        for token in tokens.iter().filter(|token| !token.content.is_empty()) {
            let content = token.content.as_bytes();
            match (punctuation(content), rules.folding()) {
                _ if rules.is_bytes() => bytes.push(content[0]),
                (Some(byte), Some(_)) => bytes.push(byte),
                (None, Some(_)) if content.iter().all(u8::is_ascii_graphic) => letters.push(content),
                _ => return None,
            }
        }
        let letters = match rules.folding() {
            Some(folding) if !letters.is_empty() => Some(Letters::new(&letters, folding)?),
            _ => None,
        };
        Some(Self { bytes, letters })
    }

    /// Whether there is any in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.bytes.iter().any(|byte| text.as_bytes().contains(byte))
            || self.letters.as_ref().is_some_and(|letters| letters.may_be_in(text))
    }
}

impl Letters {
    /// None if there are too many.
    fn new(tokens: &[&[u8]], folding: &'static Folding) -> Option<Self> {
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(tokens).ok()?;
        Some(Self { automaton, folding })
    }

    fn may_be_in(&self, text: &str) -> bool {
        let stays = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
        // Without a branch for each byte: most texts are of nothing else.
        let all_stay = || text.bytes().fold(true, |all, byte| all & stays(byte));
        self.automaton.is_match(text) || !all_stay() && self.automaton.is_match(&self.become_ascii(text))
    }

    /// What the characters become, but for case: a byte for each, nothing for those that may be dropped. Marks that change
    /// places do so among themselves, so what becomes ASCII stands where it will.
    fn become_ascii(&self, text: &str) -> Vec<u8> {
        const OTHER: u8 = u8::MAX;
        let mut bytes = Vec::with_capacity(text.len());
        for c in text.chars() {
            let entry = self.folding.entry(c);
            if !entry.is_control() {
                self.folding.fold(c, entry, |d, _| bytes.push(if d.is_ascii() { d as u8 } else { OTHER }));
            }
        }
        bytes
    }
}

/// Punctuation that only itself normalizes to under BERT's rules: letters have capitals and accents, and the five excepted
/// signs are what U+037E, U+1FEF, U+2260, U+226E and U+226F decompose to.
fn punctuation(content: &[u8]) -> Option<u8> {
    content.iter().copied().find(|b| b.is_ascii_punctuation() && !b";`=<>".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizer::Normalizer;
    use crate::splits::Splitter;
    use crate::steps::Step;

    fn evidence(content: &str, switches: [bool; 4]) -> Option<Evidence> {
        let (single_word, lstrip, rstrip, normalized, in_model) = (false, false, false, true, false);
        let token = AddedToken { id: 7, content: content.into(), single_word, lstrip, rstrip, normalized, in_model };
        let rules = Rules::new(vec![Step::Bert(Normalizer::from_switches(switches))], Splitter::bert());
        Evidence::new(&[token], &rules)
    }

    #[test]
    fn punctuation_is_never_made_by_normalizing() {
        for byte in (0..128u8).filter(|byte| punctuation(&[*byte]).is_some()) {
            for c in ('\u{80}'..=char::MAX).filter(|c| !Folding::none().entry(*c).is_control()) {
                let folding = Folding::of(true, true);
                folding.fold(c, folding.entry(c), |d, _| {
                    assert_ne!(u32::from(d), u32::from(byte), "{c:?}");
                });
            }
        }
    }

    #[test]
    fn letters_are_found_in_whatever_becomes_them() {
        let all = evidence("newk", [true; 4]).expect("ASCII");
        for text in
            ["newk", "a NEWK!", "NewK", "n\u{e9}wk", "ne\u{301}wk", "ne\0wk", "n\u{200d}ew\u{ad}K", "\u{212a} newk"]
        {
            assert!(all.is_in(text), "{text:?}");
        }
        for text in ["", "new k", "new\tk", "n\u{e9}w", "ne\u{446}wk", "new\u{4e2d}k", "wenk"] {
            assert!(!all.is_in(text), "{text:?}");
        }
        let cased = evidence("newk", [false; 4]).expect("ASCII");
        assert!(cased.is_in("newk") && !cased.is_in("n\u{e9}wk") && !cased.is_in("new\u{212a}"));
        assert!(evidence("n\u{446}", [true; 4]).is_none() && evidence("new k", [true; 4]).is_none());
    }
}
