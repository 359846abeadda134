//! What strings are spelled with: a path of tokens for each, and an index from tokens to strings.
use std::ops::Range;

use crate::TokenId;
use crate::trie::Trie;
use crate::vocabulary::Position;

/// Appends the tokens that longest match visits; false if it ends where no token matches.
pub(crate) fn trace(trie: &Trie, mut position: Position, bytes: &[u8], path: &mut Vec<TokenId>) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((id, len)) = trie.longest(position, rest) else { return false };
        path.push(id);
        rest = &rest[len..];
        position = Position::Continuation;
    }
    true
}

/// Appends the tokens that would replace a token if it were gone; false if it cannot be spelled without it.
pub(crate) fn trace_without_itself(
    trie: &Trie,
    (surface, position): (&str, Position),
    path: &mut Vec<TokenId>,
) -> bool {
    let bytes = surface.as_bytes();
    // One byte short, the token itself cannot match; what matches is the longest of the others.
    let first = bytes.split_last().and_then(|(_, shorter)| trie.longest(position, shorter));
    let Some((id, len)) = first else { return false };
    path.push(id);
    trace(trie, Position::Continuation, &bytes[len..], path)
}

/// Number of characters in UTF-8 bytes.
pub(crate) fn char_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| b.cast_signed() >= -64).count()
}

/// Moves a position on; where it was.
pub(crate) fn advance(at: &mut usize, by: usize) -> usize {
    *at += by;
    *at - by
}

/// One path for each of many strings, in slots of fixed size: a path never has more tokens than its string characters.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    starts: Vec<usize>,
    lens: Vec<u32>,
    pieces: Vec<TokenId>,
}

impl Paths {
    /// Empty paths with room for so many tokens each.
    pub(crate) fn new(rooms: impl Iterator<Item = usize>) -> Self {
        let mut end = 0;
        let starts: Vec<usize> = rooms.map(|room| advance(&mut end, room)).collect();
        Self { lens: vec![0; starts.len()], pieces: vec![0; end], starts }
    }

    /// Adds an empty path with room for so many tokens.
    pub(crate) fn push(&mut self, room: usize) {
        self.starts.push(self.pieces.len());
        self.lens.push(0);
        self.pieces.resize(self.pieces.len() + room, 0);
    }

    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The path of the `i`-th string.
    pub(crate) fn get(&self, i: u32) -> &[TokenId] {
        let start = self.starts[i as usize];
        &self.pieces[start..start + self.lens[i as usize] as usize]
    }

    /// Whether the `i`-th string may have a path at all.
    pub(crate) fn has_room(&self, i: u32) -> bool {
        let end = self.starts.get(i as usize + 1).copied().unwrap_or(self.pieces.len());
        end > self.starts[i as usize]
    }

    /// Replaces a part of a path.
    pub(crate) fn splice(&mut self, i: u32, part: Range<usize>, pieces: &[TokenId]) {
        let (start, len) = (self.starts[i as usize], self.lens[i as usize] as usize);
        let begin = start + part.start;
        self.pieces.copy_within(start + part.end..start + len, begin + pieces.len());
        self.pieces[begin..begin + pieces.len()].copy_from_slice(pieces);
        self.lens[i as usize] = (len - part.len() + pieces.len()) as u32;
    }

    /// Replaces a path.
    pub(crate) fn set(&mut self, i: u32, path: &[TokenId]) {
        let start = self.starts[i as usize];
        self.pieces[start..start + path.len()].copy_from_slice(path);
        self.lens[i as usize] = path.len() as u32;
    }
}

/// Which strings visit a token; may name strings that no longer do.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    lists: Vec<Vec<u32>>,
    /// Lists that became longer, if that is to be undone.
    journal: Option<Vec<TokenId>>,
}

impl Users {
    /// Nobody uses any of `tokens` tokens.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { lists: vec![Vec::new(); tokens], journal: None }
    }

    /// The strings that visit each of `tokens` tokens on their paths.
    pub(crate) fn of(paths: &Paths, tokens: usize) -> Self {
        let mut users = Self::new(tokens);
        (0..paths.len() as u32).for_each(|i| users.note(i, &[], paths.get(i)));
        users
    }

    /// Makes room for more tokens.
    pub(crate) fn resize(&mut self, tokens: usize) {
        self.lists.resize(tokens, Vec::new());
    }

    /// Notes the tokens that a string visits now and did not before.
    pub(crate) fn note(&mut self, i: u32, before: &[TokenId], now: &[TokenId]) {
        for (at, &token) in now.iter().enumerate() {
            if !before.contains(&token) && !now[..at].contains(&token) {
                self.lists[token as usize].push(i);
                if let Some(journal) = &mut self.journal {
                    journal.push(token);
                }
            }
        }
    }

    /// Whether a string visits a token.
    pub(crate) fn is_used(&self, token: TokenId, paths: &Paths) -> bool {
        self.lists[token as usize].iter().any(|&i| paths.get(i).contains(&token))
    }

    /// The strings that visit any of some tokens, each once, in order.
    pub(crate) fn find(&self, tokens: &[TokenId], paths: &Paths) -> Vec<u32> {
        let mut found = Vec::new();
        for token in tokens {
            found.extend(self.lists[*token as usize].iter().filter(|i| paths.get(**i).contains(token)));
        }
        sorted_once(found)
    }

    /// Forgets who used tokens that are gone.
    pub(crate) fn clear(&mut self, tokens: &[TokenId]) {
        tokens.iter().for_each(|&token| self.lists[token as usize] = Vec::new());
    }

    /// Begins a part that will be undone.
    pub(crate) fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Forgets what was noted since the part began.
    pub(crate) fn undo(&mut self) {
        for token in self.journal.take().into_iter().flatten().rev() {
            self.lists[token as usize].pop();
        }
    }
}

/// Numbers in order, each once.
pub(crate) fn sorted_once(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
