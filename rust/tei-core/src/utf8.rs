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
