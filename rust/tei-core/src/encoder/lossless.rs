//! The bytes scheme in an encoder: tokens are byte strings, and no text is unknown.
//!
//! Tokens are written in letters (`byte_letters.rs`), and so are counted words; only here, where text is met, they are
//! bytes. A word carries the blank before it, so a token means the same wherever it stands: one position class is enough.
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::OnceLock;

use super::{Encoder, Run, Worker};
use crate::added_tokens::{AddedToken, Segment};
use crate::blanks;
use crate::byte_letters::{letter, to_bytes};
use crate::encoding::Encoding;
use crate::scanner::{Found, Scratch, Words};
use crate::trie::Trie;
use crate::vocabulary::{Position, Vocabulary};
use crate::{Error, Result, TokenId};

/// What tokens are as bytes.
#[derive(Debug)]
pub(super) struct Lossless {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The token of each byte.
    singles: [TokenId; 256],
    /// Added tokens that words do not match: what their text says in letters is not what they stand for.
    outside: HashSet<TokenId>,
    /// The trie over letters, for what works on words that are counted; made when it is asked for.
    letters: OnceLock<Trie>,
}

impl Lossless {
    /// Reads the byte strings of a vocabulary; an added token that is none stands for its text.
    pub fn new(vocabulary: &Vocabulary, added: &[AddedToken]) -> Result<Self> {
        let spells = |token: &AddedToken| token.in_model && token.content.bytes().all(|byte| byte.is_ascii_graphic());
        let outside: HashSet<_> = added.iter().filter(|token| !spells(token)).map(|token| token.id).collect();
        let (mut bytes, mut ends, mut singles) = (Vec::new(), Vec::new(), [None; 256]);
        let contents: HashMap<TokenId, &str> = added.iter().map(|t| (t.id, t.content.as_str())).collect();
        for (id, token) in (0..).zip(vocabulary.tokens()) {
            let spelled = contents.get(&id).map(|content| content.as_bytes().to_vec()).or_else(|| to_bytes(token));
            let spelled = spelled.filter(|spelled| !spelled.is_empty());
            let spelled = spelled.ok_or_else(|| Error::NoByteString { token: token.to_owned() })?;
            if let ([byte], false) = (&*spelled, outside.contains(&id)) {
                singles[usize::from(*byte)] = Some(id);
            }
            bytes.extend(spelled);
            ends.push(bytes.len());
        }
        let missing = || singles.iter().zip(0..=255).filter(|(single, _)| single.is_none());
        if let Some((_, byte)) = missing().next() {
            return Err(Error::MissingBytes { byte, letter: letter(byte), count: missing().count() });
        }
        let singles = singles.map(Option::unwrap_or_default);
        Ok(Self { bytes, ends, singles, outside, letters: OnceLock::new() })
    }

    /// The bytes of a token.
    pub fn token(&self, id: TokenId) -> &[u8] {
        let end = self.ends[id as usize];
        &self.bytes[(id as usize).checked_sub(1).map_or(0, |before| self.ends[before])..end]
    }

    /// The trie over bytes. An added token outside may spell what another token does, which words go on to match.
    pub fn trie(&self) -> Trie {
        let inside = (0..self.ends.len() as TokenId).filter(|id| !self.outside.contains(id));
        Trie::of_bytes(inside.map(|id| (self.token(id), id)))
    }

    /// The trie over letters.
    pub fn letters(&self, vocabulary: &Vocabulary) -> &Trie {
        self.letters.get_or_init(|| {
            let mut trie = Trie::new(vocabulary);
            self.outside.iter().for_each(|&id| trie.remove(Position::Initial, vocabulary.token(id).as_bytes()));
            trie
        })
    }
}

impl Encoder {
    /// Whether every text and every byte string comes back from its ids.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.lossless.is_some()
    }

    /// The token of a byte; 0 if the scheme is not the lossless one.
    #[must_use]
    pub fn byte_token(&self, byte: u8) -> TokenId {
        self.lossless.as_ref().map_or(0, |lossless| lossless.singles[usize::from(byte)])
    }

    /// The bytes that ids stand for, those left out that `skip` marks or the vocabulary lacks; in other schemes none.
    #[must_use]
    pub fn decode_bytes(&self, ids: &[TokenId], skip: &[bool]) -> Vec<u8> {
        let Some(lossless) = &self.lossless else { return Vec::new() };
        let known = |&&id: &&TokenId| (id as usize) < lossless.ends.len();
        let kept = ids.iter().filter(known).filter(|&&id| !skip.get(id as usize).copied().unwrap_or(false));
        kept.fold(Vec::new(), |mut bytes, &id| {
            bytes.extend_from_slice(lossless.token(id));
            bytes
        })
    }

    /// The twin of [`Encoder::visit_words`]: words come in letters.
    pub(super) fn visit_spelled<'t, W: Words>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        worker: &mut Worker,
        words: &mut W,
    ) {
        let mut spelled = Spelled { words, letters: Vec::new(), starts: Vec::new(), ends: Vec::new() };
        let scratch = &mut worker.scratch;
        self.split(texts, |run| match run {
            Run::Plain(texts) => self.rules.scan(texts, scratch, &mut spelled),
            Run::Marked(text) => self.segments(text, |segment| {
                if let Segment::Text(range) = segment {
                    self.rules.scan(std::iter::once(&text[range]), scratch, &mut spelled);
                }
            }),
        });
    }

    /// The twin of [`Encoder::align`]; spans may cut characters.
    pub(super) fn align_bytes(&self, text: &str, mut encoding: Encoding) -> Encoding {
        let mut scratch = Scratch::default();
        self.segments(text, |segment| match segment {
            Segment::Token(id, range) => {
                let ends = self.blanks(text[range.clone()].chars());
                let (start, end) = self.trimmed(text, (range.start, range.end), ends, encoding.is_first(0));
                encoding.push_word(&[(id, start, end)]);
            }
            Segment::Text(range) => {
                let mut aligner = Aligner { encoder: self, text, at: range.start, encoding: &mut encoding };
                self.rules.scan(std::iter::once(&text[range]), &mut scratch, &mut aligner);
            }
        });
        encoding
    }

    /// Added tokens, looked for in both ways since nothing is normalized, and the text in between.
    fn segments(&self, text: &str, mut visit: impl FnMut(Segment)) {
        let moved = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        self.added.split_raw(text, |segment| match segment {
            Segment::Token(..) => visit(segment),
            Segment::Text(outer) => self.added.split_normalized(&text[outer.clone()], |segment| {
                visit(match segment {
                    Segment::Token(id, range) => Segment::Token(id, moved(range, outer.start)),
                    Segment::Text(range) => Segment::Text(moved(range, outer.start)),
                });
            }),
        });
    }
}

/// Encodes words with their places; they follow each other without a gap.
struct Aligner<'a> {
    encoder: &'a Encoder,
    text: &'a str,
    at: usize,
    encoding: &'a mut Encoding,
}

impl Words for Aligner<'_> {
    fn take(&mut self, found: Found<'_>) {
        for word in found.iter() {
            let (mut pieces, mut ids) = (Vec::new(), Vec::new());
            self.encoder.encode_word(word, &mut ids);
            for id in ids {
                let len = self.encoder.lossless.as_ref().map_or(0, |lossless| lossless.token(id).len());
                pieces.push((id, self.at, self.at + len));
                self.at += len;
            }
            if self.encoder.trim.is_some() {
                self.trim(&mut pieces);
            }
            self.encoding.push_word(&pieces);
        }
    }
}

impl Aligner<'_> {
    fn trim(&self, pieces: &mut [(TokenId, usize, usize)]) {
        for (i, (id, start, end)) in pieces.iter_mut().enumerate() {
            let first = self.encoding.is_first(i);
            let ends = blanks::at_ends(self.encoder.vocabulary.token(*id).chars());
            // What a token holds of a character counts as the whole of it.
            let span = (self.text.floor_char_boundary(*start), self.text.ceil_char_boundary(*end));
            (*start, *end) = self.encoder.trimmed(self.text, span, ends, first);
        }
    }
}

/// Hands words on in letters.
struct Spelled<'w, W> {
    words: &'w mut W,
    letters: Vec<u8>,
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl<W: Words> Words for Spelled<'_, W> {
    fn take(&mut self, found: Found<'_>) {
        let Self { words, letters, starts, ends } = self;
        [&mut *starts, ends].into_iter().for_each(Vec::clear);
        let mut len = 0;
        for word in found.iter() {
            // Two bytes are stored for each, and a block is read behind the last word.
            if letters.len() < len + 2 * word.len() + 64 {
                letters.resize(2 * (len + 2 * word.len() + 64), 0);
            }
            starts.push(len as u32);
            for &byte in word {
                let (utf8, width) = UTF8[usize::from(byte)];
                letters[len..len + 2].copy_from_slice(&utf8);
                len += usize::from(width);
            }
            ends.push(len as u32);
        }
        words.take(Found::new(letters, starts, ends, &[]));
    }

    fn is_full(&self) -> bool {
        self.words.is_full()
    }
}

/// The letter of each byte in UTF-8, and its length.
static UTF8: std::sync::LazyLock<[([u8; 2], u8); 256]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let mut utf8 = [0; 2];
        let width = letter(byte as u8).encode_utf8(&mut utf8).len();
        (utf8, width as u8)
    })
});
