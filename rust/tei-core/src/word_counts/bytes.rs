//! Word counts as bytes, checked when they are read back.
//!
//! Magic, version and checksum (8, 4 and 8 bytes, little endian), then numbers in LEB128: the scheme and its length, the
//! number of words, and for each word how far its count lies below the one before, its length and its bytes.
use rapidhash::v3::rapidhash_v3;

use super::WordCounts;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"teiwords";
const VERSION: u32 = 1;
const HEADER: usize = 20;

impl WordCounts {
    /// The counts as bytes, with the `scheme` they were made by.
    #[must_use]
    pub fn to_bytes(&self, scheme: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(scheme.len() + self.bytes.len() + 3 * self.len() + 32);
        put_text(&mut body, scheme.as_bytes());
        put(&mut body, self.len() as u64);
        let mut before = u64::MAX;
        for i in 0..self.len() {
            put(&mut body, before - self.count(i));
            put_text(&mut body, self.bytes(i));
            before = self.count(i);
        }
        [MAGIC, &VERSION.to_le_bytes()[..], &rapidhash_v3(&body).to_le_bytes(), &body].concat()
    }

    /// Reads what [`WordCounts::to_bytes`] wrote: the counts and the scheme.
    ///
    /// # Errors
    /// [`Error::BrokenCounts`] if the bytes are anything else, or altered.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, String)> {
        read(bytes).map_err(|reason| Error::BrokenCounts { reason })
    }
}

fn read(bytes: &[u8]) -> Result<(WordCounts, String), String> {
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return Err("they do not begin as word counts do".into());
    }
    let (header, body) = bytes.split_at(HEADER);
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(format!("their version is {version}, known is {VERSION}"));
    }
    if rapidhash_v3(body).to_le_bytes() != header[12..] {
        return Err("they are truncated or altered, their checksum does not fit".into());
    }
    Reader { rest: body }.counts().ok_or_else(|| "their content contradicts itself".into())
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn counts(&mut self) -> Option<(WordCounts, String)> {
        let scheme = std::str::from_utf8(self.text()?).ok()?.to_owned();
        let (words, mut before) = (self.number()?, u64::MAX);
        let mut counts = WordCounts::default();
        for i in 0..words {
            let count = before.checked_sub(self.number()?).filter(|&count| count > 0)?;
            let word = self.text()?;
            let ordered = i == 0 || count < before || counts.bytes(i as usize - 1) < word;
            if !ordered || word.is_empty() || std::str::from_utf8(word).is_err() {
                return None;
            }
            counts.bytes.extend_from_slice(word);
            counts.ends.push(counts.bytes.len());
            counts.counts.push(count);
            before = count;
        }
        self.rest.is_empty().then_some((counts, scheme))
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                // Only the shortest form, so that equal counts are equal bytes.
                let shortest = byte > 0 || shift == 0;
                return (shortest && (shift < 63 || byte == 1)).then_some(number);
            }
        }
        None
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs() -> impl Strategy<Value = Vec<(String, u64)>> {
        proptest::collection::vec(("[a-é中]{1,5}", prop_oneof![1..5u64, any::<u64>()]), 0..30)
    }

    /// Bytes with a header that fits them.
    fn sealed(body: &[u8]) -> Vec<u8> {
        [MAGIC, &VERSION.to_le_bytes()[..], &rapidhash_v3(body).to_le_bytes(), body].concat()
    }

    proptest! {
        #[test]
        fn come_back_equal(pairs in pairs(), scheme in ".{0,20}") {
            let counts = WordCounts::from_pairs(pairs);
            prop_assert_eq!(WordCounts::from_bytes(&counts.to_bytes(&scheme)), Ok((counts, scheme)));
        }

        #[test]
        fn every_change_is_noticed(pairs in pairs(), place in any::<prop::sample::Index>(), change in 1..=255u8) {
            let mut bytes = WordCounts::from_pairs(pairs).to_bytes("scheme");
            let place = place.index(bytes.len());
            prop_assert!(WordCounts::from_bytes(&bytes[..place]).is_err());
            bytes[place] ^= change;
            prop_assert!(WordCounts::from_bytes(&bytes).is_err());
        }

        #[test]
        fn anything_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((counts, scheme)) = WordCounts::from_bytes(&sealed(&body)) {
                prop_assert_eq!(WordCounts::from_pairs(counts.iter()).to_bytes(&scheme), sealed(&body));
            }
        }
    }

    #[test]
    fn words_out_of_order_are_refused() {
        let body = |first: u8, second: u8| {
            let mut body = vec![0, 2];
            put(&mut body, u64::MAX - 3);
            body.extend_from_slice(&[1, first, 0, 1, second]);
            sealed(&body)
        };
        assert!(WordCounts::from_bytes(&body(b'a', b'b')).is_ok());
        assert!(WordCounts::from_bytes(&body(b'b', b'a')).is_err());
        assert!(WordCounts::from_bytes(&body(b'a', b'a')).is_err());
        assert!(WordCounts::from_bytes(&body(b'a', 255)).is_err());
    }
}
