//! Text → ids: scanner, word cache, longest match.
//!
//! [`Encoder::encode`] is the fast path: ids only. [`Encoder::encode_aligned`] is the exact one, with offsets and word
//! numbers; the fast path hands a text over to it where only that is right (see `scanner.rs`, `added_tokens.rs`).
mod emit;
mod exact;
mod lossless;
mod revision;
mod workers;

use std::sync::OnceLock;

use self::lossless::Lossless;
use crate::added_tokens::{AddedToken, AddedTokens, Segment};
use crate::folder::{IDEOGRAPHS, ideograph_number};
use crate::normalizer::flatten;
use crate::rules::Rules;
use crate::scanner::{Found, Scratch, Words};
use crate::trie::{Trie, Triples};
use crate::vocabulary::Vocabulary;
use crate::word_cache::WordCache;
use crate::{Result, TokenId};
use emit::{Asked, Emit, Lookup};
use exact::Part;
use workers::Workers;

/// 7.75 MiB a worker, 4 of them for short words: 99 of 100 English words hit. Half of it is no faster and misses twice as often.
const CACHE_BITS: u32 = 17;
/// Encodes text with one vocabulary by one set of rules; never changes.
#[derive(Debug)]
pub struct Encoder {
    vocabulary: Vocabulary,
    trie: Trie,
    /// In the bytes scheme, whose trie is over bytes.
    lossless: Option<Box<Lossless>>,
    rules: Rules,
    added: AddedTokens,
    max_word_chars: usize,
    /// The id of each ideograph that is a word; made when the first is met.
    ideographs: OnceLock<Vec<TokenId>>,
    /// What the tokens of long words are read from; made when the first is met.
    triples: OnceLock<Triples>,
    /// Whether offsets leave out the blanks at a token's ends, and if so, whether one before the first token stays.
    trim: Option<bool>,
    workers: Workers,
}

/// What one thread needs to encode: a word cache and buffers. It speeds encoding up and never changes the result.
#[derive(Debug, Default)]
pub struct Worker {
    /// Made by the first encoding; whoever only looks for words needs none.
    cache: Option<WordCache>,
    scratch: Scratch,
    asked: Asked,
    pieces: Vec<TokenId>,
    spelling: Vec<u8>,
}

impl Encoder {
    /// An encoder for `vocabulary`; a word of more than `max_word_chars` characters is one unknown token.
    ///
    /// # Errors
    /// Whatever [`AddedTokens::new`] finds wrong with `added`; in the bytes scheme, [`crate::Error::NoByteString`] or
    /// [`crate::Error::MissingBytes`] if tokens are no byte strings or do not spell every text.
    pub fn new(vocabulary: Vocabulary, rules: Rules, added: Vec<AddedToken>, max_word_chars: usize) -> Result<Self> {
        let lossless = rules.is_bytes().then(|| Lossless::new(&vocabulary, &added).map(Box::new)).transpose()?;
        let words = || words(&vocabulary, &added);
        let trie = lossless.as_ref().map_or_else(words, |lossless| lossless.trie());
        let added = AddedTokens::new(added, &rules)?;
        Ok(Self {
            vocabulary,
            trie,
            lossless,
            rules,
            added,
            max_word_chars,
            ideographs: OnceLock::new(),
            triples: OnceLock::new(),
            trim: None,
            workers: Workers::default(),
        })
    }

    /// The same encoder with offsets that leave out the blanks at a token's ends; one before the first token stays if
    /// the inner value says so, None leaves nothing out.
    #[must_use]
    pub fn trimming(self, trim: Option<bool>) -> Self {
        Self { trim, ..self }
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// How decoding shows the token of an id, if there is one.
    #[must_use]
    pub fn shown(&self, id: TokenId) -> Option<&str> {
        self.added.normal_form(id).or_else(|| self.vocabulary.get(id))
    }

    /// The trie over the vocabulary as counted words spell it.
    #[must_use]
    pub fn trie(&self) -> &Trie {
        self.lossless.as_ref().map_or(&self.trie, |lossless| lossless.letters(&self.vocabulary))
    }

    /// Words longer than this many characters are unknown.
    #[must_use]
    pub fn max_word_chars(&self) -> usize {
        self.max_word_chars
    }

    /// Runs `f` with a worker that no other thread uses; workers are kept for later calls.
    pub fn with_worker<R>(&self, f: impl FnOnce(&mut Worker) -> R) -> R {
        self.workers.with(f)
    }

    /// Appends the ids of all texts to `ids`, and to `ends` where each text's ids end.
    pub fn encode<'t>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        worker: &mut Worker,
        ids: &mut Vec<TokenId>,
        ends: &mut Vec<i64>,
    ) {
        self.encode_up_to(usize::MAX, texts, worker, ids, ends);
    }

    /// [`Encoder::encode`] with the first `limit` ids of each text only, and little work for the others.
    pub fn encode_up_to<'t>(
        &self,
        limit: usize,
        texts: impl Iterator<Item = &'t str>,
        worker: &mut Worker,
        ids: &mut Vec<TokenId>,
        ends: &mut Vec<i64>,
    ) {
        self.emit(limit, worker, ids, ends, |scratch, emit| {
            self.split(texts, |run| match run {
                Run::Plain(texts) => self.rules.scan(texts, scratch, emit),
                Run::Marked(text) => self.encode_marked(text, scratch, emit),
            });
        });
    }

    /// [`Encoder::encode`] of texts that all lie in `whole`: for short ones half of the search for added tokens is starting it.
    pub fn encode_within(
        &self,
        whole: &str,
        texts: &mut dyn Iterator<Item = &str>,
        worker: &mut Worker,
        ids: &mut Vec<TokenId>,
        ends: &mut Vec<i64>,
    ) {
        if self.added.may_match(whole) {
            return self.encode(texts, worker, ids, ends);
        }
        self.emit(usize::MAX, worker, ids, ends, |scratch, emit| self.rules.scan(texts, scratch, emit));
    }

    fn emit(
        &self,
        limit: usize,
        worker: &mut Worker,
        ids: &mut Vec<TokenId>,
        ends: &mut Vec<i64>,
        encode: impl FnOnce(&mut Scratch, &mut Emit<'_>),
    ) {
        let Worker { cache, scratch, asked, pieces, spelling } = worker;
        let cache = cache.get_or_insert_with(|| WordCache::new(CACHE_BITS, crate::seed(), self.vocabulary.len()));
        let (row, lookup) = (ids.len(), Lookup { encoder: self, cache, pieces, spelling });
        encode(scratch, &mut Emit { lookup, asked, ids, ends, limit, row });
    }

    fn encode_marked(&self, text: &str, scratch: &mut Scratch, emit: &mut Emit<'_>) {
        let row = emit.row;
        if self.added.may_match_normalized(text) {
            emit.ids.extend(self.align_up_to(text, emit.limit, false).ids);
        } else {
            let texts = emit.ends.len();
            self.added.split_raw(text, |segment| match segment {
                _ if emit.ids.len() - row >= emit.limit => {}
                Segment::Token(id, _) => emit.ids.push(id),
                Segment::Text(range) => self.rules.scan(std::iter::once(&text[range]), scratch, emit),
            });
            emit.ends.truncate(texts);
        }
        emit.row = row;
        emit.end_row();
    }

    /// Hands every word of all texts to `words`; added tokens are no words.
    pub fn visit_words<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, worker: &mut Worker, words: &mut W) {
        if self.is_lossless() {
            return self.visit_spelled(texts, worker, words);
        }
        self.split(texts, |run| match run {
            Run::Plain(texts) => self.rules.scan(texts, &mut worker.scratch, words),
            Run::Marked(text) => self.visit_exactly(text, |part| {
                if let Part::Word(chars) = part {
                    let (word, _) = flatten(chars);
                    words.take(Found::one(word.as_bytes(), &[word.len() as u32]));
                }
            }),
        });
    }

    /// Cuts texts into runs of those that hold no added token, and single ones that may.
    fn split<'t>(&self, mut texts: impl Iterator<Item = &'t str>, mut visit: impl FnMut(Run<'_, '_, 't>)) {
        let mut plain = Plain { texts: &mut texts, added: &self.added, marked: None };
        loop {
            visit(Run::Plain(&mut plain));
            // Without one, the texts have come to their end.
            let Some(text) = plain.marked.take() else { return };
            visit(Run::Marked(text));
        }
    }

    /// Appends the ids of ideographs that follow each other, each a word of a single piece, since pieces are whole characters.
    fn encode_ideographs(&self, run: &[u8], ids: &mut Vec<TokenId>) {
        let table = self.ideographs.get_or_init(|| {
            let mut pieces = Vec::with_capacity(IDEOGRAPHS);
            for c in ('\u{4E00}'..).take(IDEOGRAPHS) {
                self.encode_word(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut pieces);
            }
            debug_assert_eq!(pieces.len(), IDEOGRAPHS, "one piece each");
            pieces
        });
        // Of known length, so that no index is checked.
        let Some(table) = table.first_chunk::<IDEOGRAPHS>() else { return };
        ids.extend(run.as_chunks().0.iter().map(|utf8| table[ideograph_number(*utf8).min(IDEOGRAPHS - 1)]));
    }

    /// Appends the pieces of one normalized word, or the unknown token.
    pub fn encode_word(&self, word: &[u8], pieces: &mut Vec<TokenId>) {
        let fits = word.len() <= self.max_word_chars || char_count(word) <= self.max_word_chars;
        if !fits || !self.segment(word, pieces) {
            pieces.push(self.vocabulary.unknown());
        }
    }

    fn segment(&self, word: &[u8], pieces: &mut Vec<TokenId>) -> bool {
        let triples = Triples::suit(word).then(|| self.triples.get_or_init(|| Triples::new(&self.trie)));
        let found = triples.and_then(|triples| triples.segment(&self.trie, word, pieces));
        found.unwrap_or_else(|| self.trie.segment(word, pieces))
    }
}

/// The trie over what words match.
fn words(vocabulary: &Vocabulary, added: &[AddedToken]) -> Trie {
    let mut trie = Trie::new(vocabulary);
    for token in added.iter().filter(|token| !token.in_model) {
        let (surface, position) = vocabulary.split_surface(&token.content);
        trie.remove(position, surface.as_bytes());
    }
    trie
}

fn char_count(word: &[u8]) -> usize {
    word.iter().filter(|b| b.cast_signed() >= -64).count()
}

/// Texts that take the same way.
enum Run<'a, 'r, 't> {
    Plain(&'a mut Plain<'r, 't>),
    Marked(&'t str),
}

/// Texts up to the next one that may hold an added token.
struct Plain<'r, 't> {
    texts: &'r mut dyn Iterator<Item = &'t str>,
    added: &'r AddedTokens,
    marked: Option<&'t str>,
}

impl<'t> Iterator for Plain<'_, 't> {
    type Item = &'t str;

    #[inline(always)]
    fn next(&mut self) -> Option<&'t str> {
        let text = self.texts.next()?;
        if self.added.may_match(text) {
            self.marked = Some(text);
            return None;
        }
        Some(text)
    }
}
