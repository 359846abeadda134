//! Offsets without the blanks at a token's ends, as `RobertaProcessing` of Hugging Face `tokenizers` trims them.

/// What byte-level vocabularies write for a blank.
const VISIBLE_BLANK: char = 'Ġ';

/// Number of blanks that a token's text begins and ends with.
#[must_use]
pub fn at_ends(token: impl DoubleEndedIterator<Item = char> + Clone) -> (usize, usize) {
    let blank = |c: &char| *c == VISIBLE_BLANK || c.is_whitespace();
    (token.clone().take_while(blank).count(), token.rev().take_while(blank).count())
}

/// The span of a token in `text` without so many characters at its ends, as far as it has them.
///
/// One blank before the first token stays if `keep_first`: there it stands for the beginning of the text.
#[must_use]
pub fn trim(
    text: &str,
    (start, end): (usize, usize),
    (leading, trailing): (usize, usize),
    keep_first: bool,
) -> (usize, usize) {
    let leading = if keep_first && leading == 1 { 0 } else { leading };
    let trimmed = text[start..end].char_indices().nth(leading).map_or(end, |(i, _)| start + i);
    let before = |count: usize| text[..end].char_indices().rev().nth(count - 1).map_or(end, |(i, _)| i);
    (trimmed, if trailing > 0 { before(trailing).max(trimmed) } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_what_the_token_says() {
        assert_eq!(at_ends(" Ġa\t".chars()), (2, 1));
        for (span, blanks, keep_first, want) in [
            ((1, 7), (2, 1), false, (4, 6)),
            ((1, 7), (1, 0), true, (1, 7)),
            ((1, 7), (2, 0), true, (4, 7)),
            ((1, 4), (3, 3), false, (4, 4)),
            ((0, 1), (0, 2), false, (0, 1)),
        ] {
            assert_eq!(trim("x é  y", span, blanks, keep_first), want, "{span:?} {blanks:?} {keep_first}");
        }
    }
}
