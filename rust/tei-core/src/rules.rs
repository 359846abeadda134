//! The rules that make words of text: any sequence of normalizers and pre-tokenizers, each text on its fastest path.
//!
//! There are four: rules that amount to BERT's go to its scanner, those of the bytes scheme to theirs; under others that change characters one by one, ASCII
//! goes through a table of what each byte becomes; the rest takes every step on aligned characters.
use std::ops::Range;

use crate::Result;
use crate::byte_words::ByteWords;
use crate::normalizer::{AlignedChar, Normalizer, align, flatten};
use crate::scanner::{Found, Scanner, Scratch, Words};
use crate::splits::{Class, Splitter, class};
use crate::steps::Step;
use crate::unicode::Folding;

/// Steps of normalization and pre-tokenizers, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    steps: Vec<Step>,
    splitter: Splitter,
    fast: Fast,
}

/// Name of the pre-tokenizer of the bytes scheme.
const BYTES: &str = "ByteWords";

/// What is faster than taking every step.
#[derive(Clone, Debug)]
enum Fast {
    Bert(Box<Scanner>),
    Bytes(ByteWords),
    Ascii(Box<Ascii>),
    Nothing,
}

impl Rules {
    /// Compiles steps, each its name in `tokenizers` and its arguments; see [`Step::parse`] and [`Splitter::parse`].
    ///
    /// # Errors
    /// [`crate::Error::UnknownStep`] if a step is not known.
    pub fn parse<W: AsRef<str>>(normalizer: &[Vec<W>], pre_tokenizer: &[Vec<W>]) -> Result<Self> {
        let steps = normalizer.iter().map(|step| Step::parse(step)).collect::<Result<_>>()?;
        if let (true, [only]) = (normalizer.is_empty(), pre_tokenizer)
            && let [name] = only.as_slice()
            && name.as_ref() == BYTES
        {
            return Ok(Self::bytes());
        }
        Ok(Self::new(steps, Splitter::parse(pre_tokenizer)?))
    }

    /// The rules of the bytes scheme: nothing is changed, and every byte is part of a word.
    #[must_use]
    pub fn bytes() -> Self {
        Self { steps: Vec::new(), splitter: Splitter::default(), fast: Fast::Bytes(ByteWords::new()) }
    }

    /// Finds the fastest path for the rules.
    #[must_use]
    pub fn new(steps: Vec<Step>, splitter: Splitter) -> Self {
        let fast = match as_bert(&steps).filter(|_| splitter == Splitter::bert()) {
            Some(normalizer) => Fast::Bert(Box::new(Scanner::new(normalizer))),
            None => Ascii::new(&steps, &splitter).map_or(Fast::Nothing, |ascii| Fast::Ascii(Box::new(ascii))),
        };
        Self { steps, splitter, fast }
    }

    /// Whether the rules amount to BERT's.
    #[must_use]
    pub fn is_bert(&self) -> bool {
        matches!(self.fast, Fast::Bert(_))
    }

    /// The table that folds one character, if the rules amount to BERT's.
    #[must_use]
    pub fn folding(&self) -> Option<&'static Folding> {
        as_bert(&self.steps).filter(|_| self.is_bert()).map(|normalizer| normalizer.folding())
    }

    /// Whether these are the rules of the bytes scheme.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self.fast, Fast::Bytes(_))
    }

    /// Normalizes `text`; spans are byte offsets into `text` plus `base`.
    #[must_use]
    pub fn normalize(&self, text: &str, base: usize) -> Vec<AlignedChar> {
        self.steps.iter().fold(align(text, base), |chars, step| step.apply(chars))
    }

    /// The words of normalized characters, as ranges.
    #[must_use]
    pub fn split(&self, chars: &[AlignedChar]) -> Vec<Range<usize>> {
        self.splitter.split(chars)
    }

    /// Hands the words of all texts to `words`; `scratch` is only there to be reused.
    pub fn scan<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
        if let Fast::Bert(scanner) = &self.fast {
            return scanner.scan(texts, scratch, words);
        }
        if let Fast::Bytes(scanner) = &self.fast {
            return scanner.scan(texts, &mut scratch.bytes, words);
        }
        let mut batch = Batch { words, folded: Vec::new(), starts: Vec::new(), ends: Vec::new(), texts: Vec::new() };
        for text in texts {
            for chunk in self.pieces(text, CHUNK) {
                match &self.fast {
                    Fast::Ascii(ascii) if chunk.is_ascii() => ascii.scan(chunk, &self.splitter, &mut batch),
                    _ => self.scan_exactly(chunk, |word| batch.push(word.bytes())),
                }
                if batch.words.is_full() {
                    break;
                }
            }
            batch.texts.push(batch.starts.len() as u32);
        }
        batch.flush();
    }

    /// The slow definition of `scan` for one text: normalize, then split.
    pub fn scan_exactly(&self, text: &str, mut word: impl FnMut(&str)) {
        let chars = self.normalize(text, 0);
        self.split(&chars).into_iter().for_each(|range| word(&flatten(&chars[range]).0));
    }

    /// Where a text may be cut in two, from a byte on: the rules treat both parts as they treat them in the whole.
    #[must_use]
    pub fn cut(&self, text: &str, from: usize) -> Option<usize> {
        match &self.fast {
            // What begins with an ASCII character is composed with nothing before it.
            Fast::Bert(_) => position(text, from, |pair| pair[0] == b' ' && pair[1] < 128),
            Fast::Ascii(ascii) => ascii.cut(text, from),
            Fast::Bytes(_) | Fast::Nothing => None,
        }
    }

    /// Cuts a text into pieces of `size` bytes or some more, which the rules treat as they treat the whole.
    pub fn pieces<'t>(&self, text: &'t str, size: usize) -> impl Iterator<Item = &'t str> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            let (piece, after) = self.cut(text, size).map_or((text, None), |at| (&text[..at], Some(&text[at..])));
            rest = after;
            Some(piece)
        })
    }
}

/// Words on their way to whoever asked for them.
struct Batch<'w, W> {
    words: &'w mut W,
    folded: Vec<u8>,
    starts: Vec<u32>,
    ends: Vec<u32>,
    texts: Vec<u32>,
}

/// Bytes of words that are handed over at once.
const BATCH: usize = 2 << 10;

impl<W: Words> Batch<'_, W> {
    fn push(&mut self, word: impl Iterator<Item = u8>) {
        self.starts.push(self.folded.len() as u32);
        self.folded.extend(word);
        self.ends.push(self.folded.len() as u32);
        if self.folded.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // Words are read as blocks of 16 bytes.
        self.folded.extend([0; 16]);
        self.words.take(Found::new(&self.folded, &self.starts, &self.ends, &self.texts));
        self.folded.clear();
        [&mut self.starts, &mut self.ends, &mut self.texts].into_iter().for_each(Vec::clear);
    }
}

/// The one normalizer that steps amount to, if they are parts of BERT's in its order.
fn as_bert(steps: &[Step]) -> Option<Normalizer> {
    let mut on = [false; 4];
    for step in steps {
        let Step::Bert(normalizer) = step else { return None };
        for (i, switch) in normalizer.switches().into_iter().enumerate().filter(|(_, switch)| *switch) {
            if on[i..].contains(&true) {
                return None;
            }
            on[i] = switch;
        }
    }
    Some(Normalizer::from_switches(on))
}

/// What each ASCII character becomes under steps that treat it alone.
#[derive(Clone, Debug)]
struct Ascii {
    /// One ASCII character or [`GONE`].
    becomes: [u8; 128],
    classes: [Class; 128],
    /// Whether text may be cut after a character if ASCII follows: it becomes one that no word holds.
    cuts: [bool; 128],
}

/// Stands for no character.
const GONE: u8 = u8::MAX;

/// Texts are cut about this often, so that a few characters outside ASCII make few bytes slow.
const CHUNK: usize = 256;

impl Ascii {
    /// The table, unless some step looks around or leads out of ASCII.
    fn new(steps: &[Step], splitter: &Splitter) -> Option<Self> {
        if !steps.iter().all(Step::is_local) {
            return None;
        }
        let mut becomes = [GONE; 128];
        for (byte, to) in (0..).zip(&mut becomes) {
            *to = become_ascii(steps, byte)?;
        }
        let classes: [Class; 128] = std::array::from_fn(|byte| class(char::from(byte as u8)));
        let cuts = becomes.map(|to| to != GONE && splitter.drops(classes[usize::from(to)]));
        Some(Self { becomes, classes, cuts })
    }

    /// Where a text may be cut in two, from a byte on.
    fn cut(&self, text: &str, from: usize) -> Option<usize> {
        position(text, from, |pair| pair[0] < 128 && pair[1] < 128 && self.cuts[usize::from(pair[0])])
    }

    /// The fast twin of [`Rules::scan_exactly`] for ASCII.
    fn scan<W: Words>(&self, text: &str, splitter: &Splitter, batch: &mut Batch<'_, W>) {
        let folded = text.bytes().map(|byte| self.becomes[usize::from(byte)]).filter(|&to| to != GONE);
        let folded: Vec<u8> = folded.collect();
        let classes = folded.iter().map(|&byte| self.classes[usize::from(byte)]);
        splitter.each(classes, |word| batch.push(folded[word].iter().copied()));
    }
}

/// Between which two bytes, from one on, something holds.
fn position(text: &str, from: usize, holds: impl Fn(&[u8]) -> bool) -> Option<usize> {
    text.as_bytes().get(from..)?.windows(2).position(holds).map(|at| from + at + 1)
}

/// What an ASCII character becomes: one such character, or [`GONE`]; None if it becomes something else on the way.
fn become_ascii(steps: &[Step], byte: u8) -> Option<u8> {
    let mut chars = align(char::from(byte).encode_utf8(&mut [0; 4]), 0);
    for step in steps {
        chars = step.apply(chars);
        if chars.len() > 1 || !chars.iter().all(|a| a.c.is_ascii()) {
            return None;
        }
    }
    Some(chars.first().map_or(GONE, |a| a.c as u8))
}
