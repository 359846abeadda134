//! Ids → text, as the `WordPiece` decoder of Hugging Face `tokenizers` writes it.
use crate::TokenId;
use crate::vocabulary::Vocabulary;

/// Spaces that a tokenizer put before punctuation and English contractions, and what they become.
const CLEANUPS: [(&str, &str); 11] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Joins tokens: a continuation follows at once, any other after a blank; `cleanup` tidies blanks before punctuation.
///
/// Ids outside the vocabulary are left out, as the reference does.
#[must_use]
pub fn decode(vocabulary: &Vocabulary, ids: &[TokenId], skip: &[bool], cleanup: bool) -> String {
    let mut text = String::new();
    let kept = ids.iter().filter(|&&id| !skip.get(id as usize).copied().unwrap_or(false));
    for (i, token) in kept.filter_map(|&id| vocabulary.get(id)).enumerate() {
        let piece = match token.strip_prefix(vocabulary.continuation_prefix()) {
            _ if i == 0 => token.to_owned(),
            Some(rest) => rest.to_owned(),
            None => format!(" {token}"),
        };
        text.push_str(&if cleanup { tidy(piece) } else { piece });
    }
    text
}

fn tidy(piece: String) -> String {
    CLEANUPS.iter().fold(piece, |piece, (from, to)| piece.replace(from, to))
}
