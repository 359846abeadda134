//! Byte offsets inside, character offsets at the edge: the one conversion.

/// Converts byte spans into character spans of the same text; what a span holds of a character counts as the whole of it.
///
/// In bytes that are no UTF-8 a character is a byte that does not continue one, and those that do.
#[must_use]
pub fn to_chars(text: &[u8], spans: &[(usize, usize)]) -> Vec<(usize, usize)> {
    if text.is_ascii() {
        return spans.to_vec();
    }
    let continues = |byte: u8| byte.cast_signed() < -64;
    // For each byte, how many characters begin before its own does.
    let (mut before, mut begun) = (Vec::with_capacity(text.len() + 1), 0_usize);
    for &byte in text {
        begun += usize::from(!continues(byte));
        before.push(begun.saturating_sub(1));
    }
    before.push(begun);
    let cut = |end: usize| usize::from(text.get(end).is_some_and(|&byte| continues(byte)) && end > 0);
    spans.iter().map(|&(start, end)| (before[start], before[end] + cut(end))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters() {
        assert_eq!(to_chars("aéb".as_bytes(), &[(0, 1), (1, 3), (3, 4), (4, 4)]), [(0, 1), (1, 2), (2, 3), (3, 3)]);
    }

    #[test]
    fn cut_characters_count_as_whole_ones() {
        let spans = [(1, 2), (2, 4), (4, 6), (5, 7), (7, 7)];
        assert_eq!(to_chars("aé中b".as_bytes(), &spans), [(1, 2), (1, 3), (2, 3), (2, 4), (4, 4)]);
    }
}
