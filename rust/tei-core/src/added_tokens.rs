//! Tokens that are matched in the text itself, before words are: `[MASK]`, or what a user added to a tokenizer.
//!
//! The rules are those of Hugging Face `tokenizers`: the leftmost and there longest one wins; a token may ask to stand
//! alone as a word, to swallow white space on either side, and to be looked for in the raw or in the normalized text.
mod evidence;

use std::ops::Range;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

use self::evidence::Evidence;
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
    /// Without which no source text holds a normalized token; None if it might.
    evidence: Option<Evidence>,
    /// A byte without which no text matches; None if there is no such byte.
    needed: Option<u8>,
    /// Whether a token holds white space or swallows some.
    takes_blanks: bool,
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
        let takes_blanks =
            |token: &AddedToken| token.lstrip || token.rstrip || token.content.contains(char::is_whitespace);
        let takes_blanks = tokens.iter().any(takes_blanks);
        let (late, raw): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|token| token.normalized);
        let contents: Vec<_> = late.iter().map(|token| token.content.clone()).collect();
        let late: Vec<_> = late.into_iter().map(|token| normalize(token, rules)).collect();
        let changed = late.iter().zip(contents).filter(|(token, content)| token.content != *content);
        let mut normal_forms: Vec<_> = changed.map(|(token, _)| (token.id, token.content.clone())).collect();
        normal_forms.sort_unstable();
        let evidence = Evidence::new(&late, rules);
        let (raw, normalized) = (Matcher::new(raw)?, Matcher::new(late)?);
        let needed = raw.as_ref().and_then(|raw| raw.first).filter(|_| normalized.is_none());
        Ok(Self { raw, normalized, evidence, needed, takes_blanks, normal_forms })
    }

    /// Whether a token neither holds white space nor swallows any, so that it never reaches from one word to the next.
    #[must_use]
    pub fn is_within_words(&self) -> bool {
        !self.takes_blanks
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
            (Some(_), Some(evidence)) => evidence.is_in(text),
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
}

fn is_word(c: char) -> bool {
    Folding::none().entry(c).is_word()
}

/// How far a text has been split.
#[derive(Default)]
struct Front {
    /// Where the last token ends; one that follows may begin before, in white space that the last one swallowed.
    after: usize,
    /// Where the white space that was looked at last ends: looking again for each match in it would take a square of time.
    blank: usize,
}

impl Front {
    /// The range of a match after its flags have had their say, or None if they discard it.
    fn accept(&mut self, token: &AddedToken, range: Range<usize>, text: &str) -> Option<Range<usize>> {
        let touches = || text[..range.start].ends_with(is_word) || text[range.end..].starts_with(is_word);
        if token.single_word && touches() {
            return None;
        }
        let (mut start, mut end) = (range.start, range.end);
        if token.lstrip {
            start = text.get(self.after..start).map_or(self.after, |between| self.after + between.trim_end().len());
        }
        if token.rstrip {
            if self.blank < end {
                self.blank = text.len() - text[end..].trim_start().len();
            }
            end = self.blank;
        }
        // What is left of it may be nothing, if the token before has swallowed it.
        (start < end).then_some(start..end)
    }
}

fn split(matcher: Option<&Matcher>, text: &str, mut segment: impl FnMut(Segment)) {
    let mut front = Front::default();
    for (matcher, found) in matcher.iter().flat_map(|m| m.automaton.find_iter(text).map(move |found| (m, found))) {
        let token = &matcher.tokens[found.pattern()];
        let Some(range) = front.accept(token, found.range(), text) else {
            continue;
        };
        if front.after < range.start {
            segment(Segment::Text(front.after..range.start));
        }
        front.after = range.end;
        segment(Segment::Token(token.id, range));
    }
    if front.after < text.len() {
        segment(Segment::Text(front.after..text.len()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            (AddedToken { rstrip: true, ..token("\n") }, "a\n\n", vec![(1, 3), (2, 3)]),
            (AddedToken { lstrip: true, rstrip: true, ..token("\n") }, "a\n\nb\n", vec![(1, 3), (4, 5)]),
        ] {
            assert_eq!(found(token, text), want, "{text:?}");
        }
    }

    /// What `tokenizers` does, but for matches that have been swallowed, some of which it panics at.
    fn split_slowly(tokens: &[AddedToken], text: &str) -> Vec<Segment> {
        let mut builder = AhoCorasick::builder();
        let patterns = tokens.iter().map(|token| &token.content);
        let automaton = builder.match_kind(MatchKind::LeftmostLongest).build(patterns).expect("few");
        let (mut after, mut segments) = (0, Vec::new());
        for found in automaton.find_iter(text) {
            let token = &tokens[found.pattern()];
            let (before, rest) = text.split_at(found.start());
            let rest = &rest[token.content.len()..];
            if token.single_word && (before.ends_with(is_word) || rest.starts_with(is_word)) {
                continue;
            }
            let start = if token.lstrip { before.trim_end().len().max(after) } else { found.start() };
            let end = if token.rstrip { text.len() - rest.trim_start().len() } else { found.end() };
            if start >= end {
                continue;
            }
            segments.extend((after < start).then_some(Segment::Text(after..start)));
            segments.push(Segment::Token(token.id, start..end));
            after = end;
        }
        segments.extend((after < text.len()).then_some(Segment::Text(after..text.len())));
        segments
    }

    proptest! {
        #[test]
        fn splits_as_the_slow_twin_does(
            contents in proptest::collection::btree_map("[a \n\u{2003}]{1,2}|\\[X\\]", any::<[bool; 3]>(), 1..4),
            text in "([a \n\u{2003}é]|\\[X\\]){0,12}",
        ) {
            let flags = |(content, [single_word, lstrip, rstrip]): (String, [bool; 3])| {
                AddedToken { single_word, lstrip, rstrip, ..token(&content) }
            };
            let tokens: Vec<_> = (0..).zip(contents).map(|(id, one)| AddedToken { id, ..flags(one) }).collect();
            let (want, mut got) = (split_slowly(&tokens, &text), Vec::new());
            let added = AddedTokens::new(tokens, &uncased()).expect("valid");
            added.split_raw(&text, |segment| got.push(segment));
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn an_empty_token_is_refused() {
        assert_eq!(AddedTokens::new(vec![token("")], &uncased()).err(), Some(Error::EmptyAddedToken { id: 7 }));
    }
}
