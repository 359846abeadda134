//! Words and tokens as one numbered set of strings, each with the mass of text it stands for.
use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::vocabulary::Position;

/// Number of a string.
pub(super) type StringId = u32;

/// Mass of one occurrence of a word; masses are integers, so that sums do not depend on their order.
pub(super) const UNIT: u64 = 64;

/// Distinct strings, each in a position class.
#[derive(Clone, Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    positions: Vec<Position>,
    index: HashTable<StringId>,
}

/// A hash that no text can be made for.
pub(super) fn hash(position: Position, bytes: &[u8]) -> u64 {
    static SECRETS: std::sync::LazyLock<[RapidSecrets; 2]> =
        std::sync::LazyLock::new(|| [0, 1].map(|class| RapidSecrets::seed(crate::seed() ^ class)));
    rapidhash_v3_seeded(bytes, &SECRETS[position as usize])
}

impl Strings {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self, i: StringId) -> &[u8] {
        slice(&self.bytes, &self.ends, i)
    }

    pub(super) fn position(&self, i: StringId) -> Position {
        self.positions[i as usize]
    }

    /// What orders strings, whatever their numbers.
    pub(super) fn key(&self, i: StringId) -> (&[u8], Position) {
        (self.bytes(i), self.position(i))
    }

    /// The number of a string, which is the next one if it is new.
    pub(super) fn add(&mut self, position: Position, bytes: &[u8]) -> StringId {
        let Self { bytes: all, ends, positions, index } = self;
        let entry = index.entry(
            hash(position, bytes),
            |&i| positions[i as usize] == position && slice(all, ends, i) == bytes,
            |&i| hash(positions[i as usize], slice(all, ends, i)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => *found.get(),
            hashbrown::hash_table::Entry::Vacant(free) => {
                let id = ends.len() as StringId;
                free.insert(id);
                all.extend_from_slice(bytes);
                ends.push(all.len() as u32);
                positions.push(position);
                id
            }
        }
    }
}

fn slice<'b>(bytes: &'b [u8], ends: &[u32], i: StringId) -> &'b [u8] {
    let start = if i == 0 { 0 } else { ends[i as usize - 1] };
    &bytes[start as usize..ends[i as usize] as usize]
}

/// How much text a word stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mass {
    /// Text that has the word again.
    pub(super) again: u64,
    /// Text that has, in its place, an unseen word like it.
    pub(super) unseen: u64,
}

impl Mass {
    /// The mass of a word that was counted `count` times, `discount` units of which belong to unseen words.
    ///
    /// Text of the same kind has fewer unseen words than other text, and it is not known which will come: .26 of the
    /// power ¾ of each count, found by trial on seven corpora, are for the latter.
    pub(super) fn new(count: u64, discount: u64) -> Self {
        let all = count.saturating_mul(UNIT);
        let root = (count as f64).sqrt();
        #[expect(clippy::cast_sign_loss, reason = "roots are not negative")]
        let other = (0.26 * UNIT as f64 * root * root.sqrt()).round() as u64;
        let unseen = all.min(discount.saturating_add(other));
        Self { again: all - unseen, unseen }
    }
}

/// Mass, of `uses` of a piece, that text has for unseen pieces like it: .8 of the root of their number.
///
/// Without it, pieces that no word of this text needs beside its longer ones make room for further whole words: of German
/// help pages, 8,000 tokens then spell other authors' captions 1.7 % longer than those of merges, and .5 % shorter with it.
/// More of it, or with a higher power, makes other text shorter, and text of the same kind longer.
pub(super) fn unseen_pieces(uses: u64) -> u64 {
    let root = (uses as f64 / UNIT as f64).sqrt();
    #[expect(clippy::cast_sign_loss, reason = "roots are not negative")]
    let unseen = (0.8 * UNIT as f64 * root).round() as u64;
    unseen.min(uses)
}

/// The discount of each word, in units, that makes up for the words not seen: half of n₁ / (n₁ + 2 n₂) of an occurrence,
/// where n₁ words occur once and n₂ twice (Ney, Essen and Kneser, 1994, "On structuring probabilistic dependences").
///
/// Half, since words come in bursts: of six corpora, words counted up to five times recur in a random fifth left out as if
/// .1 to .5 of an occurrence were to be taken off, where the formula says .5 to .7.
pub(super) fn discount(counts: impl Iterator<Item = u64>) -> u64 {
    let (mut once, mut twice) = (0, 0);
    for count in counts {
        once += u64::from(count == 1);
        twice += u64::from(count == 2);
    }
    let all = 2 * (once + 2 * twice).max(1);
    (UNIT * once + all / 2) / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_have_one_number() {
        let mut strings = Strings::default();
        let ids = [(Position::Initial, "ab"), (Position::Continuation, "ab"), (Position::Initial, "ab")]
            .map(|(position, text)| strings.add(position, text.as_bytes()));
        assert_eq!((ids, strings.len()), ([0, 1, 0], 2));
        assert_eq!(strings.key(1), (&b"ab"[..], Position::Continuation));
    }

    #[test]
    fn mass_is_kept_and_rare_words_are_mostly_new() {
        for count in [1, 2, 10, 1000] {
            let mass = Mass::new(count, UNIT / 2);
            assert_eq!(mass.again + mass.unseen, count * UNIT);
        }
        let share = |count| Mass::new(count, UNIT / 2).unseen as f64 / (count * UNIT) as f64;
        assert!(share(1) > 0.7 && share(1000) < 0.1);
    }

    #[test]
    fn discounts_by_rare_words() {
        assert_eq!(discount([1, 1, 2, 9].into_iter()), UNIT / 4);
        assert_eq!(discount([9, 9].into_iter()), 0);
    }
}
