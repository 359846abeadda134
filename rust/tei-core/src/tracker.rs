//! Words whose segmentation is kept from one change of a vocabulary to the next: what is asked costs what has changed.
//!
//! Planning changes the words and puts them back; only new words and an applied plan change them for good. All results
//! are those of [`Usage::new`], [`crate::trim::trim_order`] and [`crate::grow::grow`] on the sum of the counts.
use std::sync::Arc;

use hashbrown::HashSet;
use rapidhash::fast::RandomState;

use crate::TokenId;
use crate::candidates::Candidates;
use crate::encoder::Encoder;
use crate::grow::{Grown, Options, Table, grown};
use crate::paths::Users;
use crate::trim::{self, TrimOrder};
use crate::usage::{Usage, alphabet_of, measures, printable};
use crate::word_counts::{Index, WordCounts};

/// Words under the vocabulary of an encoder, which is given to each call.
#[derive(Clone, Debug)]
pub struct Tracker {
    table: Table,
    users: Users,
    candidates: Candidates,
    index: Index,
    max_pieces: usize,
    /// Printable ones and all that occur.
    alphabet: HashSet<char, RandomState>,
    /// Characters and bytes of all occurrences.
    sums: [u64; 2],
    /// Words that begin as a continuation token is written, which may match one as it stands.
    literal: Vec<u32>,
}

impl Tracker {
    /// Segments each word once; new tokens are made of at most `max_pieces` pieces.
    #[must_use]
    pub fn new(encoder: &Encoder, counts: &WordCounts, max_pieces: usize) -> Self {
        let table = Table::new(encoder, Arc::new(counts.clone()), &[]);
        let words = &table.words;
        let mut tracker = Self {
            users: Users::of(&words.paths, words.len()),
            candidates: Candidates::new(words, encoder.vocabulary().later(), max_pieces),
            index: Index::of(counts),
            max_pieces,
            alphabet: printable(),
            sums: [0; 2],
            literal: Vec::new(),
            table,
        };
        for i in 0..counts.len() as u32 {
            tracker.measure(encoder, i, counts.count(i as usize));
            tracker.meet(encoder, i);
        }
        tracker
    }

    /// Adds counts: words not met before are segmented, the others count more.
    pub fn add(&mut self, encoder: &Encoder, counts: &WordCounts) {
        for number in 0..counts.len() {
            let words = &mut self.table.words;
            let known = words.counts.len();
            let i = self.index.number(Arc::make_mut(&mut words.counts), counts.bytes(number));
            let count = counts.count(number).min(u64::MAX - words.count(i));
            words.add(i, count);
            self.candidates.add(words, i, count);
            self.measure(encoder, i, count);
            if i as usize == known {
                self.users.note(i, &[], self.table.words.paths.get(i));
                self.table.note(i);
                self.meet(encoder, i);
            }
        }
    }

    fn measure(&mut self, encoder: &Encoder, i: u32, count: u64) {
        let word = self.table.words.counts.bytes(i as usize);
        for (sum, size) in self.sums.iter_mut().zip(measures(encoder)) {
            *sum = sum.wrapping_add(count.wrapping_mul(size(word) as u64));
        }
    }

    fn meet(&mut self, encoder: &Encoder, i: u32) {
        let (word, prefix) = (self.table.words.counts.word(i as usize), encoder.vocabulary().continuation_prefix());
        self.alphabet.extend(word.chars());
        if !prefix.is_empty() && word.starts_with(prefix) && self.table.words.has_room(i) {
            self.literal.push(i);
        }
    }

    /// All words so far.
    #[must_use]
    pub fn counts(&self) -> WordCounts {
        self.table.words.counts.ordered()
    }

    /// What the words emit.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (words, [characters, bytes]) = (&self.table.words, self.sums);
        Usage {
            emitted: words.emitted_by_id(),
            words: words.total(),
            tokens: words.tokens(),
            unknown_words: words.unknown_words(),
            characters,
            bytes,
        }
    }

    /// As [`crate::usage::alphabet`] of the words.
    #[must_use]
    pub fn alphabet(&self, encoder: &Encoder) -> Vec<bool> {
        alphabet_of(encoder, &self.alphabet)
    }

    /// As [`trim::trim_order`] of the words.
    #[must_use]
    pub fn trim_order(&mut self, encoder: &Encoder, options: trim::Options) -> TrimOrder {
        let Self { table: Table { words, .. }, users, .. } = self;
        words.begin();
        users.begin();
        let order = trim::order(encoder.vocabulary(), words, users, options);
        users.undo();
        words.undo();
        order
    }

    /// As [`crate::grow::grow`] of the words, without a guard: at most `count` tokens that save `min_gain` each.
    #[must_use]
    pub fn grow(&mut self, encoder: &Encoder, removed: &[TokenId], count: usize, min_gain: u64) -> Vec<Grown> {
        let options = Options { count, min_gain, max_pieces: self.max_pieces, guard: None };
        let Self { table, candidates, .. } = self;
        table.begin();
        candidates.begin();
        let changed = self.users.find(&table.words.numbers(removed), &table.words.paths);
        removed.iter().for_each(|&id| table.words.remove(encoder.vocabulary().surface(id)));
        table.renew(changed, candidates, |_, _, _| ());
        let grown = grown(encoder.vocabulary(), table, candidates, None, removed, options);
        candidates.undo();
        table.undo();
        grown
    }

    /// Goes on with the encoder that a plan led to: `id_map` has the new id of each token before, or None.
    ///
    /// Where kept tokens do not come first and in their order, the words are segmented anew.
    pub fn apply(&mut self, before: &Encoder, after: &Encoder, id_map: &[Option<TokenId>]) {
        let kept = id_map.iter().flatten().count() as TokenId;
        if !id_map.iter().flatten().copied().eq(0..kept) {
            *self = Self::new(after, &self.table.words.counts, self.max_pieces);
            return;
        }
        self.drop(before, after, id_map);
        for id in kept..after.vocabulary().len() as TokenId {
            let (surface, position) = after.vocabulary().surface(id);
            // Some tokens are never matched in words.
            if after.trie().get(position, surface.as_bytes()) == Some(id) {
                let changed = self.table.changed((surface.as_bytes(), position));
                let words = &mut self.table.words;
                words.insert(position, surface.as_bytes(), words.numbers(&[id])[0]);
                self.renew(changed);
            }
        }
        // Unknown words have no whole path that would tell what changes them.
        let unspelled = self.table.words.unspelled();
        self.renew(unspelled);
        self.renew(self.literal.clone());
    }

    fn drop(&mut self, before: &Encoder, after: &Encoder, id_map: &[Option<TokenId>]) {
        let gone: Vec<_> = (0..).zip(id_map).filter(|(_, id)| id.is_none()).map(|(id, _)| id).collect();
        let words = &mut self.table.words;
        let tokens = words.numbers(&gone);
        let changed = self.users.find(&tokens, &words.paths);
        gone.iter().for_each(|&id| words.remove(before.vocabulary().surface(id)));
        words.renumber(id_map, after.vocabulary());
        self.users.resize(words.len());
        self.renew(changed);
        self.users.clear(&tokens);
    }

    fn renew(&mut self, changed: Vec<u32>) {
        self.table.renew(changed, &mut self.candidates, |i, before, now| self.users.note(i, before, now));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedding::Rows;
    use crate::grow::grow;
    use crate::rules::Rules;
    use crate::trim::trim_order;
    use crate::vocabulary::Vocabulary;

    fn encoder(tokens: &[String], prefix: &str) -> Encoder {
        let vocabulary = Vocabulary::new(tokens, prefix, "[UNK]").expect("sound");
        Encoder::new(vocabulary, Rules::parse::<&str>(&[], &[]).expect("sound"), Vec::new(), 7).expect("sound")
    }

    fn trimming<'a>(rows: &'a [f32], protected: &'a [bool], tokens: usize, most: usize) -> trim::Options<'a> {
        let rows = (!rows.is_empty()).then(|| Rows::new(rows, 1, tokens).expect("enough"));
        trim::Options { protected, rows, most }
    }

    /// Tokens without those of `removed`, then the new ones, and where the old ones went.
    fn changed(tokens: &[String], removed: &[TokenId], grown: Vec<Grown>) -> (Vec<String>, Vec<Option<TokenId>>) {
        let stays = |id: &TokenId| !removed.contains(id);
        let mut next = 0..;
        let id_map = (0..tokens.len() as TokenId).map(|id| stays(&id).then(|| next.next()).flatten()).collect();
        let kept = (0..).zip(tokens).filter(|(id, _)| stays(id)).map(|(_, token)| token.clone());
        let mut after: Vec<String> = kept.collect();
        // A token may come back in the step in which it goes.
        after.extend(grown.into_iter().map(|grown| grown.token));
        (after, id_map)
    }

    proptest! {
        #[test]
        fn equals_words_that_are_segmented_anew(
            prefix in prop_oneof![Just("##"), Just("")],
            tokens in proptest::collection::btree_set("(##)?[abé]{1,3}", 1..20),
            tables in proptest::collection::vec(proptest::collection::vec(("[abcé#]{1,9}", 1_u64..20), 1..9), 1..6),
            values in proptest::collection::vec(-1.0_f32..1.0, 64),
            weighted: bool,
            most in 0_usize..5,
        ) {
            let mut tokens: Vec<String> = std::iter::once("[UNK]".to_owned()).chain(tokens).collect();
            let mut now = encoder(&tokens, prefix);
            let (mut counts, mut tracker) = (WordCounts::default(), Tracker::new(&now, &WordCounts::default(), 3));
            for table in tables {
                let new = WordCounts::from_pairs(table);
                tracker.add(&now, &new);
                counts = counts.merged(&new);
                prop_assert_eq!(tracker.usage(), Usage::new(&now, &counts, &[]));
                prop_assert_eq!(tracker.alphabet(&now), crate::usage::alphabet(&now, &counts));
                let rows = if weighted { &values[..] } else { &[] };
                let order = trim_order(&now, &counts, trimming(rows, &[true], tokens.len(), most));
                prop_assert_eq!(&tracker.trim_order(&now, trimming(rows, &[true], tokens.len(), most)), &order);
                let whole = trim_order(&now, &counts, trimming(rows, &[true], tokens.len(), usize::MAX));
                prop_assert_eq!(&whole.order[..order.order.len()], &order.order);
                prop_assert_eq!(&whole.costs[..order.order.len()], &order.costs);
                let growing = Options { count: most, min_gain: 2, max_pieces: 3, guard: None };
                let grown = grow(&now, &counts, &order.order, growing);
                prop_assert_eq!(&tracker.grow(&now, &order.order, most, 2), &grown);
                let (after, id_map) = changed(&tokens, &order.order, grown);
                let next = encoder(&after, prefix);
                tracker.apply(&now, &next, &id_map);
                (tokens, now) = (after, next);
                prop_assert_eq!(tracker.usage(), Usage::new(&now, &counts, &[]));
                prop_assert_eq!(tracker.counts(), counts.clone());
            }
        }
    }
}
