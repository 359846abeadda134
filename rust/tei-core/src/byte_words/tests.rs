//! The scanner against its definition, alternative by alternative.
use std::ops::Range;

use super::*;
use proptest::prelude::*;

/// What a character is, all of Unicode included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Blank,
    Space,
    Newline,
    Digit,
    Wide(Kind),
}

fn class(c: char) -> Class {
    match c {
        ' ' => Class::Blank,
        '\t' | '\u{B}' | '\u{C}' => Class::Space,
        '\r' | '\n' => Class::Newline,
        '0'..='9' => Class::Digit,
        _ if c.is_ascii_alphabetic() => Class::Wide(Kind::Letter),
        _ if c.is_ascii() => Class::Wide(Kind::Sign),
        _ => Class::Wide(Kind::of(u32::from(c))),
    }
}

/// The definition: alternative by alternative, as `PATTERN` has them.
fn next_word(chars: &[char]) -> usize {
    const LETTER: Class = Class::Wide(Kind::Letter);
    const SIGN: Class = Class::Wide(Kind::Sign);
    let is = |i: usize, classes: &[Class]| chars.get(i).is_some_and(|&c| classes.contains(&class(c)));
    let run = |from: usize, classes: &[Class]| (from..chars.len()).take_while(|&i| is(i, classes)).count();
    let white = [Class::Blank, Class::Space, Class::Newline];
    let lower: String = chars.iter().take(3).collect::<String>().to_ascii_lowercase();
    if let Some(found) = ["'s", "'d", "'m", "'t", "'ll", "'ve", "'re"].iter().find(|word| lower.starts_with(**word)) {
        return found.len();
    }
    let prefix = usize::from(chars[0].is_ascii() && is(0, &[Class::Blank, Class::Space, SIGN]));
    if is(prefix, &[LETTER]) {
        return prefix + run(prefix, &[LETTER]);
    }
    match class(chars[0]) {
        Class::Digit => return run(0, &[Class::Digit]).min(3),
        Class::Wide(kind) if kind != Kind::Sign => return run(0, &[class(chars[0])]).min(kind.limit() as usize),
        _ => {}
    }
    let blank = usize::from(chars[0] == ' ');
    if is(blank, &[SIGN]) {
        let signs = blank + run(blank, &[SIGN]);
        return signs + run(signs, &[Class::Newline]);
    }
    if is(0, &[Class::Newline]) {
        return run(0, &[Class::Newline]);
    }
    let spaces = run(0, &[Class::Blank, Class::Space]);
    if spaces < chars.len() && !is(spaces, &white) { (spaces - 1).max(1) } else { spaces }
}

fn defined(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut words, mut rest) = (Vec::new(), chars.as_slice());
    while !rest.is_empty() {
        let (word, after) = rest.split_at(next_word(rest));
        words.extend(word.chunks(LONGEST).map(|piece| piece.iter().collect()));
        rest = after;
    }
    words
}

/// Words by text.
#[derive(Default)]
struct Collected {
    texts: Vec<Vec<String>>,
    open: Vec<String>,
}

impl Words for Collected {
    fn take(&mut self, found: Found<'_>) {
        let mut next = 0;
        let mut until = |end: usize, open: &mut Vec<String>| {
            while next < end {
                open.push(String::from_utf8(found.bytes(next).to_vec()).expect("words are UTF-8"));
                next += 1;
            }
        };
        for &end in found.texts() {
            until(end as usize, &mut self.open);
            self.texts.push(std::mem::take(&mut self.open));
        }
        until(found.len(), &mut self.open);
    }
}

fn agree(texts: &[&str]) {
    let want: Vec<_> = texts.iter().map(|text| defined(text)).collect();
    for level in Level::all() {
        let mut found = Collected::default();
        ByteWords { level }.scan(texts.iter().copied(), &mut Scratch::default(), &mut found);
        assert_eq!(found.texts, want, "{texts:?} on {level:?}");
        assert!(found.open.is_empty());
    }
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let dense = "[a-cstlverdm' '.,(\\t\\n\\r0-9éß\u{301}中かカーกະ٣½\u{a0}\u{3000}、\u{0}\u{20000}😀]{0,40}";
    let run = ("[a '.\n\té中0٣。😀]", 0..200usize).prop_map(|(piece, times)| piece.repeat(times));
    let long = ("[a '.\n\té中0٣。😀]{1,2}", 0..3000usize).prop_map(|(piece, times)| piece.repeat(times));
    let text = proptest::collection::vec(
        prop_oneof![8 => dense, 4 => "[a-z '.,]{0,60}", 2 => any::<String>(), 3 => run, 1 => long],
        0..6,
    );
    proptest::collection::vec(text.prop_map(|parts| parts.concat()), 0..5)
}

proptest! {
    #[test]
    fn equals_the_definition(texts in texts()) {
        agree(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn every_character_equals_the_definition() {
    for first in (0..0x11_0000).step_by(64) {
        let around = |c: char| ['a', c, 'B', ' ', c, c, '1', '\'', 's', c, '\n', c, '.', c, '中'];
        let text: String = (first..first + 64).filter_map(char::from_u32).flat_map(around).collect();
        agree(&[&text]);
    }
}

#[test]
fn many_short_texts_and_chunks_that_end_anywhere() {
    agree(&vec![""; 5000]);
    for shift in 0..130 {
        let text = format!("{}{}", "x".repeat(shift), " don't (foo)  \n\t12345 é中文 'll'".repeat(200));
        agree(&[&text, "", &text[shift..]]);
    }
}

#[test]
fn a_scan_stops_when_nothing_more_is_wanted() {
    struct Few(usize, Vec<Range<usize>>);
    impl Words for Few {
        fn take(&mut self, found: Found<'_>) {
            self.0 += found.len();
            self.1.extend(found.texts().iter().map(|&end| 0..end as usize));
        }
        fn is_full(&self) -> bool {
            true
        }
    }
    let mut few = Few(0, Vec::new());
    let text = "a b ".repeat(10_000);
    ByteWords::new().scan([text.as_str(), "c"].into_iter(), &mut Scratch::default(), &mut few);
    assert!(few.0 < 3000 && few.1.len() == 2);
}
