//! Text → words: BERT's normalizer and pre-tokenizer, fused, in chunks that stay in a cache.
//!
//! `folder.rs` folds a chunk of text, `boundaries.rs` finds the words in it, and whoever asked gets them all at once.
mod found;

use std::ops::Range;

use crate::boundaries::{Boundaries, find};
use crate::byte_words;
use crate::folder::{Folded, Folder};
#[cfg(target_arch = "x86_64")]
use crate::machine::{Avx2, Avx512};
use crate::machine::{Baseline, Level, Machine};
use crate::normalizer::{AlignedChar, Normalizer};
use crate::unicode::Folding;
pub use found::Found;

/// Folded bytes at once. Their boundaries and the slots of their words leave the first-level cache before they are used, but half
/// of it takes 3 % longer: each chunk costs as much as some twenty words.
const CHUNK: usize = 4 << 10;

/// Receives the words of texts in order.
pub trait Words {
    /// Whether words may be brief: what begins with an [`ideograph`](crate::folder::begins_ideograph) may be several of
    /// them, a word each. Letters outside of ASCII stay as they are in the text, see [`Found::spelled`], as do characters
    /// that are dropped: a word of nothing else spells nothing.
    const BRIEF: bool = false;
    /// Whether words of one byte may come apart, see [`Found::each_single`].
    const APART: bool = false;

    /// Takes the next words.
    fn take(&mut self, found: Found<'_>);

    /// The same in a function that is compiled for a machine.
    #[inline(always)]
    fn take_on<M: Machine>(&mut self, found: Found<'_>) {
        self.take(found);
    }

    /// Whether no more words of the text that is under way are wanted.
    fn is_full(&self) -> bool {
        false
    }

    /// So many bytes of a word are enough; of a longer word at least as many arrive, but perhaps not all.
    fn longest(&self) -> usize {
        usize::MAX
    }
}

/// Buffers of a scan, only there to be reused.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    folded: Folded,
    found: Boundaries,
    texts: Vec<u32>,
    /// Those of the other scanner.
    pub(crate) bytes: byte_words::Scratch,
}

impl Scratch {
    /// Hands over all words of the folded text; if a text goes on, its last word may, too, and is kept.
    #[inline(always)]
    fn flush<M: Machine, W: Words>(&mut self, goes_on: bool, folder: &Folder, words: &mut W) {
        let Self { folded, found, texts, .. } = self;
        let end = folded.len();
        folded.pad();
        // The last byte may be the first of a longer word.
        let last = if goes_on { end.wrapping_sub(1) } else { usize::MAX };
        if W::APART {
            find::<M, true>(folded.bytes(), folded.marks(), last, found);
        } else {
            find::<M, false>(folded.bytes(), folded.marks(), last, found);
        }
        texts.iter_mut().for_each(|end| *end = found.begun_before(*end));
        let open = goes_on && folded.may_go_on(end) && found.ends().last().is_some_and(|last| *last as usize == end);
        let tail = if open { found.pop() as usize } else { end };
        words.take_on::<M>(Found {
            folded: folded.with_slack(),
            starts: found.starts(),
            ends: found.ends(),
            singles: found.singles(),
            texts,
            runs: folded.has_runs(),
            plain: folded.is_plain(),
            letters: W::BRIEF.then_some(folder),
        });
        let end = if open && W::BRIEF { folder.fold_open(tail..end, words.longest(), folded) } else { end };
        folded.keep(tail..end, words.longest());
        texts.clear();
    }
}

/// A compiled [`Normalizer`] with BERT's pre-tokenizer: white space separates words, punctuation is a word.
#[derive(Clone, Debug)]
pub struct Scanner {
    folder: Folder,
    level: Level,
}

impl Scanner {
    /// Compiles a normalizer.
    #[must_use]
    pub fn new(normalizer: Normalizer) -> Self {
        Self { folder: Folder::new(normalizer), level: Level::best() }
    }

    /// The normalizer this scanner was made of.
    #[must_use]
    pub fn normalizer(&self) -> Normalizer {
        self.folder.normalizer()
    }

    /// Hands the words of all texts to `words`.
    pub fn scan<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
        match self.level {
            Level::Baseline => self.scan_on::<Baseline, W>(texts, scratch, words),
            // SAFETY: a level is only chosen where the machine has its instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.scan_avx2(texts, scratch, words) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.scan_avx512(texts, scratch, words) },
        }
    }

    // Not by [`Machine::apart`], into which the compiler does not take so large a closure: without the instructions for which
    // that is compiled, encoding takes 1.6 times as long.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn scan_avx2<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
        self.scan_on::<Avx2, W>(texts, scratch, words);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
    fn scan_avx512<'t, W: Words>(&self, texts: impl Iterator<Item = &'t str>, scratch: &mut Scratch, words: &mut W) {
        self.scan_on::<Avx512, W>(texts, scratch, words);
    }

    #[inline(always)]
    fn scan_on<'t, M: Machine, W: Words>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        scratch: &mut Scratch,
        words: &mut W,
    ) {
        scratch.folded.keep(0..0, 0);
        for text in texts {
            let mut at = 0;
            loop {
                // Twice what is there, so that a word longer than the chunk is not looked at again and again.
                let goal = CHUNK.max(2 * scratch.folded.open());
                at = self.folder.fold::<M>(text, at, goal, W::BRIEF, &mut scratch.folded);
                if at == text.len() {
                    break;
                }
                scratch.flush::<M, W>(true, &self.folder, words);
                if words.is_full() {
                    scratch.folded.keep(0..0, 0);
                    break;
                }
            }
            scratch.folded.end_text(&mut scratch.texts);
        }
        scratch.flush::<M, W>(false, &self.folder, words);
    }

    /// The slow definition of `scan`: normalize, then split.
    pub fn scan_exactly(&self, text: &str, mut word: impl FnMut(&str)) {
        let chars = self.normalizer().normalize(text, 0);
        for range in split_words(&chars) {
            word(&chars[range].iter().map(|a| a.c).collect::<String>());
        }
    }
}

/// Splits exactly normalized text as the scanner does: ranges of characters, a word each.
#[must_use]
pub fn split_words(chars: &[AlignedChar]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    // The word that the next character may go on with.
    let mut open: Option<usize> = None;
    for (i, a) in chars.iter().enumerate() {
        let entry = Folding::none().entry(a.c);
        let apart = entry.is_space() || entry.is_punctuation();
        if let Some(start) = open.filter(|_| apart) {
            words.push(start..i);
            open = None;
        }
        if entry.is_punctuation() {
            words.push(i..i + 1);
        } else if !apart {
            open.get_or_insert(i);
        }
    }
    words.extend(open.map(|start| start..chars.len()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::Together;
    use proptest::prelude::*;

    struct Collected<const BRIEF: bool>(Vec<String>);

    impl<const BRIEF: bool> Words for Collected<BRIEF> {
        const BRIEF: bool = BRIEF;

        fn take(&mut self, found: Found<'_>) {
            for i in 0..found.len() {
                let word = str::from_utf8(found.spelled(i, &mut Vec::new())).expect("words are UTF-8").to_owned();
                if found.is_run(i) {
                    self.0.extend(word.chars().map(String::from));
                } else if !BRIEF || !word.is_empty() {
                    self.0.push(word);
                }
            }
        }
    }

    /// All words, those of one byte as they come.
    struct Apart(Vec<String>);

    impl Words for Apart {
        const APART: bool = true;

        fn take(&mut self, found: Found<'_>) {
            found.each_single::<4>(|byte, _| self.0.push(char::from(byte).to_string()));
            self.0.extend(found.iter().map(|word| str::from_utf8(word).expect("words are UTF-8").to_owned()));
        }
    }

    fn scanned<const BRIEF: bool>(scanner: &Scanner, text: &str) -> Vec<String> {
        let mut words = Collected::<BRIEF>(Vec::new());
        scanner.scan(std::iter::once(text), &mut Scratch::default(), &mut words);
        words.0
    }

    fn normalizers() -> impl Strategy<Value = Normalizer> {
        any::<[bool; 4]>().prop_map(|[clean_text, split_ideographs, strip_accents, lowercase]| Normalizer {
            clean_text,
            split_ideographs,
            strip_accents,
            lowercase,
        })
    }

    fn agree(normalizer: Normalizer, text: &str) {
        let mut scanner = Scanner::new(normalizer);
        let mut exact = Vec::new();
        scanner.scan_exactly(text, |word| exact.push(word.to_owned()));
        for level in Level::all() {
            scanner.level = level;
            assert_eq!(scanned::<false>(&scanner, text), exact, "{text:?} with {normalizer:?} on {level:?}");
            assert_eq!(scanned::<true>(&scanner, text), exact, "{text:?} with {normalizer:?} on {level:?}, brief");
        }
        let (mut apart, mut sorted) = (Apart(Vec::new()), exact.clone());
        scanner.scan(std::iter::once(text), &mut Scratch::default(), &mut apart);
        apart.0.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(apart.0, sorted, "{text:?} with {normalizer:?}, words of one byte apart");
        let mut words = Collected::<true>(Vec::new());
        scanner.scan_on::<Together, _>(std::iter::once(text), &mut Scratch::default(), &mut words);
        assert_eq!(words.0, exact, "{text:?} with {normalizer:?}, characters folded together");
    }

    proptest! {
        #[test]
        fn equals_the_exact_path(normalizer in normalizers(), text: String) {
            agree(normalizer, &text);
        }

        #[test]
        fn equals_it_on_text_of_letters(normalizer in normalizers(), text in "[a-c ЙйёΆάẾế각힣ガがाीب\u{301}\u{3099}。«İ]{0,200}") {
            agree(normalizer, &text);
        }

        #[test]
        fn equals_it_on_dense_text(normalizer in normalizers(), text in "[a-zA-Z0-9 _,.\\-\t\u{0}\u{b}\u{85}éÉ한中、\u{301}İ\u{ad}\u{302e}\u{302f}\u{1d165}]{0,60}") {
            agree(normalizer, &text);
        }
    }

    #[test]
    fn texts_of_any_length_agree_with_the_exact_path() {
        let normalizer = Normalizer::from_switches([true; 4]);
        for part in ["abc de", "a\u{3000}", "жд\u{a0}е", "中文\u{3000}、", "aé\u{301}한", "Añ, 中b"] {
            for (first, len) in (0..6).flat_map(|first| (50..150).map(move |len| (first, len))) {
                let text: String = part.chars().cycle().skip(first).take(len).collect();
                agree(normalizer, &text);
            }
        }
    }

    #[test]
    fn every_character_agrees_with_the_exact_path() {
        for bits in 0..16u8 {
            let on = |bit: u8| bits >> bit & 1 == 1;
            let [clean_text, split_ideographs, strip_accents, lowercase] = [0, 1, 2, 3].map(on);
            let normalizer = Normalizer { clean_text, split_ideographs, strip_accents, lowercase };
            for first in (0..0x11_0000).step_by(64) {
                let spaced = |c: char| ['a', c, 'B', ' '];
                let text: String = (first..first + 64).filter_map(char::from_u32).flat_map(spaced).collect();
                agree(normalizer, &text);
            }
        }
    }
}
