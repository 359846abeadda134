//! Byte strings as printable text: a letter for each of the 256 bytes.
//!
//! The letters are those of GPT-2: a printable character of Latin-1 stands for its own byte, and the 68 other bytes, the
//! blank and the controls among them, are the characters from U+0100 on in their order. Tokens and counted words of the
//! bytes scheme are written so, and everything that works on text works on them.

/// The letter of a byte.
#[must_use]
pub fn letter(byte: u8) -> char {
    LETTERS[usize::from(byte)]
}

/// The byte of a letter; None for a character that is no letter.
#[must_use]
pub fn byte(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => OTHERS.get((code - 256) as usize).copied(),
    }
}

/// The bytes that letters stand for; None if there is any other character.
#[must_use]
pub fn to_bytes(letters: &str) -> Option<Vec<u8>> {
    letters.chars().map(byte).collect()
}

/// Bytes written in letters.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| letter(byte)).collect()
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes that do not stand for themselves.
const OTHERS: [u8; 68] = {
    let (mut others, mut count, mut byte) = ([0; 68], 0, 0_u32);
    while byte < 256 {
        if !is_printable(byte as u8) {
            others[count] = byte as u8;
            count += 1;
        }
        byte += 1;
    }
    others
};

static LETTERS: [char; 256] = {
    let (mut letters, mut i) = (['\0'; 256], 0);
    while i < 256 {
        letters[i] = i as u8 as char;
        i += 1;
    }
    i = 0;
    while i < OTHERS.len() {
        // Below the surrogates every number is a character.
        letters[OTHERS[i] as usize] = match char::from_u32(256 + i as u32) {
            Some(letter) => letter,
            None => '\0',
        };
        i += 1;
    }
    letters
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_gpt_2() {
        assert_eq!(from_bytes(b"a b\n\x00\x7f\xad\xc3\xa9"), "aĠbĊĀġŃÃ©");
        assert_eq!((byte(' '), byte('\u{144}'), byte('中')), (None, None, None));
    }

    #[test]
    fn every_byte_has_one_letter() {
        let letters: String = (0..=255).map(letter).collect();
        assert_eq!(to_bytes(&letters), Some((0..=255).collect()));
        assert!(
            (0..=u32::from(char::MAX))
                .filter_map(char::from_u32)
                .filter_map(byte)
                .eq((0x21..=0x7E).chain(0xA1..=0xAC).chain(0xAE..=0xFF).chain(OTHERS))
        );
    }
}
