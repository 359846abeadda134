//! Text → ids: scanner, word cache, longest match.
//!
//! [`Encoder::encode`] is the fast path: ids only. [`Encoder::encode_aligned`] is the exact one, with offsets and word
//! numbers; the fast path hands a text over to it where only that is right (see `scanner.rs`, `added_tokens.rs`).
use std::ops::Range;
use std::sync::Mutex;

use crate::added_tokens::{AddedToken, AddedTokens, Segment, flatten};
use crate::encoding::Encoding;
use crate::normalizer::{AlignedChar, Normalizer};
use crate::packed::PackedWord;
use crate::scanner::{Found, Scanner, Scratch, Words, split_words};
use crate::trie::Trie;
use crate::vocabulary::Vocabulary;
use crate::word_cache::{INLINE, WordCache};
use crate::{Result, TokenId};

/// 2 MiB a worker: 98 of 100 English words hit, and most of it stays in the second-level cache.
const CACHE_BITS: u32 = 17;

/// Encodes text with one vocabulary by one set of rules; never changes.
#[derive(Debug)]
pub struct Encoder {
    vocabulary: Vocabulary,
    trie: Trie,
    scanner: Scanner,
    added: AddedTokens,
    max_word_chars: usize,
    workers: Mutex<Vec<Worker>>,
}

/// What one thread needs to encode: a word cache and buffers. It speeds encoding up and never changes the result.
#[derive(Debug)]
pub struct Worker {
    cache: WordCache,
    scratch: Scratch,
    keys: Vec<(PackedWord, u32)>,
    pieces: Vec<TokenId>,
}

impl Encoder {
    /// An encoder for `vocabulary`; a word of more than `max_word_chars` characters is one unknown token.
    ///
    /// # Errors
    /// Whatever [`AddedTokens::new`] finds wrong with `added`.
    pub fn new(
        vocabulary: Vocabulary,
        normalizer: Normalizer,
        added: Vec<AddedToken>,
        max_word_chars: usize,
    ) -> Result<Self> {
        let mut trie = Trie::new(&vocabulary);
        for token in added.iter().filter(|token| !token.in_model) {
            let (surface, position) = vocabulary.split_surface(&token.content);
            trie.remove(position, surface.as_bytes());
        }
        let added = AddedTokens::new(added, normalizer)?;
        let scanner = Scanner::new(normalizer);
        Ok(Self { vocabulary, trie, scanner, added, max_word_chars, workers: Mutex::default() })
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The trie over the vocabulary.
    #[must_use]
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Words longer than this many characters are unknown.
    #[must_use]
    pub fn max_word_chars(&self) -> usize {
        self.max_word_chars
    }

    /// Runs `f` with a worker that no other thread uses; workers are kept for later calls.
    pub fn with_worker<R>(&self, f: impl FnOnce(&mut Worker) -> R) -> R {
        // try_lock, since after a fork another thread's lock would never open.
        let kept = self.workers.try_lock().ok().and_then(|mut workers| workers.pop());
        let mut worker = kept.unwrap_or_else(Worker::new);
        let result = f(&mut worker);
        if let Ok(mut workers) = self.workers.try_lock() {
            workers.push(worker);
        }
        result
    }

    /// Appends the ids of all texts to `ids`, and to `ends` where each text's ids end.
    pub fn encode<'t>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        worker: &mut Worker,
        ids: &mut Vec<TokenId>,
        ends: &mut Vec<i64>,
    ) {
        let Worker { cache, scratch, keys, pieces } = worker;
        let mut emit = Emit { encoder: self, cache, keys, pieces, ids, ends };
        self.split(texts, |run| match run {
            Run::Plain(texts) => self.scanner.scan(texts, scratch, &mut emit),
            Run::Marked(text) => self.encode_marked(text, scratch, &mut emit),
        });
    }

    fn encode_marked(&self, text: &str, scratch: &mut Scratch, emit: &mut Emit<'_>) {
        if self.added.may_match_normalized(text) {
            emit.ids.extend(self.encode_aligned(text).ids);
        } else {
            let texts = emit.ends.len();
            self.added.split_raw(text, |segment| match segment {
                Segment::Token(id, _) => emit.ids.push(id),
                Segment::Text(range) => self.scanner.scan(std::iter::once(&text[range]), scratch, emit),
            });
            emit.ends.truncate(texts);
        }
        emit.ends.push(emit.ids.len() as i64);
    }

    /// Hands every word of all texts to `words`; added tokens are no words.
    pub fn visit_words<'t, W: Words>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        worker: &mut Worker,
        words: &mut W,
    ) {
        self.split(texts, |run| match run {
            Run::Plain(texts) => self.scanner.scan(texts, &mut worker.scratch, words),
            Run::Marked(text) => self.visit_exactly(text, |part| {
                if let Part::Word(chars) = part {
                    let (word, _) = flatten(chars);
                    words.take(Found::one(word.as_bytes(), &[word.len() as u32]));
                }
            }),
        });
    }

    /// Cuts texts into runs of those that hold no added token, and single ones that may.
    fn split<'t>(&self, mut texts: impl Iterator<Item = &'t str>, mut visit: impl FnMut(Run<'_, 't>)) {
        loop {
            let mut marked = None;
            let mut plain = std::iter::from_fn(|| {
                let text = texts.next()?;
                marked = self.added.may_match(text).then_some(text);
                marked.is_none().then_some(text)
            });
            visit(Run::Plain(&mut plain));
            // Without one, the texts have come to their end.
            let Some(text) = marked else { return };
            visit(Run::Marked(text));
        }
    }

    /// Encodes `text` with byte offsets and word numbers.
    #[must_use]
    pub fn encode_aligned(&self, text: &str) -> Encoding {
        let mut encoding = Encoding::default();
        self.visit_exactly(text, |part| match part {
            Part::Token(id, range) => encoding.push_word(&[(id, range.start, range.end)]),
            Part::Word(chars) => encoding.push_word(&self.encode_word_aligned(chars)),
        });
        encoding
    }

    fn visit_exactly(&self, text: &str, mut visit: impl FnMut(Part)) {
        self.added.split_raw(text, |segment| match segment {
            Segment::Token(id, range) => visit(Part::Token(id, range)),
            Segment::Text(range) => {
                let chars = self.scanner.normalizer().normalize(&text[range.clone()], range.start);
                self.visit_normalized(&chars, &mut visit);
            }
        });
    }

    fn visit_normalized(&self, chars: &[AlignedChar], visit: &mut impl FnMut(Part)) {
        let (text, owners) = flatten(chars);
        let part = |range: Range<usize>| &chars[owners[range.start]..=owners[range.end - 1]];
        self.added.split_normalized(&text, |segment| match segment {
            Segment::Token(id, range) => visit(Part::Token(id, source_span(part(range)))),
            Segment::Text(range) => {
                let chars = part(range);
                split_words(chars).into_iter().for_each(|word| visit(Part::Word(&chars[word])));
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
            at += self.vocabulary.surface(id).0.len();
            (id, first, chars[owners[at - 1]].end)
        };
        pieces.into_iter().map(align).collect()
    }

    /// Appends the pieces of one normalized word, or the unknown token.
    pub fn encode_word(&self, word: &[u8], pieces: &mut Vec<TokenId>) {
        let fits = word.len() <= self.max_word_chars || char_count(word) <= self.max_word_chars;
        if !fits || !self.trie.segment(word, pieces) {
            pieces.push(self.vocabulary.unknown());
        }
    }
}

/// What the exact path meets in a text.
enum Part<'a> {
    Token(TokenId, Range<usize>),
    Word(&'a [AlignedChar]),
}

fn source_span(chars: &[AlignedChar]) -> Range<usize> {
    chars.first().map_or(0, |a| a.start)..chars.last().map_or(0, |a| a.end)
}

fn char_count(word: &[u8]) -> usize {
    word.iter().filter(|b| b.cast_signed() >= -64).count()
}

impl Worker {
    fn new() -> Self {
        Self { cache: WordCache::new(CACHE_BITS, crate::seed()), scratch: Scratch::default(), keys: Vec::new(), pieces: Vec::new() }
    }
}

/// Texts that take the same way.
enum Run<'i, 't> {
    Plain(&'i mut dyn Iterator<Item = &'t str>),
    Marked(&'t str),
}

/// Looks words up and writes their ids.
struct Emit<'a> {
    encoder: &'a Encoder,
    cache: &'a mut WordCache,
    keys: &'a mut Vec<(PackedWord, u32)>,
    pieces: &'a mut Vec<TokenId>,
    ids: &'a mut Vec<TokenId>,
    ends: &'a mut Vec<i64>,
}

impl Words for Emit<'_> {
    #[inline(always)]
    fn take(&mut self, found: Found<'_>) {
        // All are asked for before the first is needed: by then its memory has arrived.
        if self.keys.len() < found.len() {
            self.keys.resize(found.len(), (PackedWord::LONG, 0));
        }
        for (i, waiting) in self.keys[..found.len()].iter_mut().enumerate() {
            let key = found.packed(i);
            *waiting = (key, self.cache.prefetch(key));
        }
        let mut next = 0;
        for &end in found.texts() {
            next = self.emit(found, next, end);
            self.ends.push(self.ids.len() as i64);
        }
        self.emit(found, next, u32::MAX);
    }

    fn longest(&self) -> usize {
        4 * (self.encoder.max_word_chars + 1)
    }
}

impl Emit<'_> {
    /// Writes the ids of the words from the `next` on that begin before `end`; returns the number of the word after.
    #[inline(always)]
    fn emit(&mut self, found: Found<'_>, mut next: usize, end: u32) -> usize {
        self.ids.reserve(INLINE);
        let (mut out, mut len) = (self.ids.as_mut_ptr(), self.ids.len());
        let mut full = self.ids.capacity() - INLINE;
        while next < found.len() && found.start(next) < end {
            let (key, place) = self.keys[next];
            let hit = self.cache.get(key, place).filter(|_| len <= full);
            if let Some((ids, count)) = hit {
                // SAFETY: `INLINE` places from `len` on are within the capacity. All are written, one store instead of
                // a loop, and `count` of them kept.
                unsafe { out.add(len).cast::<[TokenId; INLINE]>().write_unaligned(*ids) };
                len += count;
            } else {
                // SAFETY: everything before `len` was written, and `len` is within the capacity.
                unsafe { self.ids.set_len(len) };
                self.miss(key, place, found.bytes(next));
                self.ids.reserve(INLINE);
                (out, len) = (self.ids.as_mut_ptr(), self.ids.len());
                full = self.ids.capacity() - INLINE;
            }
            next += 1;
        }
        // SAFETY: as above.
        unsafe { self.ids.set_len(len) };
        next
    }

    #[cold]
    #[inline(never)]
    fn miss(&mut self, key: PackedWord, place: u32, word: &[u8]) {
        if key == PackedWord::LONG {
            return self.encoder.encode_word(word, self.ids);
        }
        self.pieces.clear();
        self.encoder.encode_word(word, self.pieces);
        self.cache.insert(key, place, self.pieces);
        self.ids.extend_from_slice(self.pieces);
    }
}
