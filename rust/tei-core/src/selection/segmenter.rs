//! How words, and tokens without themselves, are spelled by a set of tokens that shrinks one by one.
use std::cmp::Reverse;

use crate::paths::char_count;
use crate::trie::{Key, Trie};
use crate::vocabulary::Position;

use super::strings::{Mass, StringId, Strings, unseen_pieces};

/// All strings with their pieces under the tokens chosen; a string that is a token is spelled as if it were not.
///
/// So a word's mass is in two parts: text that has the word again meets its own token, if it is one; an unseen word
/// like it does not, and meets the pieces. Neither has other text all the pieces again, so a part of each piece's uses
/// stands for unseen ones: it meets the pieces that the piece would have, and so on down to characters.
pub(super) struct Segmenter {
    pub(super) strings: Strings,
    /// Of words; other strings have none.
    pub(super) masses: Vec<Mass>,
    /// Of tokens: mass of text that has an unseen piece in the place of this one, as of the latest rebuilding.
    unseen_pieces: Vec<u64>,
    /// Which strings are tokens.
    pub(super) chosen: Vec<bool>,
    prefix: String,
    trie: Trie,
    /// Where each string's pieces begin; there is room for one a character.
    starts: Vec<u32>,
    lens: Vec<u32>,
    pieces: Vec<StringId>,
    /// Which strings have a piece; may name strings that no longer do.
    users: Vec<Vec<StringId>>,
    /// Mass of text that meets each token as a piece.
    uses: Vec<u64>,
    /// Tokens whose use or spelling changed in the latest removal.
    touched: Vec<StringId>,
    scratch: Vec<StringId>,
}

impl Segmenter {
    pub(super) fn new(strings: Strings, masses: Vec<Mass>, prefix: &str) -> Self {
        let size = strings.len();
        let mut new = Self {
            strings,
            masses,
            unseen_pieces: Vec::new(),
            chosen: Vec::new(),
            prefix: prefix.to_owned(),
            trie: Trie::empty(),
            starts: Vec::new(),
            lens: Vec::new(),
            pieces: Vec::new(),
            users: Vec::new(),
            uses: Vec::new(),
            touched: Vec::new(),
            scratch: Vec::new(),
        };
        new.resize(size);
        new
    }

    fn resize(&mut self, size: usize) {
        self.masses.resize(size, Mass::default());
        self.unseen_pieces.resize(size, 0);
        self.chosen.resize(size, false);
    }

    /// Makes a string a token; [`Segmenter::rebuild`] must follow. False if it is one already.
    pub(super) fn choose(&mut self, position: Position, bytes: &[u8]) -> (StringId, bool) {
        let id = self.strings.add(position, bytes);
        self.resize(self.strings.len());
        (id, !std::mem::replace(&mut self.chosen[id as usize], true))
    }

    /// Spells everything anew.
    pub(super) fn rebuild(&mut self) {
        let size = self.strings.len();
        let mut keys: [Vec<Key>; 2] = Default::default();
        for id in (0..size as StringId).filter(|&id| self.chosen[id as usize]) {
            keys[self.strings.position(id) as usize].push((self.strings.bytes(id), id));
        }
        self.trie = Trie::of_keys(&keys, &self.prefix);
        self.uses = vec![0; size];
        self.users = vec![Vec::new(); size];
        self.unseen_pieces = vec![0; size];
        self.starts.clear();
        self.lens = vec![0; size];
        self.pieces.clear();
        for i in 0..size as StringId {
            self.starts.push(self.pieces.len() as u32);
            if self.chosen[i as usize] || self.masses[i as usize] != Mass::default() {
                self.pieces.resize(self.pieces.len() + char_count(self.strings.bytes(i)), 0);
                self.update(i);
            }
        }
        self.leave_out_pieces();
        self.touched.clear();
    }

    /// Gives each token's pieces the mass of unseen ones like it, the longest first, since theirs are shorter.
    fn leave_out_pieces(&mut self) {
        let ids = 0..self.strings.len() as StringId;
        let mut tokens: Vec<_> = ids.filter(|&id| self.chosen[id as usize] && self.lens[id as usize] > 1).collect();
        tokens.sort_unstable_by_key(|&id| Reverse(self.strings.bytes(id).len()));
        for id in tokens {
            let mass = unseen_pieces(self.uses[id as usize]);
            self.unseen_pieces[id as usize] = mass;
            self.weigh(id, mass, u64::wrapping_add);
        }
    }

    /// Takes the mass of unseen pieces away: what is left is text of words as they were counted.
    pub(super) fn forget_pieces(&mut self) {
        for id in 0..self.strings.len() as StringId {
            let mass = std::mem::take(&mut self.unseen_pieces[id as usize]);
            self.weigh(id, mass, u64::wrapping_sub);
        }
    }

    pub(super) fn path(&self, i: StringId) -> &[StringId] {
        let start = self.starts[i as usize] as usize;
        &self.pieces[start..start + self.lens[i as usize] as usize]
    }

    /// Number of bytes of the longest token that `bytes` goes on with.
    pub(super) fn next_len(&self, bytes: &[u8]) -> Option<usize> {
        self.trie.longest(Position::Continuation, bytes).map(|(_, len)| len)
    }

    /// Mass of the text that meets a string's pieces.
    pub(super) fn spelled_mass(&self, i: StringId) -> u64 {
        let Mass { again, unseen } = self.masses[i as usize];
        self.unseen_pieces[i as usize] + if self.chosen[i as usize] { unseen } else { again + unseen }
    }

    /// Mass of the text that meets a token.
    pub(super) fn emitted(&self, token: StringId) -> u64 {
        self.uses[token as usize] + if self.chosen[token as usize] { self.masses[token as usize].again } else { 0 }
    }

    /// Tokens that text would have more, by mass, without a token; None if nothing else spells it.
    pub(super) fn cost(&self, token: StringId) -> Option<u64> {
        Some(self.emitted(token).saturating_mul(u64::from(self.lens[token as usize]).checked_sub(1)?))
    }

    /// Tokens of all text, by mass; unseen pieces are part of no text of their own.
    pub(super) fn total(&self) -> u64 {
        (0..self.strings.len() as StringId)
            .map(|i| {
                let own = if self.chosen[i as usize] { self.masses[i as usize].again } else { 0 };
                let spelled = self.spelled_mass(i) - self.unseen_pieces[i as usize];
                own + spelled * u64::from(self.lens[i as usize])
            })
            .fold(0, u64::saturating_add)
    }

    /// Takes a token away; the tokens whose cost that changed.
    pub(super) fn remove(&mut self, token: StringId) -> &[StringId] {
        let (bytes, position) = self.strings.key(token);
        self.trie.remove(position, bytes);
        // From now on its pieces spell it where it occurs again, too.
        self.weigh(token, self.masses[token as usize].again, u64::wrapping_add);
        let unseen = std::mem::take(&mut self.unseen_pieces[token as usize]);
        self.weigh(token, unseen, u64::wrapping_sub);
        self.chosen[token as usize] = false;
        self.touched.clear();
        self.touched.extend_from_slice(path(&self.pieces, &self.starts, &self.lens, token));
        let mut users = std::mem::take(&mut self.users[token as usize]);
        users.retain(|&i| self.path(i).contains(&token));
        users.sort_unstable();
        users.dedup();
        users.into_iter().for_each(|i| self.update(i));
        self.touched.sort_unstable();
        self.touched.dedup();
        &self.touched
    }

    /// Spells a string by the tokens that are there now.
    fn update(&mut self, i: StringId) {
        let mass = self.spelled_mass(i);
        self.weigh(i, mass, u64::wrapping_sub);
        let mut now = std::mem::take(&mut self.scratch);
        now.clear();
        self.trace(i, &mut now);
        let before = path(&self.pieces, &self.starts, &self.lens, i);
        for (at, &token) in now.iter().enumerate() {
            if !before.contains(&token) && !now[..at].contains(&token) {
                self.users[token as usize].push(i);
            }
        }
        if mass > 0 {
            self.touched.extend(before);
            self.touched.extend(&now);
        }
        if self.chosen[i as usize] {
            self.touched.push(i);
        }
        let start = self.starts[i as usize] as usize;
        self.pieces[start..start + now.len()].copy_from_slice(&now);
        self.lens[i as usize] = now.len() as u32;
        self.weigh(i, mass, u64::wrapping_add);
        self.scratch = now;
    }

    fn weigh(&mut self, i: StringId, mass: u64, change: impl Fn(u64, u64) -> u64) {
        for &token in path(&self.pieces, &self.starts, &self.lens, i) {
            let uses = &mut self.uses[token as usize];
            *uses = change(*uses, mass);
        }
    }

    /// Appends a string's pieces; nothing if something in it has no token.
    fn trace(&self, i: StringId, pieces: &mut Vec<StringId>) {
        let (bytes, mut position) = self.strings.key(i);
        // One byte short, its own token cannot match.
        let mut end = bytes.len() - usize::from(self.chosen[i as usize]);
        let mut at = 0;
        while at < bytes.len() {
            let Some((token, len)) = self.trie.longest(position, &bytes[at..end]) else { return pieces.clear() };
            pieces.push(token);
            (at, end, position) = (at + len, bytes.len(), Position::Continuation);
        }
    }
}

fn path<'p>(pieces: &'p [StringId], starts: &[u32], lens: &[u32], i: StringId) -> &'p [StringId] {
    let start = starts[i as usize] as usize;
    &pieces[start..start + lens[i as usize] as usize]
}
