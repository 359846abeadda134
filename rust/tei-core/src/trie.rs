//! Longest match over the bytes of all tokens: a double array with a root for each position class.
//!
//! Children of a node sit in one block of 256 nodes, at `base ^ byte` (the layout of Darts-clone); a child is real if it
//! names its parent. Whole vocabularies are placed node by node from sorted keys; single tokens come and go in place, so
//! growing or trimming a vocabulary never rebuilds it.
mod bits;
mod keys;
mod triples;

use self::bits::{BLOCK, Bits, first_fit, has_room, ones, set};
pub(crate) use self::keys::Key;
use self::keys::{groups, sorted};
pub(crate) use self::triples::Triples;
use crate::TokenId;
use crate::vocabulary::{Position, Vocabulary};

const FREE: u32 = u32::MAX;
const NO_PARENT: u32 = FREE - 1;
/// Set in the number of its parent where a token ends.
const END: u32 = 1 << 31;
/// How many blocks with room are tried before a new one is opened; more pack tighter and build slower.
const TRIED_BLOCKS: usize = 16;

/// What a step of a walk reads. Ids are apart, since most steps need none: each step waits for memory.
#[derive(Clone, Copy, Debug)]
struct Node {
    base: u32,
    parent: u32,
}

const EMPTY: Node = Node { base: 0, parent: FREE };

/// Longest-prefix match over a set of tokens.
#[derive(Clone, Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// The token that ends at each node, if one does.
    ids: Vec<TokenId>,
    /// Free nodes of each block.
    free: Vec<Bits>,
    /// Blocks that still have free nodes; the newest are tried first.
    open: Vec<u32>,
    /// What continuation tokens begin with; empty if words never hold it.
    prefix: Box<[u8]>,
    /// Number of the root where words go on; that of their beginning, 0, if there is one position class.
    later: u32,
}

impl Trie {
    /// The trie of a whole vocabulary.
    #[must_use]
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let mut keys: [Vec<Key>; 2] = Default::default();
        for id in 0..vocabulary.len() as TokenId {
            let (surface, position) = vocabulary.surface(id);
            keys[position as usize].push((surface.as_bytes(), id));
        }
        Self::of_keys(&keys, vocabulary.continuation_prefix())
    }

    /// The trie of surfaces, none of them empty or given twice, by position class; without a prefix there is one class.
    pub(crate) fn of_keys(keys: &[Vec<Key>; 2], prefix: &str) -> Self {
        let later = u32::from(!prefix.is_empty());
        let mut trie = Self { prefix: prefix.as_bytes().into(), later, ..Self::empty() };
        for (root, keys) in (0..).zip(keys) {
            trie.place(root, &sorted(keys));
        }
        trie.shrunk()
    }

    /// The trie of byte strings with their ids, all of one position class.
    #[must_use]
    pub fn of_bytes<'t>(keys: impl Iterator<Item = (&'t [u8], TokenId)>) -> Self {
        let mut trie = Self { later: 0, ..Self::empty() };
        trie.place(0, &sorted(&keys.collect::<Vec<_>>()));
        trie.shrunk()
    }

    fn shrunk(mut self) -> Self {
        self.nodes.shrink_to_fit();
        self.ids.shrink_to_fit();
        self
    }

    /// A trie without tokens.
    #[must_use]
    pub fn empty() -> Self {
        let (nodes, ids, free, open) = Default::default();
        let mut trie = Self { nodes, ids, free, open, prefix: Box::default(), later: 1 };
        trie.open_block();
        trie.take(0, NO_PARENT);
        trie.take(1, NO_PARENT);
        trie
    }

    /// Bytes of memory it holds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let nodes = self.nodes.capacity() * size_of::<Node>() + self.ids.capacity() * size_of::<TokenId>();
        nodes + self.free.capacity() * size_of::<Bits>() + self.open.capacity() * 4
    }

    /// The longest token that `bytes` begins with, and its length.
    ///
    /// At the beginning of a word that is also a continuation token, written out with its prefix.
    #[inline]
    #[must_use]
    pub fn longest(&self, position: Position, bytes: &[u8]) -> Option<(TokenId, usize)> {
        let found = self.walk(position, bytes);
        // The first byte tells nearly always; comparing slices is a call.
        if position == Position::Initial && self.prefix.first() == bytes.first() && bytes.starts_with(&self.prefix) {
            return self.longest_literal(found, bytes);
        }
        found
    }

    #[cold]
    fn longest_literal(&self, found: Option<(TokenId, usize)>, bytes: &[u8]) -> Option<(TokenId, usize)> {
        let literal = self.walk(Position::Continuation, &bytes[self.prefix.len()..]);
        let literal = literal.map(|(id, len)| (id, self.prefix.len() + len));
        found.into_iter().chain(literal).max_by_key(|(_, len)| *len)
    }

    /// The longest token by what it spells.
    #[inline]
    fn walk(&self, position: Position, bytes: &[u8]) -> Option<(TokenId, usize)> {
        let (mut at, mut best) = (self.root(position), None);
        for (i, &byte) in bytes.iter().enumerate() {
            let child = self.nodes[at as usize].base ^ u32::from(byte);
            let differs = self.nodes[child as usize].parent ^ at;
            if differs & !END != 0 {
                break;
            }
            if differs == END {
                best = Some((child, i + 1));
            }
            at = child;
        }
        best.map(|(node, len)| (self.ids[node as usize], len))
    }

    /// Length of the prefix of continuation tokens.
    #[must_use]
    pub fn prefix_len(&self) -> usize {
        self.prefix.len()
    }

    /// Appends the pieces of a word by leftmost longest match; false, and nothing appended, if some part has no token.
    #[inline]
    pub fn segment(&self, word: &[u8], pieces: &mut Vec<TokenId>) -> bool {
        self.segment_from(Position::Initial, word, pieces)
    }

    /// The same for a part of a word that begins at `position`.
    #[inline]
    pub fn segment_from(&self, position: Position, word: &[u8], pieces: &mut Vec<TokenId>) -> bool {
        let (start, mut position, mut rest) = (pieces.len(), position, word);
        while !rest.is_empty() {
            let Some((id, len)) = self.longest(position, rest) else {
                pieces.truncate(start);
                return false;
            };
            pieces.push(id);
            rest = &rest[len..];
            position = Position::Continuation;
        }
        true
    }

    /// The token that ends at a node, if one does.
    fn end_of(&self, node: u32) -> Option<TokenId> {
        (self.nodes[node as usize].parent & END != 0).then(|| self.ids[node as usize])
    }

    fn is_leaf(&self, node: u32) -> bool {
        self.labels(node) == Bits::default()
    }

    /// Adds a token, or gives the one that spells the same a new id. Empty surfaces are never met and not added.
    pub fn insert(&mut self, position: Position, surface: &[u8], id: TokenId) {
        if surface.is_empty() {
            return;
        }
        let end = surface
            .iter()
            .fold(self.root(position), |at, &byte| self.child(at, byte).unwrap_or_else(|| self.add(at, byte)));
        self.end(end, id);
    }

    /// Takes a token away; its nodes stay, and cost nothing but their memory.
    pub fn remove(&mut self, position: Position, surface: &[u8]) {
        if let Some(end) = self.node(position, surface) {
            self.nodes[end as usize].parent &= !END;
        }
    }

    /// The token that spells just this.
    #[must_use]
    pub fn get(&self, position: Position, surface: &[u8]) -> Option<TokenId> {
        self.node(position, surface).and_then(|node| self.end_of(node))
    }

    fn node(&self, position: Position, surface: &[u8]) -> Option<u32> {
        let end = surface.iter().try_fold(self.root(position), |at, &byte| self.child(at, byte));
        end.filter(|_| !surface.is_empty())
    }

    #[inline(always)]
    fn root(&self, position: Position) -> u32 {
        position as u32 & self.later
    }

    fn child(&self, at: u32, byte: u8) -> Option<u32> {
        let child = self.nodes[at as usize].base ^ u32::from(byte);
        self.is_child(child, at).then_some(child)
    }

    #[inline(always)]
    fn is_child(&self, node: u32, parent: u32) -> bool {
        self.nodes[node as usize].parent & !END == parent
    }

    /// A token ends at a node.
    fn end(&mut self, node: u32, id: TokenId) {
        self.nodes[node as usize].parent |= END;
        self.ids[node as usize] = id;
    }

    /// Places sorted keys below a node, all of which begin with what leads there.
    fn place(&mut self, at: u32, keys: &[Key]) {
        let mut todo = vec![(at, 0, 0..keys.len())];
        while let Some((at, depth, range)) = todo.pop() {
            let longer = keys[range.clone()].partition_point(|(key, _)| key.len() <= depth);
            if longer > 0 && depth > 0 {
                self.end(at, keys[range.start].1);
            }
            let longer = range.start + longer..range.end;
            let mut labels = Bits::default();
            keys[longer.clone()].iter().for_each(|(key, _)| set(&mut labels, u32::from(key[depth])));
            let base = if longer.is_empty() {
                continue;
            } else {
                self.find_base(&labels)
            };
            self.nodes[at as usize].base = base;
            for (byte, keys) in groups(keys, longer, depth) {
                self.take(base ^ u32::from(byte), at);
                todo.push((base ^ u32::from(byte), depth + 1, keys));
            }
        }
    }

    /// Adds a child, moving its siblings to where all of them have room if they have none where they are.
    fn add(&mut self, at: u32, byte: u8) -> u32 {
        let base = self.nodes[at as usize].base;
        let mut labels = self.labels(at);
        let alone = labels == Bits::default();
        let wanted = base ^ u32::from(byte);
        if !alone && self.nodes[wanted as usize].parent == FREE {
            self.take(wanted, at);
            return wanted;
        }
        let siblings = labels;
        set(&mut labels, u32::from(byte));
        let moved = self.find_base(&labels);
        self.nodes[at as usize].base = moved;
        for label in ones(&siblings) {
            self.relocate(base ^ label, moved ^ label, at);
        }
        self.take(moved ^ u32::from(byte), at);
        moved ^ u32::from(byte)
    }

    fn labels(&self, at: u32) -> Bits {
        let base = self.nodes[at as usize].base;
        let mut labels = Bits::default();
        for label in (0..BLOCK).filter(|label| self.is_child(base ^ label, at)) {
            set(&mut labels, label);
        }
        labels
    }

    fn relocate(&mut self, from: u32, to: u32, parent: u32) {
        self.take(to, parent);
        self.nodes[to as usize] = self.nodes[from as usize];
        self.ids[to as usize] = self.ids[from as usize];
        for label in ones(&self.labels(from)) {
            let child = self.nodes[from as usize].base ^ label;
            let parent = &mut self.nodes[child as usize].parent;
            *parent = to | *parent & END;
        }
        self.release(from);
    }

    /// A base at which all labels fall on free nodes.
    fn find_base(&mut self, labels: &Bits) -> u32 {
        let tried = self.open.iter().rev().take(TRIED_BLOCKS);
        let fits = |&block: &u32| first_fit(&self.free[block as usize], labels).map(|x| block * BLOCK + x);
        if let Some(base) = tried.filter(|block| has_room(&self.free[**block as usize])).find_map(fits) {
            return base;
        }
        self.open.retain(|&block| has_room(&self.free[block as usize]));
        self.open_block() * BLOCK
    }

    fn open_block(&mut self) -> u32 {
        let block = self.free.len() as u32;
        self.nodes.resize(self.nodes.len() + BLOCK as usize, EMPTY);
        self.ids.resize(self.nodes.len(), 0);
        self.free.push([u64::MAX; 4]);
        self.open.push(block);
        block
    }

    fn take(&mut self, node: u32, parent: u32) {
        self.nodes[node as usize] = Node { parent, ..EMPTY };
        self.free[(node / BLOCK) as usize][(node % BLOCK / 64) as usize] &= !(1 << (node % 64));
    }

    fn release(&mut self, node: u32) {
        let block = node / BLOCK;
        if !has_room(&self.free[block as usize]) && !self.open.contains(&block) {
            self.open.push(block);
        }
        self.nodes[node as usize] = EMPTY;
        self.free[block as usize][(node % BLOCK / 64) as usize] |= 1 << (node % 64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    type Keys = BTreeMap<(Position, Vec<u8>), TokenId>;

    fn longest_by_scan(keys: &Keys, position: Position, bytes: &[u8]) -> Option<(TokenId, usize)> {
        (1..=bytes.len()).rev().find_map(|len| keys.get(&(position, bytes[..len].to_vec())).map(|id| (*id, len)))
    }

    fn position() -> impl Strategy<Value = Position> {
        prop_oneof![Just(Position::Initial), Just(Position::Continuation)]
    }

    proptest! {
        #[test]
        fn equals_a_scan_after_any_edits(
            edits in proptest::collection::vec((position(), "[a-c\u{0}é中]{1,6}", any::<bool>()), 1..200),
            texts in proptest::collection::vec((position(), "[a-c\u{0}é中]{0,9}"), 50),
        ) {
            let (mut trie, mut keys) = (Trie::empty(), Keys::new());
            for (id, (position, surface, keep)) in edits.into_iter().enumerate() {
                let key = (position, surface.clone().into_bytes());
                if keep {
                    trie.insert(position, surface.as_bytes(), id as TokenId);
                    keys.insert(key, id as TokenId);
                } else {
                    trie.remove(position, surface.as_bytes());
                    keys.remove(&key);
                }
            }
            for (position, text) in texts {
                prop_assert_eq!(trie.longest(position, text.as_bytes()), longest_by_scan(&keys, position, text.as_bytes()));
            }
        }

        #[test]
        fn built_equals_inserted(words in proptest::collection::btree_set("(##)?[a-z]{1,5}", 1..300)) {
            let vocabulary = Vocabulary::new(std::iter::once("[UNK]").chain(words.iter().map(String::as_str)), "##", "[UNK]");
            let vocabulary = vocabulary.expect("distinct");
            let built = Trie::new(&vocabulary);
            let mut inserted = Trie { prefix: built.prefix.clone(), ..Trie::empty() };
            for id in 0..vocabulary.len() as TokenId {
                let (surface, position) = vocabulary.surface(id);
                inserted.insert(position, surface.as_bytes(), id);
            }
            for word in &words {
                for position in [Position::Initial, Position::Continuation] {
                    prop_assert_eq!(built.longest(position, word.as_bytes()), inserted.longest(position, word.as_bytes()));
                }
                let (surface, position) = vocabulary.split_surface(word);
                prop_assert_eq!(built.longest(position, surface.as_bytes()).map(|m| m.1), Some(surface.len()));
            }
        }
    }

    #[test]
    fn segments_by_longest_match() {
        let vocabulary = Vocabulary::new(["[UNK]", "un", "unaff", "##able", "##aff"], "##", "[UNK]").expect("valid");
        let trie = Trie::new(&vocabulary);
        let mut pieces = vec![7];
        assert!(trie.segment(b"unaffable", &mut pieces));
        assert!(!trie.segment(b"unaffably", &mut pieces));
        assert_eq!(pieces, [7, 2, 3]);
    }
}
