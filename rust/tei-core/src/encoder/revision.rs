//! An encoder made from another one by a few edits: what costs time is a copy, not the placing of all tokens.
use std::sync::OnceLock;

use super::{Encoder, Workers};
use crate::{Result, TokenId};

impl Encoder {
    /// The same encoder with further tokens, whose ids follow the last one, and with tokens that come or go while their
    /// ids stay: a `retired` token is never emitted any more, a `restored` one is again. Word caches begin anew.
    ///
    /// # Errors
    /// [`crate::Error::DuplicateToken`] if an added token is there already.
    ///
    /// # Panics
    /// If an id is not below the number of tokens, or in the bytes scheme, whose tokens are compiled otherwise.
    pub fn revised<T: AsRef<str>>(&self, added: &[T], restored: &[TokenId], retired: &[TokenId]) -> Result<Self> {
        assert!(self.lossless.is_none(), "an encoder of the bytes scheme is not revised");
        let vocabulary = self.vocabulary.extended(added)?;
        let mut trie = self.trie.clone();
        let new = self.vocabulary.len() as TokenId..vocabulary.len() as TokenId;
        for id in new.chain(restored.iter().copied()) {
            let (surface, position) = vocabulary.surface(id);
            trie.insert(position, surface.as_bytes(), id);
        }
        for &id in retired {
            let (surface, position) = vocabulary.surface(id);
            trie.remove(position, surface.as_bytes());
        }
        let (rules, added) = (self.rules.clone(), self.added.clone());
        let (ideographs, triples, workers) = (OnceLock::new(), OnceLock::new(), Workers::default());
        Ok(Self { vocabulary, trie, lossless: None, rules, added, ideographs, triples, workers, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::Rules;
    use crate::vocabulary::Vocabulary;

    fn encoder(tokens: &[String]) -> Encoder {
        let vocabulary = Vocabulary::new(tokens, "##", "[UNK]").expect("sound");
        Encoder::new(vocabulary, Rules::parse::<&str>(&[], &[]).expect("sound"), Vec::new(), 100).expect("sound")
    }

    proptest! {
        #[test]
        fn equals_an_encoder_built_of_the_tokens_that_are_left(
            tokens in proptest::collection::btree_set("(##)?[ab]{1,4}", 4..12),
            known in 0_usize..12,
            gone in proptest::collection::vec(any::<bool>(), 12),
            back in proptest::collection::vec(any::<bool>(), 12),
            texts in proptest::collection::vec("[ab]{0,9}", 9),
        ) {
            let all: Vec<String> = std::iter::once("[UNK]".to_owned()).chain(tokens).collect();
            let known = 1 + known % (all.len() - 1);
            let retired: Vec<TokenId> = (1..known as TokenId).filter(|&id| gone[id as usize - 1]).collect();
            let (restored, still): (Vec<_>, Vec<_>) = retired.iter().partition(|&&id| back[id as usize - 1]);
            let none: [&str; 0] = [];
            let edited = encoder(&all[..known]).revised(&none, &[], &retired).expect("sound");
            let edited = edited.revised(&all[known..], &restored, &[]).expect("sound");
            let left: Vec<String> =
                (0..).zip(&all).filter(|(id, _)| !still.contains(id)).map(|(_, token)| token.clone()).collect();
            let fresh = encoder(&left);
            for text in texts {
                let name = |encoder: &Encoder| -> Vec<String> {
                    let ids = encoder.encode_aligned(&text).ids;
                    ids.into_iter().map(|id| encoder.vocabulary().token(id).to_owned()).collect()
                };
                prop_assert_eq!(name(&edited), name(&fresh));
                edited.with_worker(|worker| {
                    let (mut ids, mut ends) = (Vec::new(), Vec::new());
                    edited.encode(std::iter::once(text.as_str()), worker, &mut ids, &mut ends);
                    assert_eq!(ids, edited.encode_aligned(&text).ids);
                });
            }
        }
    }

    #[test]
    fn an_added_token_that_is_there_already_is_refused() {
        let encoder = encoder(&["[UNK]".to_owned(), "a".to_owned()]);
        assert!(encoder.revised(&["a"], &[], &[]).is_err());
    }
}
