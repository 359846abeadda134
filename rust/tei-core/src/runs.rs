//! Sorted runs of counted words in temporary files, for counts that memory does not hold.
//!
//! A word is written as what it shares with the one before, the rest, and its count: about a third of its size in memory.
//! The files have no name from the start (or lose it, where a system has no such files), so that they are gone with the
//! process however it ends.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use crate::{Error, Result};

/// So many runs are open at most; then they become one.
const MOST_RUNS: usize = 64;

/// A word with its count.
type Counted = (Vec<u8>, u64);

/// Runs of words, each sorted by bytes.
#[derive(Debug, Default)]
pub struct Runs {
    files: Vec<File>,
}

impl Runs {
    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes a run of distinct words, which `words` pushes in the order of their bytes.
    ///
    /// # Errors
    /// [`Error::NoSpill`] if it cannot be written.
    pub fn write(
        &mut self,
        words: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> io::Result<()>) -> io::Result<()>,
    ) -> Result<()> {
        if self.files.len() == MOST_RUNS {
            let mut run = Run::new().map_err(no_spill)?;
            std::mem::take(self).merge_into(|word, count| run.push(word, count))?;
            self.files.push(run.finish().map_err(no_spill)?);
        }
        let mut run = Run::new().map_err(no_spill)?;
        words(&mut |word, count| run.push(word, count)).map_err(no_spill)?;
        self.files.push(run.finish().map_err(no_spill)?);
        Ok(())
    }

    /// Calls `visit` with every word once, in the order of bytes, with its counts added up.
    ///
    /// # Errors
    /// [`Error::NoSpill`] if a run cannot be read.
    pub fn merge(self, mut visit: impl FnMut(&[u8], u64)) -> Result<()> {
        self.merge_into(|word, count| {
            visit(word, count);
            Ok(())
        })
    }

    fn merge_into(self, mut visit: impl FnMut(&[u8], u64) -> io::Result<()>) -> Result<()> {
        let merge = || {
            let mut runs: Vec<_> = self.files.into_iter().map(BufReader::new).collect();
            let mut heads = BinaryHeap::new();
            for (i, run) in runs.iter_mut().enumerate() {
                heads.extend(read_word(run, Vec::new())?.map(|head| Reverse((head, i))));
            }
            let mut under_way: Option<Counted> = None;
            while let Some(Reverse(((word, count), i))) = heads.pop() {
                let next = read_word(&mut runs[i], word.clone())?;
                heads.extend(next.map(|head| Reverse((head, i))));
                under_way = match under_way {
                    Some((same, sum)) if same == word => Some((same, sum.saturating_add(count))),
                    before => {
                        before.map_or(Ok(()), |(word, count)| visit(&word, count))?;
                        Some((word, count))
                    }
                };
            }
            under_way.map_or(Ok(()), |(word, count)| visit(&word, count))
        };
        merge().map_err(no_spill)
    }
}

fn no_spill(error: io::Error) -> Error {
    Error::NoSpill { directory: std::env::temp_dir().display().to_string(), reason: error.to_string() }
}

/// A run while it is written.
struct Run {
    file: BufWriter<File>,
    before: Vec<u8>,
}

impl Run {
    fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(1 << 16, tempfile::tempfile()?), before: Vec::new() })
    }

    fn push(&mut self, word: &[u8], count: u64) -> io::Result<()> {
        let shared = self.before.iter().zip(word).take_while(|(a, b)| a == b).count();
        for number in [shared as u64, (word.len() - shared) as u64] {
            write_number(&mut self.file, number)?;
        }
        self.file.write_all(&word[shared..])?;
        self.before.truncate(shared);
        self.before.extend_from_slice(&word[shared..]);
        write_number(&mut self.file, count)
    }

    fn finish(self) -> io::Result<File> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
fn write_number(file: &mut impl Write, mut number: u64) -> io::Result<()> {
    while number >= 0x80 {
        file.write_all(&[number as u8 | 0x80])?;
        number >>= 7;
    }
    file.write_all(&[number as u8])
}

fn read_number(file: &mut impl Read) -> io::Result<u64> {
    let (mut number, mut byte) = (0, [0x80]);
    for shift in (0..64).step_by(7) {
        file.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    Ok(number)
}

/// The word after `before`, if the run has one.
fn read_word(run: &mut BufReader<File>, mut before: Vec<u8>) -> io::Result<Option<Counted>> {
    if run.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (shared, rest) = (read_number(run)? as usize, read_number(run)? as usize);
    before.resize(shared + rest, 0);
    run.read_exact(&mut before[shared..])?;
    Ok(Some((before, read_number(run)?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn merging_equals_a_map(
            runs in proptest::collection::vec(proptest::collection::btree_map("[a-cé]{0,4}", any::<u64>(), 0..8), 0..150),
        ) {
            let (mut written, mut expected) = (Runs::default(), BTreeMap::<String, u64>::new());
            for run in &runs {
                written.write(|push| run.iter().try_for_each(|(word, &count)| push(word.as_bytes(), count))).expect("room");
                for (word, &count) in run {
                    let sum = expected.entry(word.clone()).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
            let mut merged = Vec::new();
            written.merge(|word, count| merged.push((String::from_utf8_lossy(word).into_owned(), count))).expect("reads");
            prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
