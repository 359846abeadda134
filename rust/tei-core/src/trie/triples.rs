//! Long words of letters and digits, such as encoded data, which no cache knows: three bytes a step instead of one.
//!
//! What the longest token is at each byte of a word is read for all bytes before the first is needed, so that no step waits
//! for the one before, and most need no branch: random text takes half of the time that the trie takes.
use super::Trie;
use crate::TokenId;
use crate::vocabulary::Position;

/// Kinds of bytes: none or another, `a` to `z`, `0` to `9`.
const KINDS: usize = 37;
/// Shorter words are mostly in a cache, or gone before the table would be made.
const SHORTEST: usize = 16;
const LONGEST: usize = 128;
/// Where a token may be longer than three bytes.
const LONGER: u32 = 1 << 2;

/// The kind of each byte.
static KIND: [u8; 256] = {
    let (mut kinds, mut kind) = ([0; 256], 1);
    while kind < KINDS {
        kinds[if kind <= 26 { b'a' as usize + kind - 1 } else { b'0' as usize + kind - 27 }] = kind as u8;
        kind += 1;
    }
    kinds
};

/// The longest continuation token at each three bytes: its id, [`LONGER`] or not, and its length, 0 if there is none.
#[derive(Debug)]
pub struct Triples(Vec<u32>);

impl Triples {
    /// Those of a trie; an id has 29 bits here, and no vocabulary so many tokens.
    pub fn new(trie: &Trie) -> Self {
        let mut steps = vec![0; KINDS.pow(3)];
        let root = trie.root(Position::Continuation);
        let plain = || (1..KINDS).zip((b'a'..=b'z').chain(b'0'..=b'9'));
        let children = |node| plain().filter_map(move |(kind, byte)| Some((kind, trie.child(node, byte)?)));
        let end = |node, len| trie.end_of(node).map_or(0, |id| id << 3 | len);
        let longest = |step: u32, best: u32| if step > 0 { step } else { best };
        for (a, first) in children(root) {
            let at = a * KINDS * KINDS;
            let one = end(first, 1);
            steps[at..at + KINDS * KINDS].fill(one);
            for (b, second) in children(first) {
                let at = at + b * KINDS;
                let two = longest(end(second, 2), one);
                steps[at..at + KINDS].fill(two);
                for (c, third) in children(second) {
                    let more = if trie.is_leaf(third) { 0 } else { LONGER };
                    steps[at + c] = longest(end(third, 3), two) | more;
                }
            }
        }
        Self(steps)
    }

    /// Whether a word may be one that this is made for.
    pub fn suit(word: &[u8]) -> bool {
        (SHORTEST..=LONGEST).contains(&word.len()) && KIND[word[0] as usize] > 0
    }

    /// As [`Trie::segment`], for a word, which is not empty, that this is made for; else None.
    pub fn segment(&self, trie: &Trie, word: &[u8], pieces: &mut Vec<TokenId>) -> Option<bool> {
        let mut steps = [0; LONGEST];
        let (mut pair, mut next, mut plain) = (0, 0, true);
        for (step, &byte) in steps.get_mut(..word.len())?.iter_mut().zip(word).rev() {
            let kind = KIND[byte as usize] as usize;
            plain &= kind > 0;
            *step = self.0[kind * KINDS * KINDS + pair];
            (pair, next) = (kind * KINDS + next, kind);
        }
        if !plain {
            return None;
        }
        let before = pieces.len();
        let mut found = trie.longest(Position::Initial, word);
        let mut at = 0;
        while let Some((id, len)) = found {
            pieces.push(id);
            at += len;
            let Some(&step) = steps[..word.len()].get(at) else { return Some(true) };
            found = if step & LONGER > 0 {
                trie.longest(Position::Continuation, &word[at..])
            } else {
                (step > 0).then_some((step >> 3, (step & 3) as usize))
            };
        }
        pieces.truncate(before);
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::Vocabulary;

    proptest! {
        #[test]
        fn equals_the_trie(
            tokens in proptest::collection::btree_set("(##)?[a-c1]{1,5}", 1..200),
            gone in proptest::collection::vec(any::<bool>(), 200),
            prefix in prop_oneof![Just("##"), Just("")],
            words in proptest::collection::vec("[a-c1]{15,40}|[a-c#é1]{1,40}|a{100,140}", 20),
        ) {
            let vocabulary = Vocabulary::new(std::iter::once("[UNK]").chain(tokens.iter().map(String::as_str)), prefix, "[UNK]");
            let vocabulary = vocabulary.expect("distinct");
            let mut trie = Trie::new(&vocabulary);
            for id in (1..vocabulary.len() as TokenId).filter(|id| gone[*id as usize - 1]) {
                let (surface, position) = vocabulary.surface(id);
                trie.remove(position, surface.as_bytes());
            }
            let triples = Triples::new(&trie);
            for word in words.iter().map(String::as_bytes) {
                let (mut pieces, mut want) = (vec![7], vec![7]);
                let plain = word.len() <= LONGEST && word.iter().all(|byte| KIND[*byte as usize] > 0);
                let spelled = triples.segment(&trie, word, &mut pieces);
                prop_assert_eq!(spelled, plain.then(|| trie.segment(word, &mut want)));
                prop_assert_eq!(pieces, want);
            }
        }
    }

    #[test]
    fn kinds_are_letters_and_digits() {
        let plain: String = (0..=u8::MAX).filter(|&byte| KIND[byte as usize] > 0).map(char::from).collect();
        assert_eq!(plain, "0123456789abcdefghijklmnopqrstuvwxyz");
        assert_eq!(*KIND.iter().max().expect("some") as usize, KINDS - 1);
    }
}
