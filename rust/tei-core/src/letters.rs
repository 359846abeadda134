//! Characters that may stay in a key as they are: those of two and three bytes that belong to words.
//!
//! For each first byte of UTF-8 a range of second bytes says which they are ([`Letters`]), and for some rows of characters
//! third bytes ([`Members`]). It is narrower than the truth, but a machine looks 64 bytes up at once, where folding them takes
//! several times as long.

/// If a first byte has several ranges, the one that holds one of these is taken, which begin ل, あ, ế and 가: text has far
/// more of it than of the others.
const COMMON: [[u8; 2]; 4] = [*b"\xD9\x84", *b"\xE3\x81", *b"\xE1\xBA", *b"\xEA\xB0"];

/// Ranges of second bytes, by the lowest six bits of first bytes from `0xC0` on.
#[derive(Clone, Debug)]
pub struct Letters {
    least: [u8; 64],
    /// How far the range goes on; zero, with a least byte of zero, where no second byte is in it.
    span: [u8; 64],
}

impl Letters {
    /// Those of which `stays` says that they may stay.
    #[must_use]
    pub fn new(stays: impl Fn(char) -> bool) -> Self {
        let (mut least, mut span) = ([0; 64], [0; 64]);
        for first in 0xC2..0xF0 {
            let stay = |second: u8| characters(first, second).all(|c| c.is_some_and(&stays));
            let Some((from, to)) = best_run(first, stay) else { continue };
            (least[usize::from(first & 63)], span[usize::from(first & 63)]) = (from, to - from);
        }
        Self { least, span }
    }

    /// Whether characters that begin with these two bytes are letters.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, [first, second]: [u8; 2]) -> bool {
        let i = usize::from(first & 63);
        first >= 0xC0 && second.wrapping_sub(self.least[i]) <= self.span[i]
    }

    /// Number of bytes of a letter.
    #[inline(always)]
    #[must_use]
    pub fn len(first: u8) -> usize {
        2 + usize::from(first >= 0xE0)
    }

    /// The least second byte, for each first one.
    #[inline(always)]
    #[must_use]
    pub fn least(&self) -> &[u8; 64] {
        &self.least
    }

    /// How far the range goes on behind that.
    #[inline(always)]
    #[must_use]
    pub fn span(&self) -> &[u8; 64] {
        &self.span
    }
}

/// Rows of 64 characters of three bytes that begin with the same two, which [`Letters`] leaves out since not all of a row are
/// letters: Devanagari, quotation marks and dashes, kana with their punctuation, and wide punctuation.
const ROWS: [[u8; 2]; 8] =
    [*b"\xE0\xA4", *b"\xE0\xA5", *b"\xE2\x80", *b"\xE3\x80", *b"\xE3\x81", *b"\xE3\x82", *b"\xE3\x83", *b"\xEF\xBC"];

/// Which characters of these rows are members of a set; a machine looks 64 bytes up at once.
#[derive(Clone, Debug)]
pub struct Members {
    /// The least second byte of a row, by the lowest six bits of first bytes.
    pub least: [u8; 64],
    /// How far second bytes of rows go on; zero, with a least byte of zero, where there is no row.
    pub span: [u8; 64],
    /// The number of the first of these rows.
    pub row: [u8; 64],
    /// By the lowest six bits of third bytes the rows in which that is a member, a bit each.
    pub of: [u8; 64],
}

impl Members {
    /// Those of which `is_member` says so.
    #[must_use]
    pub fn new(is_member: impl Fn(char) -> bool) -> Self {
        let mut members = Self { least: [0; 64], span: [0; 64], row: [0; 64], of: [0; 64] };
        for (row, [first, second]) in (0..).zip(ROWS) {
            let i = usize::from(first & 63);
            if members.least[i] == 0 {
                (members.least[i], members.row[i]) = (second, row);
            }
            members.span[i] = second - members.least[i];
            for (of, c) in members.of.iter_mut().zip(characters(first, second)) {
                *of |= u8::from(c.is_some_and(&is_member)) << row;
            }
        }
        members
    }

    /// Whether three bytes are a member.
    #[must_use]
    pub fn has(&self, [first, second, third]: [u8; 3]) -> bool {
        let i = usize::from(first & 63);
        let behind = second.wrapping_sub(self.least[i]);
        let in_row = first >= 0xE0 && behind <= self.span[i] && (0x80..0xC0).contains(&third);
        in_row && self.of[usize::from(third & 63)] >> (self.row[i] + behind) & 1 == 1
    }
}

/// Characters that begin with two bytes; None for what is no character.
fn characters(first: u8, second: u8) -> impl Iterator<Item = Option<char>> {
    let [high, low] = [u32::from(first), u32::from(second & 63)];
    let (from, count) = if first < 0xE0 { ((high & 31) << 6 | low, 1) } else { ((high & 15) << 12 | low << 6, 64) };
    // Overlong forms spell nothing.
    (from..from + count).map(move |c| char::from_u32(c).filter(|c| c.len_utf8() == Letters::len(first)))
}

/// The first and last second byte of the run to take: one that is common, or else the longest.
fn best_run(first: u8, stay: impl Fn(u8) -> bool) -> Option<(u8, u8)> {
    let seconds: Vec<(u8, bool)> = (0x80..0xC0).map(|second| (second, stay(second))).collect();
    let common = |(second, _): &(u8, bool)| COMMON.contains(&[first, *second]);
    let runs = seconds.chunk_by(|a, b| a.1 && b.1).filter(|run| run[0].1);
    let best = runs.max_by_key(|run| (run.iter().any(common), run.len()))?;
    Some((best[0].0, best[best.len() - 1].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_stays() {
        let letters = Letters::new(|c| !"\u{301}«、・".contains(c));
        for c in "éßλйםلあế가항".chars() {
            let utf8 = c.to_string().into_bytes();
            assert!(letters.has([utf8[0], utf8[1]]), "{c}");
            assert_eq!(Letters::len(utf8[0]), utf8.len());
        }
        for c in "a \u{301}«、・😀".chars() {
            let mut utf8 = c.to_string().into_bytes();
            utf8.push(0x80);
            assert!(!letters.has([utf8[0], utf8[1]]), "{c}");
        }
    }

    #[test]
    fn holds_no_character_that_does_not_stay() {
        let stays = |c: char| u32::from(c) % 1000 > 20;
        let letters = Letters::new(stays);
        let held: Vec<char> = ('\u{80}'..='\u{FFFF}')
            .filter(|c| matches!(c.to_string().as_bytes(), [first, second, ..] if letters.has([*first, *second])))
            .collect();
        assert!(held.len() > 10_000 && held.into_iter().all(stays));
    }

    #[test]
    fn members_are_those_of_the_rows() {
        let is_member = |c: char| u32::from(c) % 7 > 2;
        let (members, mut found) = (Members::new(is_member), 0);
        for c in '\u{800}'..='\u{FFFF}' {
            let mut utf8 = [0; 3];
            c.encode_utf8(&mut utf8);
            assert_eq!(members.has(utf8), ROWS.contains(&[utf8[0], utf8[1]]) && is_member(c), "{c:?}");
            found += usize::from(members.has(utf8));
        }
        assert!(found > 200);
    }
}
