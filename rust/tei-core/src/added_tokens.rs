//! Tokens that are matched in the text itself, before words are: `[MASK]`, or what a user added to a tokenizer.
//!
//! The rules are those of Hugging Face `tokenizers`: the leftmost and there longest one wins; a token may ask to stand
//! alone as a word, to swallow white space on either side, and to be looked for in the raw or in the normalized text.
use std::ops::Range;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

use crate::rules::Rules;
use crate::unicode::Folding;
use crate::{Error, Result, TokenId};

/// A token that is matched in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of a published file format")]
pub struct AddedToken {
    /// Its id.
    pub id: TokenId,
    /// Its text.
    pub content: String,
    /// Match only where no word character touches it.
    pub single_word: bool,
    /// Swallow the white space before it.
    pub lstrip: bool,
    /// Swallow the white space after it.
    pub rstrip: bool,
    /// Look for it in the normalized text, not in the raw one.
    pub normalized: bool,
    /// Words may match it too, as an ordinary token.
    pub in_model: bool,
}

/// A piece of a text: a token found, or the text in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text without added tokens, as a byte range.
    Text(Range<usize>),
    /// An added token and its byte range.
    Token(TokenId, Range<usize>),
}

/// All added tokens of a tokenizer, compiled.
#[derive(Clone, Debug, Default)]
pub struct AddedTokens {
    raw: Option<Matcher>,
    normalized: Option<Matcher>,
    /// For each normalized token, a byte without which no source text can hold it; None where there is no such byte.
    evidence: Option<Vec<u8>>,
    /// A byte without which no text matches; None if there is no such byte.
    needed: Option<u8>,
    /// Tokens that are not what their content says once it is normalized, by id.
    normal_forms: Vec<(TokenId, String)>,
}

#[derive(Clone, Debug)]
struct Matcher {
    automaton: AhoCorasick,
    tokens: Vec<AddedToken>,
    /// The byte all tokens begin with, if they do.
    first: Option<u8>,
}

impl AddedTokens {
    /// Compiles `tokens` for texts that `rules` normalize.
    ///
    /// # Errors
    /// [`Error::EmptyAddedToken`] if a token's content is empty.
    pub fn new(tokens: Vec<AddedToken>, rules: &Rules) -> Result<Self> {
        if let Some(token) = tokens.iter().find(|token| token.content.is_empty()) {
            return Err(Error::EmptyAddedToken { id: token.id });
        }
        let (late, raw): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|token| token.normalized);
        let contents: Vec<_> = late.iter().map(|token| token.content.clone()).collect();
        let late: Vec<_> = late.into_iter().map(|token| normalize(token, rules)).collect();
        let changed = late.iter().zip(contents).filter(|(token, content)| token.content != *content);
        let mut normal_forms: Vec<_> = changed.map(|(token, _)| (token.id, token.content.clone())).collect();
        normal_forms.sort_unstable();
        let evidence = late.iter().map(|token| match rules {
            rules if rules.is_bert() => evidence(&token.content),
            rules if rules.is_bytes() => token.content.bytes().next(),
            _ => None,
        });
        let evidence = evidence.collect();
        let (raw, normalized) = (Matcher::new(raw)?, Matcher::new(late)?);
        let needed = raw.as_ref().and_then(|raw| raw.first).filter(|_| normalized.is_none());
        Ok(Self { raw, normalized, evidence, needed, normal_forms })
    }

    /// Splits raw text at the tokens that are looked for there.
    pub fn split_raw(&self, text: &str, segment: impl FnMut(Segment)) {
        split(self.raw.as_ref(), text, segment);
    }

    /// Splits normalized text at the tokens that are looked for there.
    pub fn split_normalized(&self, text: &str, segment: impl FnMut(Segment)) {
        split(self.normalized.as_ref(), text, segment);
    }

    /// What the normalized text holds in place of a token's content, if that is something else.
    #[must_use]
    pub fn normal_form(&self, id: TokenId) -> Option<&str> {
        let place = self.normal_forms.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.normal_forms[place].1)
    }

    /// Whether `text` holds a token, or may once it is normalized; false is certain.
    #[inline(always)]
    #[must_use]
    pub fn may_match(&self, text: &str) -> bool {
        self.needed.is_none_or(|byte| holds(text.as_bytes(), byte)) && self.does_match(text)
    }

    #[inline(never)]
    fn does_match(&self, text: &str) -> bool {
        self.raw.as_ref().is_some_and(|raw| raw.matches(text)) || self.may_match_normalized(text)
    }

    /// Whether normalizing `text` could bring a token to light; false is certain.
    #[must_use]
    pub fn may_match_normalized(&self, text: &str) -> bool {
        match (&self.normalized, &self.evidence) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(bytes)) => bytes.iter().any(|b| text.as_bytes().contains(b)),
        }
    }
}

/// Whether `byte` is in `text`, without a call: for a short text that takes as long as looking does.
#[inline(always)]
fn holds(text: &[u8], byte: u8) -> bool {
    const BLOCK: usize = 32;
    let any = |block: &[u8; BLOCK]| block.iter().fold(false, |any, b| any | (*b == byte));
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().fold(any(last), |found, block| found | any(block)),
        None => text.contains(&byte),
    }
}

fn normalize(mut token: AddedToken, rules: &Rules) -> AddedToken {
    let content = rules.normalize(&token.content, 0).iter().map(|a| a.c).collect();
    token.content = content;
    token
}

/// Punctuation that only itself normalizes to under BERT's rules: letters have capitals and accents, and the five excepted signs are what
/// U+037E, U+1FEF, U+2260, U+226E and U+226F decompose to.
fn evidence(content: &str) -> Option<u8> {
    content.bytes().find(|b| b.is_ascii_punctuation() && !b";`=<>".contains(b))
}

impl Matcher {
    fn new(tokens: Vec<AddedToken>) -> Result<Option<Self>> {
        // What normalizes to nothing can never be met.
        let tokens: Vec<_> = tokens.into_iter().filter(|token| !token.content.is_empty()).collect();
        if tokens.is_empty() {
            return Ok(None);
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Both)
            .build(tokens.iter().map(|token| token.content.as_bytes()))
            .map_err(|e| Error::TooManyAddedTokens { count: tokens.len(), reason: e.to_string() })?;
        let first = tokens[0].content.as_bytes()[0];
        let first = tokens.iter().all(|token| token.content.as_bytes()[0] == first).then_some(first);
        Ok(Some(Self { automaton, tokens, first }))
    }

    fn matches(&self, text: &str) -> bool {
        let Some(first) = self.first else { return self.automaton.is_match(text) };
        // One rare byte, as in `[MASK]`, is found much faster than an automaton runs.
        memchr::memchr_iter(first, text.as_bytes())
            .any(|at| self.automaton.find(Input::new(text).range(at..).anchored(Anchored::Yes)).is_some())
    }

    /// The token and range of a match after its flags have had their say, or None if they discard it.
    fn accept(
        &self,
        pattern: usize,
        range: &Range<usize>,
        text: &str,
        after: usize,
    ) -> Option<(TokenId, Range<usize>)> {
        let token = &self.tokens[pattern];
        let (before, rest) = (&text[..range.start], &text[range.end..]);
        if token.single_word && (before.ends_with(is_word) || rest.starts_with(is_word)) {
            return None;
        }
        let start = if token.lstrip { before.trim_end().len().max(after) } else { range.start };
        let swallowed = if token.rstrip { rest.len() - rest.trim_start().len() } else { 0 };
        Some((token.id, start..range.end + swallowed))
    }
}

fn is_word(c: char) -> bool {
    Folding::none().entry(c).is_word()
}

fn split(matcher: Option<&Matcher>, text: &str, mut segment: impl FnMut(Segment)) {
    let mut after = 0;
    for found in matcher.iter().flat_map(|matcher| matcher.automaton.find_iter(text)) {
        let accepted = matcher.and_then(|m| m.accept(found.pattern().as_usize(), &found.range(), text, after));
        let Some((id, range)) = accepted else {
            continue;
        };
        if after < range.start {
            segment(Segment::Text(after..range.start));
        }
        after = range.end;
        segment(Segment::Token(id, range));
    }
    if after < text.len() {
        segment(Segment::Text(after..text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizer::Normalizer;
    use crate::splits::Splitter;
    use crate::steps::Step;

    fn uncased() -> Rules {
        Rules::new(vec![Step::Bert(Normalizer::from_switches([true; 4]))], Splitter::bert())
    }

    fn token(content: &str) -> AddedToken {
        let flags = (false, false, false, false);
        let (single_word, lstrip, rstrip, normalized) = flags;
        AddedToken { id: 7, content: content.into(), single_word, lstrip, rstrip, normalized, in_model: true }
    }

    fn found(token: AddedToken, text: &str) -> Vec<(usize, usize)> {
        let added = AddedTokens::new(vec![token], &uncased()).expect("valid");
        let mut ranges = Vec::new();
        added.split_raw(text, |segment| {
            if let Segment::Token(_, range) = segment {
                ranges.push((range.start, range.end));
            }
        });
        ranges
    }

    #[test]
    fn flags_decide_what_matches() {
        for (token, text, want) in [
            (token("ab"), "ab cab", vec![(0, 2), (4, 6)]),
            (AddedToken { single_word: true, ..token("ab") }, "ab cab", vec![(0, 2)]),
            (AddedToken { lstrip: true, ..token("ab") }, "c \tab", vec![(1, 5)]),
            (AddedToken { rstrip: true, ..token("ab") }, "ab  c", vec![(0, 4)]),
        ] {
            assert_eq!(found(token, text), want, "{text:?}");
        }
    }

    #[test]
    fn evidence_is_never_made_by_normalizing() {
        for byte in (0..128u8).filter(|b| evidence(std::str::from_utf8(&[*b]).expect("ASCII")).is_some()) {
            for c in ('\u{80}'..=char::MAX).filter(|c| !Folding::none().entry(*c).is_control()) {
                let folding = Folding::of(true, true);
                folding.fold(c, folding.entry(c), |d, _| {
                    assert_ne!(u32::from(d), u32::from(byte), "{c:?}");
                });
            }
        }
    }

    #[test]
    fn an_empty_token_is_refused() {
        assert_eq!(AddedTokens::new(vec![token("")], &uncased()).err(), Some(Error::EmptyAddedToken { id: 7 }));
    }
}
