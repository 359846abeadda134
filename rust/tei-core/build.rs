//! Writes the Unicode tables of `src/unicode.rs`, one two-stage table for each way of folding a character, and that of
//! `src/byte_words.rs`.
//!
//! Equal ids need equal data, so the properties come from the crates that Hugging Face `tokenizers` is built on: the
//! categories and normalization of Unicode 8 and 9, the `\w` of the newest regex crate, the standard library. They are
//! looked up here, at build time, and never while encoding.
use std::collections::HashMap;
use std::fmt::Write as _;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

const LENGTH: u32 = 21;
const CONTROL: u32 = 1 << 24;
const SPACE: u32 = 1 << 25;
const IDEOGRAPH: u32 = 1 << 26;
const PUNCTUATION: u32 = 1 << 27;
const NONSTARTER: u32 = 1 << 28;
const WORD: u32 = 1 << 29;
const NUMERIC: u32 = 1 << 30;
const HANGUL: u32 = 7;
const BLOCK: usize = 128;

fn is_ideograph(c: char) -> bool {
    // The ranges of BERT's `_is_chinese_char`, as `tokenizers` writes them.
    matches!(u32::from(c), 0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

fn is_control(c: char) -> bool {
    c == '\0' || c == '\u{FFFD}' || (!matches!(c, '\t' | '\n' | '\r') && c.is_other())
}

fn punctuation(c: char) -> u32 {
    if c.is_ascii_punctuation() || c.is_punctuation() { PUNCTUATION } else { 0 }
}

fn fold(c: char, strip: bool, lower: bool) -> Vec<char> {
    let mut parts = Vec::new();
    if strip {
        decompose_canonical(c, |d| parts.push(d));
        parts.retain(|d| !d.is_mark_nonspacing());
    } else {
        parts.push(c);
    }
    if lower { parts.into_iter().flat_map(char::to_lowercase).collect() } else { parts }
}

fn flags(c: char, strip: bool) -> u32 {
    let mut flags = 0;
    if is_control(c) {
        flags |= CONTROL;
    }
    if c.is_whitespace() {
        flags |= SPACE;
    }
    if is_ideograph(c) {
        flags |= IDEOGRAPH;
    }
    if regex_syntax::is_word_character(c) {
        flags |= WORD;
    }
    if c.is_numeric() {
        flags |= NUMERIC;
    }
    let mut moves = false;
    decompose_canonical(c, |d| {
        moves |= canonical_combining_class(d) != 0 && !d.is_mark_nonspacing();
    });
    if strip && moves {
        flags |= NONSTARTER;
    }
    flags
}

fn entry(c: char, strip: bool, lower: bool, expansions: &mut Vec<u32>, seen: &mut HashMap<Vec<char>, u32>) -> u32 {
    let flags = flags(c, strip);
    if strip && matches!(u32::from(c), 0xAC00..=0xD7A3) {
        return flags | HANGUL << LENGTH;
    }
    let folded = fold(c, strip, lower);
    assert!(folded.len() < HANGUL as usize && folded.iter().all(|d| !d.is_whitespace() || c.is_whitespace()));
    match folded.as_slice() {
        [] => flags,
        [d] => {
            let distance = u32::from(*d).wrapping_sub(u32::from(c)) & ((1 << LENGTH) - 1);
            flags | punctuation(*d) | 1 << LENGTH | distance
        }
        several => {
            let start = *seen.entry(several.to_vec()).or_insert_with(|| {
                let start = expansions.len();
                expansions.extend(several.iter().map(|d| u32::from(*d) | punctuation(*d)));
                u32::try_from(start).expect("few expansions")
            });
            flags | u32::try_from(several.len()).expect("short") << LENGTH | start
        }
    }
}

fn table(strip: bool, lower: bool, expansions: &mut Vec<u32>, seen: &mut HashMap<Vec<char>, u32>) -> String {
    let mut blocks: Vec<u32> = Vec::new();
    let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut index = Vec::new();
    for block in 0..0x11_0000 / BLOCK {
        let entries: Vec<u32> = (block * BLOCK..(block + 1) * BLOCK)
            // Surrogates never occur in UTF-8; they read as removed.
            .map(|cp| u32::try_from(cp).ok().and_then(char::from_u32))
            .map(|c| c.map_or(CONTROL, |c| entry(c, strip, lower, expansions, seen)))
            .collect();
        index.push(*known.entry(entries.clone()).or_insert_with(|| {
            blocks.extend(&entries);
            blocks.len() / BLOCK - 1
        }));
    }
    format!("Folding {{ index: &[{}], entries: &[{}] }}", lines(&index), lines(&blocks))
}

/// Numbers, sixteen a line: a compiler message that quotes one line of this file must stay short.
fn lines<N: std::fmt::Display>(numbers: &[N]) -> String {
    let line = |chunk: &[N]| chunk.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    numbers.chunks(16).map(line).collect::<Vec<_>>().join(",\n")
}

/// Characters outside ASCII by how `byte_words.rs` treats them, in the order of its `Kind`; all others are signs.
const WORD_KINDS: [(&str, &str); 4] = [
    ("Letter", r"[\p{L}\p{M}]"),
    ("Ideographic", r"[[\p{Han}\p{Hiragana}\p{Katakana}\u{30FC}\u{FF70}]&&[\p{L}\p{M}]]"),
    ("SouthEastAsian", r"[[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&[\p{L}\p{M}]]"),
    ("Number", r"\p{N}"),
];

/// The number in [`WORD_KINDS`] of each character, from 1 on; the last set that holds it counts.
fn word_kinds() -> Vec<u8> {
    let mut kinds = vec![0; 0x11_0000];
    for (kind, (_, set)) in (1..).zip(WORD_KINDS) {
        let parsed = regex_syntax::Parser::new().parse(set).expect("a set of characters");
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = parsed.kind() else {
            unreachable!("a set is a class")
        };
        class.ranges().iter().for_each(|range| kinds[range.start() as usize..=range.end() as usize].fill(kind));
    }
    kinds
}

fn word_kind_table() -> String {
    let (mut blocks, mut known, mut index) = (Vec::new(), HashMap::new(), Vec::new());
    for block in word_kinds().chunks(BLOCK) {
        index.push(*known.entry(block.to_vec()).or_insert_with(|| {
            blocks.extend_from_slice(block);
            blocks.len() / BLOCK - 1
        }));
    }
    let names: Vec<_> = WORD_KINDS.iter().map(|(name, _)| *name).collect();
    format!(
        "static KINDS: [Kind; {}] = [Kind::Sign, Kind::{}];\nstatic INDEX: &[u8] = &[{}];\nstatic ENTRIES: &[u8] = &[{}];\n",
        names.len() + 1,
        names.join(", Kind::"),
        lines(&index),
        lines(&blocks)
    )
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let (mut expansions, mut seen) = (Vec::new(), HashMap::new());
    let mut source = String::from("pub(super) static FOLDINGS: [Folding; 4] = [\n");
    for (strip, lower) in [(false, false), (false, true), (true, false), (true, true)] {
        writeln!(source, "{},", table(strip, lower, &mut expansions, &mut seen)).expect("write to a string");
    }
    writeln!(source, "];\npub(super) static EXPANSIONS: &[u32] = &[{}];", lines(&expansions))
        .expect("write to a string");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = std::path::Path::new(&out);
    std::fs::write(out.join("unicode_tables.rs"), source).expect("write the tables");
    std::fs::write(out.join("word_kinds.rs"), word_kind_table()).expect("write the table");
}
