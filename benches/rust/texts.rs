//! Texts and a vocabulary to measure with, made up the same way each time; or a file of the user's.
use std::collections::BTreeSet;

use tei_core::added_tokens::AddedToken;
use tei_core::encoder::Encoder;
use tei_core::normalizer::Normalizer;
use tei_core::rules::Rules;
use tei_core::splits::Splitter;
use tei_core::steps::Step;
use tei_core::vocabulary::Vocabulary;

/// BERT's normalization with lower case.
pub const UNCASED: Normalizer =
    Normalizer { clean_text: true, split_ideographs: true, strip_accents: true, lowercase: true };

/// The rules of uncased BERT.
#[must_use]
pub fn uncased() -> Rules {
    Rules::new(vec![Step::Bert(UNCASED)], Splitter::bert())
}

const WORDS: usize = 30_000;

/// Lines of about a million bytes in all: of the file that `TEI_BENCH_TEXT` names, or made up.
#[must_use]
pub fn lines(kind: &str) -> Vec<String> {
    match std::env::var("TEI_BENCH_TEXT").ok().and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(text) => text
            .lines()
            .scan(0, |read, line| Some((std::mem::replace(read, *read + line.len()), line)))
            .take_while(|(read, _)| *read < 1_000_000)
            .map(|(_, line)| line.to_owned())
            .collect(),
        None => made_up(kind),
    }
}

fn made_up(kind: &str) -> Vec<String> {
    let (mut random, mut lines, mut size) = (Random(1), Vec::new(), 0);
    while size < 1_000_000 {
        let line = line(kind, &mut random);
        size += line.len();
        lines.push(line);
    }
    lines
}

fn line(kind: &str, random: &mut Random) -> String {
    let mut line = String::new();
    while line.len() < 200 {
        let word = random.zipf(WORDS);
        match kind {
            "Chinese" if random.below(12) == 0 => line.push('，'),
            "Chinese" => line.extend(char::from_u32(0x4E00 + random.zipf(6_000) as u32)),
            "accents" => line.push_str(&self::word(word).replace('a', "á").replace('o', "Ö")),
            _ => line.push_str(&self::word(word)),
        }
        if kind != "Chinese" {
            line.push_str(if random.below(9) == 0 { ", " } else { " " });
        }
    }
    line
}

/// The `rank`-th most frequent word: the more frequent, the shorter.
fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ta", "re", "in", "o", "ment", "al", "e", "con", "s", "er", "ing", "lo", "un", "the", "qui", "a"];
    let mut word = String::new();
    let mut rest = rank + 1;
    while rest > 0 {
        word.push_str(SYLLABLES[rest % 16]);
        rest /= 16;
    }
    word
}

/// An encoder with a vocabulary of the more frequent half of the words, their parts, and ideographs.
///
/// # Panics
/// If the vocabulary is refused, which no text can bring about.
#[must_use]
pub fn encoder(added: Vec<AddedToken>) -> Encoder {
    Encoder::new(vocabulary(), uncased(), added, 100).expect("a sound vocabulary")
}

/// The vocabulary of [`encoder`].
///
/// # Panics
/// As there.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let mut tokens = BTreeSet::new();
    for rank in 0..WORDS / 2 {
        let word = word(rank);
        tokens.extend((1..=word.len().min(6)).map(|len| format!("##{}", &word[word.len() - len..])));
        tokens.insert(word);
    }
    tokens.extend(('a'..='z').chain('0'..='9').chain("，.,-".chars()).flat_map(|c| [c.to_string(), format!("##{c}")]));
    tokens.extend(('\u{4E00}'..'\u{6000}').map(String::from));
    let tokens = std::iter::once("[UNK]".to_owned()).chain(tokens);
    Vocabulary::new(tokens, "##", "[UNK]").expect("distinct tokens")
}

/// `count` added tokens like `[extra3]`, looked for in the raw text.
#[must_use]
pub fn added_tokens(count: u32) -> Vec<AddedToken> {
    let token = |i| AddedToken {
        id: i,
        content: format!("[extra{i}]"),
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        in_model: true,
    };
    (0..count).map(token).collect()
}

/// Marsaglia's xorshift: benches need no better.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// A rank below `end`, each about as frequent as its inverse.
    #[expect(clippy::cast_sign_loss, reason = "a power of at least 1, less 1")]
    fn zipf(&mut self, end: usize) -> usize {
        let share = self.below(1 << 30) as f64 / f64::from(1 << 30);
        ((end as f64).powf(share) - 1.0) as usize
    }
}
