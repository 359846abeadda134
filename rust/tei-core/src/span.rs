//! Byte offsets inside, character offsets at the edge: the one conversion.

/// Converts byte spans into character spans of the same text; the spans must lie on character boundaries.
#[must_use]
pub fn to_chars(text: &str, spans: &[(usize, usize)]) -> Vec<(usize, usize)> {
    if text.is_ascii() {
        return spans.to_vec();
    }
    // For each byte, how many characters begin before it.
    let mut before = Vec::with_capacity(text.len() + 1);
    for (i, c) in text.chars().enumerate() {
        before.extend(std::iter::repeat_n(i, c.len_utf8()));
    }
    before.push(text.chars().count());
    spans.iter().map(|&(start, end)| (before[start], before[end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters() {
        assert_eq!(to_chars("aéb", &[(0, 1), (1, 3), (3, 4), (4, 4)]), [(0, 1), (1, 2), (2, 3), (3, 3)]);
    }
}
