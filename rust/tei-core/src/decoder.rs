//! Ids → text, as Hugging Face `tokenizers` writes it with its `WordPiece` decoder and with none.
use crate::TokenId;
use crate::encoder::Encoder;

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

/// How tokens go together.
#[derive(Clone, Copy, Debug)]
pub struct Joints<'a> {
    /// What a token begins with that follows the one before at once; any other comes after a blank, all do if None.
    pub prefix: Option<&'a str>,
    /// Whether blanks before punctuation are tidied.
    pub cleanup: bool,
}

/// Joins the tokens of ids, but for those that `skip` marks.
///
/// Ids outside the vocabulary are left out, as the reference does.
#[must_use]
pub fn decode(encoder: &Encoder, ids: &[TokenId], skip: &[bool], Joints { prefix, cleanup }: Joints<'_>) -> String {
    let mut text = String::new();
    let kept = ids.iter().filter(|&&id| !skip.get(id as usize).copied().unwrap_or(false));
    for (i, token) in kept.filter_map(|&id| encoder.shown(id)).enumerate() {
        let piece = match prefix.and_then(|prefix| token.strip_prefix(prefix)) {
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
