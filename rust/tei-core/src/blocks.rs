//! Files block by block, each of whole texts: however large a file is, only a few blocks of it are in memory.
//!
//! Blocks are read, not mapped into memory: both take the same time (0.45 ms a megabyte, of 3 ms for encoding it), but a
//! mapped file that is cut short meanwhile ends the process, and what is unpacked on the way cannot be mapped at all.
use std::io::{ErrorKind, Read, Result};

use crate::separator::Separator;

/// A block is still in the second-level cache when it is encoded. Tests want many of them.
const BLOCK: usize = if cfg!(test) { 8 } else { 64 << 10 };

/// A run of whole texts.
#[derive(Debug, Default)]
pub struct Block {
    /// Initialized once and then used again; only the first `len` bytes are the block.
    buffer: Vec<u8>,
    len: usize,
    /// Where it begins in the file.
    pub offset: u64,
}

impl Block {
    /// Its content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    fn room(&mut self, end: usize) -> &mut [u8] {
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.len..end]
    }
}

/// A file on its way through memory.
#[derive(Debug)]
pub struct Blocks<R> {
    source: R,
    separator: Option<Separator>,
    /// What was read, but not handed out yet.
    rest: Vec<u8>,
    offset: u64,
    begun: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Reads `source` from where it stands; without a separator, it is one text.
    pub fn new(source: R, separator: Option<Separator>) -> Self {
        Self { source, separator, rest: Vec::new(), offset: 0, begun: false, ended: false }
    }

    /// Whether all has been handed out.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended && self.rest.is_empty()
    }

    /// Fills `block` with the next texts; false at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next(&mut self, block: &mut Block) -> Result<bool> {
        (block.len, block.offset) = (0, self.offset);
        block.room(self.rest.len()).copy_from_slice(&self.rest);
        block.len = self.rest.len();
        self.rest.clear();
        while !self.ended {
            // A long text is searched for its end anew each time: twice as much of it keeps that linear.
            let end = (block.len + BLOCK).max(2 * block.len);
            self.fill(block, end)?;
            let whole = self.separator.as_ref().map_or(0, |separator| separator.last_end(block.bytes()));
            if whole > 0 && !self.ended {
                self.rest.extend_from_slice(&block.bytes()[whole..]);
                block.len = whole;
                break;
            }
        }
        self.offset += block.len as u64;
        // A file that is one text is one even if it is empty.
        let first = !std::mem::replace(&mut self.begun, true);
        Ok(block.len > 0 || (first && self.separator.is_none()))
    }

    fn fill(&mut self, block: &mut Block, end: usize) -> Result<()> {
        while block.len < end && !self.ended {
            match self.source.read(block.room(end)) {
                Ok(0) => self.ended = true,
                Ok(n) => block.len += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes back all of `block` from the byte `from` on: it will be handed out again.
    pub fn put_back(&mut self, block: &Block, from: usize) {
        let rest = &block.bytes()[from..];
        self.rest.splice(..0, rest.iter().copied());
        self.offset -= rest.len() as u64;
    }
}
