//! Words → ids: all words of a chunk are asked for, then written one after the other, most of them without a branch.
use crate::TokenId;
use crate::encoder::Encoder;
use crate::machine::{Baseline, Machine};
use crate::packed::PackedWord;
use crate::scanner::{Found, Words};
use crate::word_cache::{Known, PLACES, Pairs, Recalled, WordCache};

/// Writes the ids of words.
pub(super) struct Emit<'a> {
    pub lookup: Lookup<'a>,
    pub asked: &'a mut Asked,
    pub ids: &'a mut Vec<TokenId>,
    pub ends: &'a mut Vec<i64>,
    /// How many ids of each text are asked for.
    pub limit: usize,
    /// Where the ids of the text under way begin.
    pub row: usize,
}

impl Words for Emit<'_> {
    const BRIEF: bool = true;

    fn take(&mut self, found: Found<'_>) {
        self.take_on::<Baseline>(found);
    }

    #[inline(always)]
    fn take_on<M: Machine>(&mut self, found: Found<'_>) {
        // All are asked for before the first is needed: by then its memory has arrived.
        self.asked.ask(found, self.lookup.cache);
        if self.lookup.cache.is_compact() {
            M::apart(|| self.emit_all::<M, true>(found));
        } else {
            M::apart(|| self.emit_all::<M, false>(found));
        }
    }

    fn is_full(&self) -> bool {
        self.ids.len() - self.row >= self.limit
    }

    fn longest(&self) -> usize {
        4 * (self.lookup.encoder.max_word_chars() + 1)
    }
}

impl Emit<'_> {
    #[inline(always)]
    pub fn end_row(&mut self) {
        self.ids.truncate(self.row.saturating_add(self.limit));
        self.row = self.ids.len();
        self.ends.push(self.row as i64);
    }

    #[inline(always)]
    fn emit_all<M: Machine, const COMPACT: bool>(&mut self, found: Found<'_>) {
        let (first, mut next) = (self.ids.len(), 0);
        let cut = self.limit < usize::MAX;
        for &end in if cut { found.texts() } else { &[] } {
            next = self.emit::<M, COMPACT>(found, next, end as usize);
            self.end_row();
        }
        self.emit::<M, COMPACT>(found, next, found.len());
        if !cut {
            self.end_rows(found, first);
        }
    }

    /// Notes where the ids of each text end, those of these words being from the `first` on.
    ///
    /// Rows that are not cut end here: a loop over words that stops at the end of each text takes 1 to 5 % longer.
    #[inline(always)]
    fn end_rows(&mut self, found: Found<'_>, first: usize) {
        let begins = &self.asked.places[..found.len()];
        for words in found.texts() {
            let begin = begins.get(*words as usize).map(|begin| first + begin.wrapping_sub(first as u32) as usize);
            self.row = begin.unwrap_or(self.ids.len());
            self.ends.push(self.row as i64);
        }
    }

    /// Writes the ids of the words from the `next` on up to the `end`-th, which is returned, and where those of each begin in
    /// place of where it was looked for.
    #[inline(always)]
    fn emit<M: Machine, const COMPACT: bool>(&mut self, found: Found<'_>, mut next: usize, end: usize) -> usize {
        loop {
            let mut out = Out::new(self.ids, end - next, found.is_plain());
            let (keys, places, pairs) =
                (&self.asked.keys[..end], &mut self.asked.places[..end], self.lookup.cache.pairs());
            while next < end {
                // A long word is nowhere among the pairs. Were it looked up here, too, English would take 5 % longer, and many
                // languages at once no less.
                let Some((ids, count)) = pairs.get::<M, COMPACT>(keys[next], places[next]) else { break };
                places[next] = out.len as u32;
                out.push(ids, count);
                next += 1;
            }
            out.close(self.ids);
            if next == end {
                return next;
            }
            let place = std::mem::replace(&mut places[next], self.ids.len() as u32);
            if place == RUN {
                self.lookup.encoder.encode_ideographs(found.bytes(next), self.ids);
            } else {
                self.lookup.find(keys[next], place, &found, next, self.ids);
            }
            next += 1;
        }
    }
}

/// Set in the place of a word that is not among the pairs: none of them has such a number, which is known without waiting for
/// memory.
const ELSEWHERE: u32 = 1 << 31;
/// The place of ideographs.
const RUN: u32 = u32::MAX;

/// Words whose place in the cache has been asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    keys: Vec<PackedWord>,
    places: Vec<u32>,
    /// Numbers of the words that are too long for a key.
    long: Vec<u32>,
}

impl Asked {
    #[inline(always)]
    fn ask(&mut self, found: Found<'_>, cache: &WordCache) {
        if self.keys.len() < found.len() {
            self.keys.resize(found.len(), PackedWord::NONE);
            self.places.resize(found.len(), 0);
            self.long.resize(found.len(), 0);
        }
        let long = if found.is_plain() {
            self.ask_short::<true>(found, cache.pairs())
        } else {
            self.ask_short::<false>(found, cache.pairs())
        };
        if long > 0 {
            self.ask_long(long, found, cache);
        }
    }

    /// Asks for all words but the long ones; returns how many those are.
    ///
    /// A function of its own, without a call: among other loops half of what it needs is not in registers, and encoding
    /// takes a sixth longer.
    #[inline(never)]
    fn ask_short<const PLAIN: bool>(&mut self, found: Found<'_>, pairs: Pairs<'_>) -> usize {
        let (found, count, mut later) = (found.even(), found.len(), 0);
        let (keys, places, long) = (&mut self.keys[..count], &mut self.places[..count], &mut self.long[..count]);
        for i in 0..count {
            match found.packed(i) {
                // What begins a run is told by the packed word, which is at hand.
                Some(word) if PLAIN || !found.begins_run(word) => {
                    (keys[i], places[i]) = (word, pairs.prefetch::<PLAIN>(word));
                }
                None if PLAIN || !found.is_run(i) => {
                    long[later] = i as u32;
                    later += 1;
                }
                // Nothing to ask for: ids of ideographs are in a table.
                _ => places[i] = RUN,
            }
        }
        later
    }

    /// Asks for the first `count` long words.
    #[inline(never)]
    fn ask_long(&mut self, count: usize, found: Found<'_>, cache: &WordCache) {
        for &i in &self.long[..count] {
            self.places[i as usize] = ELSEWHERE | ask_long(&found, i as usize, cache);
        }
    }
}

#[inline(always)]
fn ask_long(found: &Found<'_>, i: usize, cache: &WordCache) -> u32 {
    if let Some(wide) = found.wide(i) {
        return cache.prefetch_wide(wide);
    }
    found.wide(i).map_or(0, |long| cache.prefetch_long(long))
}

/// Knows the ids of words.
pub(super) struct Lookup<'a> {
    pub encoder: &'a Encoder,
    pub cache: &'a mut WordCache,
    pub pieces: &'a mut Vec<TokenId>,
    pub spelling: &'a mut Vec<u8>,
}

impl Lookup<'_> {
    /// Appends the ids of a word that is long or not in its place.
    #[inline(never)]
    fn find(&mut self, key: PackedWord, place: u32, found: &Found<'_>, i: usize, ids: &mut Vec<TokenId>) {
        if place & ELSEWHERE != 0 {
            return self.find_long(place & !ELSEWHERE, found, i, ids);
        }
        match self.cache.recall(key, place) {
            Recalled::Known(known) => return append(ids, known),
            // Looking there for every new word takes as long as matching it.
            Recalled::Longer => return self.find_long(ask_long(found, i, self.cache), found, i, ids),
            Recalled::New => {}
        }
        self.match_anew(found, i, ids);
        if !self.cache.insert(key, place, self.pieces) {
            self.keep_long(ask_long(found, i, self.cache), found, i);
        }
    }

    /// The same for a word that is not in pairs, by its place in the table that its length asks for.
    fn find_long(&mut self, place: u32, found: &Found<'_>, i: usize, ids: &mut Vec<TokenId>) {
        let wide = found.wide(i);
        if let Some(known) = wide.and_then(|word| self.cache.get_wide(word, place)) {
            return append(ids, known);
        }
        let long = found.wide(i).filter(|_| wide.is_none_or(|word| self.cache.is_marked_wide(word, place)));
        let long = long.map(|word| (word, if wide.is_some() { self.cache.prefetch_long(word) } else { place }));
        if let Some(known) = long.and_then(|(word, place)| self.cache.get_long(word, place)) {
            return append(ids, known);
        }
        self.match_anew(found, i, ids);
        self.keep_long(place, found, i);
    }

    /// Remembers the word that was matched last among the longer ones.
    fn keep_long(&mut self, place: u32, found: &Found<'_>, i: usize) {
        let wide = found.wide(i);
        if wide.is_some_and(|word| self.cache.insert_wide(word, place, self.pieces)) {
            return;
        }
        if let Some(word) = found.wide(i) {
            let place = if wide.is_some() { self.cache.prefetch_long(word) } else { place };
            self.cache.insert_long(word, place, self.pieces);
        }
    }

    fn match_anew(&mut self, found: &Found<'_>, i: usize, ids: &mut Vec<TokenId>) {
        self.pieces.clear();
        self.encoder.encode_word(found.spelled(i, self.spelling), self.pieces);
        ids.extend_from_slice(self.pieces);
    }
}

/// Appends ids, as a whole array of which only some are kept.
#[inline(always)]
fn append<const N: usize>(ids: &mut Vec<TokenId>, (known, count): Known<N>) {
    ids.reserve(N);
    // SAFETY: there is room for all `N`, and `count` is less.
    unsafe {
        ids.as_mut_ptr().add(ids.len()).cast::<[TokenId; N]>().write_unaligned(known);
        ids.set_len(ids.len() + count);
    }
}

/// The end of a vector of ids, written without a loop: whole arrays are stored, and only some of each kept.
struct Out {
    ids: *mut TokenId,
    len: usize,
    /// Of a word of no more ids half of what was found is not written.
    few: usize,
}

impl Out {
    /// With room for `words` words of at most [`PLACES`] ids; few words of `plain` text have many.
    #[inline(always)]
    fn new(ids: &mut Vec<TokenId>, words: usize, plain: bool) -> Self {
        ids.reserve((words + 1) * PLACES);
        Self { ids: ids.as_mut_ptr(), len: ids.len(), few: if plain { PLACES / 2 } else { 0 } }
    }

    /// Appends the first `count` of `ids`.
    #[inline(always)]
    fn push(&mut self, ids: [TokenId; PLACES], count: usize) {
        let (few, more) = ids.split_at(PLACES / 2);
        // SAFETY: the room is for as many words as are asked for, and at most `PLACES` ids of each.
        unsafe {
            let out = self.ids.add(self.len).cast::<[TokenId; PLACES / 2]>();
            out.write_unaligned(few.try_into().unwrap_unchecked());
            // Stores of 32 bytes cross a line of the cache half of the time. In other text than English so many words need them
            // that a branch takes longer: Russian and Korean a tenth.
            if count > self.few {
                out.add(1).write_unaligned(more.try_into().unwrap_unchecked());
            }
        }
        self.len += count.min(PLACES);
    }

    #[inline(always)]
    fn close(&self, ids: &mut Vec<TokenId>) {
        // SAFETY: everything before `len` was written, and `len` is within the capacity of this vector.
        unsafe { ids.set_len(self.len) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::Rules;
    use crate::splits::Splitter;
    use crate::steps::Step;
    use crate::vocabulary::Vocabulary;

    fn encoder(strip_accents: bool) -> Encoder {
        let normalizer = crate::normalizer::Normalizer {
            clean_text: true,
            split_ideographs: true,
            strip_accents,
            lowercase: strip_accents,
        };
        let letters = ('a'..='e').chain('\u{1100}'..='\u{11FF}').chain(['가', '각', '中', '文', '、']);
        let tokens = letters.flat_map(|c| [c.to_string(), format!("##{c}"), format!("##{c}{c}")]);
        let tokens: Vec<_> = ["[UNK]".to_owned(), "##ᄀ\u{1161}".to_owned()].into_iter().chain(tokens).collect();
        let vocabulary = Vocabulary::new(tokens, "##", "[UNK]").expect("distinct");
        Encoder::new(vocabulary, Rules::new(vec![Step::Bert(normalizer)], Splitter::bert()), Vec::new(), 40)
            .expect("sound")
    }

    proptest! {
        #[test]
        fn equals_the_exact_path_whatever_the_cache_holds(
            strip_accents: bool,
            texts in proptest::collection::vec(r"([\u{AC00}-\u{AC02}\u{D7A3}a-e\u{E9}\u{C9}\u{4E2D}\u{6587}\u{3001}\u{300C}\u{1161}\u{301}]{0,22} ?){0,9}", 6),
        ) {
            let encoder = encoder(strip_accents);
            // The second time, words are in the cache.
            for text in texts.iter().chain(&texts) {
                let (mut ids, mut ends) = (Vec::new(), Vec::new());
                encoder.with_worker(|worker| encoder.encode(std::iter::once(text.as_str()), worker, &mut ids, &mut ends));
                prop_assert_eq!(ids, encoder.encode_aligned(text).ids);
            }
        }

        #[test]
        fn rows_end_where_texts_do(
            texts in proptest::collection::vec(r"([a-e\u{4E2D}\u{3001}\u{E9}]{0,20} ?){0,90}", 0..30),
            limit in prop_oneof![Just(usize::MAX), 0..9_usize],
        ) {
            let encoder = encoder(true);
            let (mut ids, mut ends) = (Vec::new(), vec![0]);
            let all = texts.iter().map(String::as_str);
            encoder.with_worker(|worker| encoder.encode_up_to(limit, all, worker, &mut ids, &mut ends));
            prop_assert_eq!(ends.len(), texts.len() + 1);
            let ends: Vec<_> = ends.into_iter().map(|end| usize::try_from(end).expect("no id before the first")).collect();
            for (text, ends) in texts.iter().zip(ends.windows(2)) {
                let want = encoder.encode_aligned(text).ids;
                prop_assert_eq!(&ids[ends[0]..ends[1]], &want[..want.len().min(limit)]);
            }
        }
    }

    #[test]
    fn a_word_of_many_bytes_may_have_few_letters() {
        let encoder = encoder(true);
        let marks = "\u{301}\u{323}\u{AD}".repeat(40);
        for letters in [1, 39, 40, 41, 90] {
            let text = format!("ab {} ba", format!("e{marks}").repeat(letters));
            let (mut ids, mut ends) = (Vec::new(), Vec::new());
            encoder.with_worker(|worker| encoder.encode(std::iter::once(text.as_str()), worker, &mut ids, &mut ends));
            assert_eq!(ids, encoder.encode_aligned(&text).ids, "{letters} letters");
        }
    }
}
