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
use crate::scanner::{Scanner, Words, split_words};
use crate::trie::Trie;
use crate::vocabulary::{Position, Vocabulary};
use crate::word_cache::{INLINE, WordCache};
use crate::{Result, TokenId};

const IDEOGRAPHS: std::ops::RangeInclusive<char> = '\u{4E00}'..='\u{9FFF}';
const FIRST_IDEOGRAPH: usize = 0x4E00;

/// What is encoded at a time where only the first ids are asked for: more than most tokens have.
const BYTES_PER_ID: usize = 6;

/// 2 MiB a worker: 98 of 100 English words hit, and most of it stays in the second-level cache.
const CACHE_BITS: u32 = 16;

/// Encodes text with one vocabulary by one set of rules; never changes.
#[derive(Debug)]
pub struct Encoder {
    vocabulary: Vocabulary,
    trie: Trie,
    scanner: Scanner,
    added: AddedTokens,
    max_word_chars: usize,
    /// Ids of the words that are one unified ideograph.
    ideographs: Box<[TokenId]>,
    workers: Mutex<Vec<Worker>>,
}

/// What one thread needs to encode: a word cache and buffers. It speeds encoding up and never changes the result.
#[derive(Debug)]
pub struct Worker {
    cache: WordCache,
    scratch: Vec<u8>,
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
        let mut encoder = Self {
            vocabulary,
            trie,
            scanner,
            added,
            max_word_chars,
            ideographs: Box::default(),
            workers: Mutex::default(),
        };
        encoder.ideographs = IDEOGRAPHS.map(|c| encoder.single(c)).collect();
        Ok(encoder)
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

    /// Appends the ids of `text` to `ids`.
    pub fn encode(&self, text: &str, worker: &mut Worker, ids: &mut Vec<TokenId>) {
        if self.added.may_match_normalized(text) {
            return ids.extend(self.encode_aligned(text).ids);
        }
        self.added.split_raw(text, |segment| match segment {
            Segment::Token(id, _) => ids.push(id),
            Segment::Text(range) => {
                let Worker { cache, scratch, pieces } = &mut *worker;
                let queue = Queue { words: [(PackedWord::from_block(0, 0), 0); AHEAD], len: 0 };
                let mut emit = Emit { encoder: self, cache, pieces, queue, ids };
                self.scanner.scan(&text[range], scratch, &mut emit);
                emit.drain();
            }
        });
    }

    /// Appends the first `limit` ids of `text` to `ids`, without encoding much more of it.
    pub fn encode_up_to(&self, text: &str, limit: usize, worker: &mut Worker, ids: &mut Vec<TokenId>) {
        let (mut rest, end) = (text, ids.len() + limit);
        while !rest.is_empty() && ids.len() < end {
            let (piece, after) = rest.split_at(self.cut(rest, (end - ids.len()) * BYTES_PER_ID));
            self.encode(piece, worker, ids);
            rest = after;
        }
        ids.truncate(end);
    }

    /// The first place from `at` on where a text can be cut in two without a change of its ids: before the first of some
    /// blanks, or between ideographs; the end if there is none.
    fn cut(&self, text: &str, at: usize) -> usize {
        if at >= text.len() || !self.added.stay_between_blanks() {
            return text.len();
        }
        let ideographs = self.scanner.normalizer().split_ideographs;
        let cuts = |(i, c): (usize, char)| {
            let before = text[..i].chars().next_back().unwrap_or(' ');
            c == ' ' && !before.is_whitespace() || ideographs && IDEOGRAPHS.contains(&c) && IDEOGRAPHS.contains(&before)
        };
        let from = text.ceil_char_boundary(at);
        text[from..]
            .char_indices()
            .map(|(i, c)| (from + i, c))
            .find(|&place| cuts(place))
            .map_or(text.len(), |(i, _)| i)
    }

    /// Hands every word of `text` to `words`; added tokens are no words.
    pub fn visit_words<W: Words>(&self, text: &str, words: &mut W) {
        if self.added.may_match_normalized(text) {
            return self.visit_exactly(text, |part| {
                if let Part::Word(chars) = part {
                    words.long(flatten(chars).0.as_bytes());
                }
            });
        }
        let mut scratch = Vec::new();
        self.added.split_raw(text, |segment| {
            if let Segment::Text(range) = segment {
                self.scanner.scan(&text[range], &mut scratch, words);
            }
        });
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

    fn single(&self, c: char) -> TokenId {
        let found = self.trie.longest(Position::Initial, c.encode_utf8(&mut [0; 4]).as_bytes());
        found.map_or(self.vocabulary.unknown(), |(id, _)| id)
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
        Self { cache: WordCache::new(CACHE_BITS, crate::seed()), scratch: Vec::new(), pieces: Vec::new() }
    }
}

/// How many words are looked up at once: enough for the memory of the first to have arrived with the last.
const AHEAD: usize = 32;

/// Words that wait for their memory.
#[derive(Debug)]
struct Queue {
    words: [(PackedWord, usize); AHEAD],
    len: usize,
}

struct Emit<'a> {
    encoder: &'a Encoder,
    cache: &'a mut WordCache,
    pieces: &'a mut Vec<TokenId>,
    queue: Queue,
    ids: &'a mut Vec<TokenId>,
}

impl Emit<'_> {
    /// Looks up all words that wait.
    fn drain(&mut self) {
        self.ids.reserve(AHEAD * INLINE);
        for i in 0..std::mem::take(&mut self.queue.len) {
            let (word, place) = self.queue.words[i];
            match self.cache.get(word, place) {
                Some((ids, count)) => push_inline(self.ids, *ids, count),
                None => self.miss(word, place),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn miss(&mut self, word: PackedWord, place: usize) {
        self.pieces.clear();
        word.with_bytes(|bytes| self.encoder.encode_word(bytes, self.pieces));
        self.cache.insert(word, place, self.pieces);
        self.ids.extend_from_slice(self.pieces);
    }
}

impl Words for Emit<'_> {
    #[inline]
    fn packed(&mut self, word: PackedWord) {
        let place = self.cache.place(word);
        self.cache.prefetch(place);
        self.queue.words[self.queue.len] = (word, place);
        self.queue.len += 1;
        if self.queue.len == AHEAD {
            self.drain();
        }
    }

    fn long(&mut self, word: &[u8]) {
        self.drain();
        self.encoder.encode_word(word, self.ids);
    }

    #[inline]
    fn ascii(&mut self, byte: u8) {
        // Through the cache, too: a path of its own would cost a branch that nothing predicts.
        self.packed(PackedWord::from_block(u128::from(byte), 1));
    }

    #[inline]
    fn character(&mut self, c: char) {
        let mut bytes = [0; 4];
        if let Some(word) = PackedWord::new(c.encode_utf8(&mut bytes).as_bytes()) {
            self.packed(word);
        }
    }

    #[inline]
    fn ideograph(&mut self, c: char) {
        self.drain();
        self.ids.push(self.encoder.ideographs[c as usize - FIRST_IDEOGRAPH]);
    }
}

/// Pushes the first `count` of `ids`, writing all of them: one store instead of a loop.
#[inline]
fn push_inline(out: &mut Vec<TokenId>, ids: [TokenId; INLINE], count: usize) {
    let len = out.len();
    out.reserve(INLINE);
    out.spare_capacity_mut()[..INLINE].write_copy_of_slice(&ids);
    // SAFETY: the next `INLINE` places are reserved and just written, and `count` is at most `INLINE`.
    unsafe { out.set_len(len + count.min(INLINE)) };
}
