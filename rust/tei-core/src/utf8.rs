//! Bytes as text, or where they are none.
use std::fmt;

/// The first byte that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub offset: usize,
    /// What it is.
    pub byte: u8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not UTF-8: byte {:#04x} at offset {}", self.byte, self.offset)
    }
}

/// Bytes as text.
///
/// # Errors
/// The first byte that is not part of a character.
#[inline]
pub fn check(bytes: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| fault(bytes))
}

#[cold]
fn fault(bytes: &[u8]) -> Fault {
    let offset = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    Fault { offset, byte: bytes.get(offset).copied().unwrap_or(0) }
}

/// Bytes that are UTF-8 but for surrogates, each of them replaced by U+FFFD, which has the same length.
#[must_use]
pub fn without_surrogates(mut bytes: Vec<u8>) -> String {
    for i in 0..bytes.len().saturating_sub(2) {
        if bytes[i] == 0xED && bytes[i + 1] >= 0xA0 {
            bytes[i..i + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_standard_library(bytes: Vec<u8>, text: String, cut in 0usize..99) {
            let mixed = [text.as_bytes(), &bytes].concat();
            for bytes in [text.as_bytes(), &text.as_bytes()[..cut.min(text.len())], &bytes, &mixed] {
                let want = std::str::from_utf8(bytes).map_err(|e| e.valid_up_to());
                prop_assert_eq!(check(bytes).map_err(|fault| fault.offset), want);
            }
        }
    }

    #[test]
    fn names_the_byte() {
        assert_eq!(check(b"ab\xFFc").map_err(|f| f.to_string()), Err("is not UTF-8: byte 0xff at offset 2".into()));
    }
}
