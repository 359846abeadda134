use proptest::prelude::*;

use super::*;
use crate::paths::Users;
use crate::rules::Rules;

proptest! {
    #[test]
    fn words_without_a_token_equal_words_segmented_anew(
        prefix in prop_oneof![Just("##"), Just("")],
        tokens in proptest::collection::btree_set("(##)?[aé]{1,3}", 2..20),
        table in proptest::collection::vec(("[aé]{1,12}|[abé#]{1,9}", 1_u64..20), 1..9),
        order in any::<prop::sample::Index>(),
    ) {
        let tokens: Vec<String> = std::iter::once("[UNK]".to_owned()).chain(tokens).collect();
        let vocabulary = Vocabulary::new(&tokens, prefix, "[UNK]").expect("sound");
        let encoder = Encoder::new(vocabulary, Rules::parse::<&str>(&[], &[]).expect("sound"), Vec::new(), 10).expect("sound");
        let counts = Arc::new(WordCounts::from_pairs(table));
        let mut words = Segmentation::new(&encoder, counts.clone(), &[]);
        let mut users = Users::of(&words.paths, words.len());
        let mut removed: Vec<TokenId> = (1..tokens.len() as TokenId).collect();
        let first = order.index(removed.len());
        removed.rotate_left(first);
        for n in 0..removed.len() {
            let token = removed[n];
            words.remove(encoder.vocabulary().surface(token));
            for i in users.find(&[token], &words.paths) {
                let before = words.emitted.clone();
                let mut changed = vec![encoder.vocabulary().unknown()];
                words.update_without(token, i, |i, path, part, now| {
                    users.note(i, path, now);
                    changed.extend(path[part].iter().chain(now));
                });
                let differs = |token: &TokenId| before[*token as usize] != words.emitted[*token as usize];
                prop_assert!((0..before.len() as TokenId).filter(differs).all(|token| changed.contains(&token)));
            }
            let anew = Segmentation::new(&encoder, counts.clone(), &removed[..=n]);
            prop_assert!((0..counts.len() as u32).all(|i| words.paths.get(i) == anew.paths.get(i)));
            prop_assert_eq!(&words.broken, &anew.broken);
            prop_assert_eq!(&words.emitted, &anew.emitted);
            prop_assert_eq!((words.tokens, words.unknown_words), (anew.tokens, anew.unknown_words));
        }
    }
}
