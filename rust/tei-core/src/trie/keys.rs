//! Keys in the order in which their nodes are placed.
use std::ops::Range;

use crate::TokenId;

/// A key to place: its bytes and its id.
pub type Key<'t> = (&'t [u8], TokenId);

/// Keys in the order of their bytes.
pub fn sorted<'t>(keys: &[Key<'t>]) -> Vec<Key<'t>> {
    let mut sorted: Vec<_> = keys.iter().map(|&(bytes, id)| (prefix(bytes), bytes, id)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, bytes, id)| (bytes, id)).collect()
}

/// The first bytes as a number that orders like them, so that sorting seldom has to follow a pointer.
fn prefix(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = bytes.len().min(8);
    first[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(first)
}

/// The runs of sorted keys that share the byte at `depth`.
pub fn groups<'k>(keys: &'k [Key], range: Range<usize>, depth: usize) -> impl Iterator<Item = (u8, Range<usize>)> + 'k {
    let mut start = range.start;
    keys[range].chunk_by(move |a, b| a.0[depth] == b.0[depth]).map(move |chunk| {
        let run = start..start + chunk.len();
        start = run.end;
        (chunk[0].0[depth], run)
    })
}
