//! The exact path: a text with its alignment, character by character.
use std::ops::Range;

use super::Encoder;
use crate::added_tokens::Segment;
use crate::encoding::Encoding;
use crate::normalizer::{AlignedChar, flatten};
use crate::{TokenId, blanks};

/// So many bytes of a text are looked at first for each id that is wanted of it.
const BYTES_A_TOKEN: usize = 8;

/// Bytes that are normalized together where offsets are asked for: a character takes 50 bytes of memory on the way.
const PIECE: usize = 4 << 10;

impl Encoder {
    /// Encodes `text` with byte offsets and word numbers.
    #[must_use]
    pub fn encode_aligned(&self, text: &str) -> Encoding {
        self.align(text, Encoding::default())
    }

    /// Appends what [`Encoder::encode_aligned`] gives to an encoding that holds nothing yet.
    #[must_use]
    pub fn align(&self, text: &str, mut encoding: Encoding) -> Encoding {
        if self.is_lossless() {
            return self.align_bytes(text, encoding);
        }
        self.visit_exactly(text, |part| match part {
            Part::Token(id, range, ends) => {
                let (start, end) = self.trimmed(text, (range.start, range.end), ends, encoding.is_first(0));
                encoding.push_word(&[(id, start, end)]);
            }
            Part::Word(chars) => {
                let mut pieces = self.encode_word_aligned(chars);
                for (i, (id, start, end)) in pieces.iter_mut().enumerate().filter(|_| self.trim.is_some()) {
                    let ends = blanks::at_ends(self.vocabulary.token(*id).chars());
                    (*start, *end) = self.trimmed(text, (*start, *end), ends, encoding.is_first(i));
                }
                encoding.push_word(&pieces);
            }
        });
        encoding
    }

    /// The same of a text's beginning, of at least `limit` ids if the text has so many; `heads` as of [`Encoding::trimmed_as`].
    #[must_use]
    pub fn align_up_to(&self, text: &str, limit: usize, heads: bool) -> Encoding {
        let mut from = limit.saturating_mul(BYTES_A_TOKEN);
        while let Some(end) = self.rules.cut(text, from).filter(|_| self.added.is_within_words()) {
            let encoding = self.align(&text[..end], Encoding::trimmed_as(heads));
            if encoding.ids.len() >= limit {
                return encoding;
            }
            from = end.saturating_mul(4);
        }
        self.align(text, Encoding::trimmed_as(heads))
    }

    /// What [`Encoder::trimmed`] asks of a token; tokens that overlap in long white space take a square of time to look at.
    pub(super) fn blanks(&self, token: impl DoubleEndedIterator<Item = char> + Clone) -> (usize, usize) {
        self.trim.map_or((0, 0), |_| blanks::at_ends(token))
    }

    pub(super) fn trimmed(
        &self,
        text: &str,
        span: (usize, usize),
        ends: (usize, usize),
        first: bool,
    ) -> (usize, usize) {
        self.trim.map_or(span, |keep| blanks::trim(text, span, ends, keep && (first || span.0 == 0)))
    }

    pub(super) fn visit_exactly(&self, text: &str, mut visit: impl FnMut(Part)) {
        self.added.split_raw(text, |segment| match segment {
            Segment::Token(id, range) => visit(Part::Token(id, range.clone(), self.blanks(text[range].chars()))),
            Segment::Text(Range { start: mut at, end }) => {
                let size = if self.added.is_within_words() { PIECE } else { usize::MAX };
                for piece in self.rules.pieces(&text[at..end], size) {
                    self.visit_normalized(&self.rules.normalize(piece, at), &mut visit);
                    at += piece.len();
                }
            }
        });
    }

    fn visit_normalized(&self, chars: &[AlignedChar], visit: &mut impl FnMut(Part)) {
        let (text, owners) = flatten(chars);
        let part = |range: Range<usize>| &chars[owners[range.start]..=owners[range.end - 1]];
        self.added.split_normalized(&text, |segment| match segment {
            Segment::Token(id, range) => {
                let chars = part(range);
                visit(Part::Token(id, source_span(chars), self.blanks(chars.iter().map(|a| a.c))));
            }
            Segment::Text(range) => {
                let chars = part(range);
                self.rules.split(chars).into_iter().for_each(|word| visit(Part::Word(&chars[word])));
            }
        });
    }

    fn encode_word_aligned(&self, chars: &[AlignedChar]) -> Vec<(TokenId, usize, usize)> {
        let (word, owners) = flatten(chars);
        let mut pieces = Vec::new();
        self.encode_word(word.as_bytes(), &mut pieces);
        if pieces == [self.vocabulary.unknown()] {
            let span = source_span(chars);
            return vec![(pieces[0], span.start, span.end)];
        }
        let mut at = 0;
        let align = |id| {
            let first = chars[owners[at]].start;
            // The first piece may be a continuation token that the text spells with its prefix.
            at += if at == 0 { self.vocabulary.token(id) } else { self.vocabulary.surface(id).0 }.len();
            (id, first, chars[owners[at - 1]].end)
        };
        pieces.into_iter().map(align).collect()
    }
}

/// What the exact path meets in a text.
pub(super) enum Part<'a> {
    /// An added token, its span in the source, and the blanks its text begins and ends with.
    Token(TokenId, Range<usize>, (usize, usize)),
    Word(&'a [AlignedChar]),
}

fn source_span(chars: &[AlignedChar]) -> Range<usize> {
    chars.first().map_or(0, |a| a.start)..chars.last().map_or(0, |a| a.end)
}
