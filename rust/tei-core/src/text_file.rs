//! The texts of a file, encoded or counted as they are read.
//!
//! Blocks are read one after the other and worked on by all threads. What comes of them is joined in order, and so is
//! the first error found.
use std::io;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::batch::Rows;
use crate::blocks::{Block, Blocks};
use crate::encoder::Encoder;
use crate::parallel::{stream, thread_count};
use crate::separator::Separator;
use crate::{Error, Result, jsonl, utf8};

/// How texts are written in a file.
#[derive(Clone, Debug)]
pub struct Layout {
    separator: Option<Separator>,
    field: Option<String>,
}

/// A file whose texts are worked on.
#[derive(Debug)]
pub struct TextFile<R> {
    name: String,
    layout: Layout,
    blocks: Blocks<R>,
    /// How many bytes it has in all, or seems to have.
    size: usize,
    /// How many lines came before.
    lines: usize,
}

/// A block and what is made of it.
#[derive(Default)]
struct Part<P> {
    block: Block,
    made: P,
    lines: usize,
    fault: Option<Fault>,
}

/// What is wrong with a block.
#[derive(Debug)]
enum Fault {
    Unreadable(io::Error),
    /// Where the block begins, and where in it.
    NotUtf8(u64, utf8::Fault),
    /// Number of the line in its block, the field asked for, and what is wrong.
    Json(usize, String, jsonl::Fault),
}

impl<R: Read + Send> TextFile<R> {
    /// Reads `source`, of about `size` bytes; `name` is what errors call it.
    pub fn new(source: R, size: usize, name: String, layout: Layout) -> Self {
        Self { name, blocks: Blocks::new(source, layout.separator.clone()), layout, size, lines: 0 }
    }

    /// Appends a row of ids for each of the next texts, of about `limit` bytes in all; false if they were the last.
    ///
    /// # Errors
    /// As [`TextFile::fold`].
    pub fn encode(&mut self, encoder: &Encoder, threads: usize, limit: usize, rows: &mut Rows) -> Result<bool> {
        let work = |texts: &mut dyn Iterator<Item = &str>, whole: Option<&str>, rows: &mut Rows| {
            encoder.with_worker(|worker| match whole {
                Some(whole) => encoder.encode_within(whole, texts, worker, &mut rows.ids, &mut rows.ends),
                None => encoder.encode(texts, worker, &mut rows.ids, &mut rows.ends),
            });
        };
        rows.reserve(limit.min(self.size));
        self.fold(threads, limit, rows, work, Rows::take)
    }

    /// Runs `work` on the next texts, block by block, of about `limit` bytes in all; false if they were the last.
    ///
    /// `work` is given the block, too, if the texts lie in it. What it makes of a block is joined with `all` by `join`, in
    /// order, which leaves an empty part behind; on one thread, `work` adds to `all` itself.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::NotUtf8`], [`Error::NotJson`], [`Error::NoText`]; `all` then has what came before
    /// the block at fault.
    pub fn fold<P: Default + Send>(
        &mut self,
        threads: usize,
        limit: usize,
        all: &mut P,
        work: impl Fn(&mut dyn Iterator<Item = &str>, Option<&str>, &mut P) + Sync,
        join: impl Fn(&mut P, &mut P) + Sync,
    ) -> Result<bool> {
        let Self { name, layout, blocks, size, lines } = self;
        let (mut taken, failed, mut error) = (0, AtomicBool::new(false), None);
        let mut next = |part: &mut Part<P>| {
            if taken >= limit || failed.load(Ordering::Relaxed) {
                return false;
            }
            let more = blocks.next(&mut part.block);
            taken += part.block.bytes().len();
            more.unwrap_or_else(|reason| {
                part.fault = Some(Fault::Unreadable(reason));
                true
            })
        };
        let work = |part: &mut Part<P>| {
            let Part { block, made, lines, fault } = part;
            if fault.is_none() {
                match layout.visit(block, |texts, whole| work(texts, whole, made)) {
                    Ok(count) => *lines = count,
                    Err(found) => *fault = Some(found),
                }
            }
            failed.fetch_or(fault.is_some(), Ordering::Relaxed);
        };
        // Whether all is well so far.
        let mut settle = |part: &mut Part<P>| {
            if error.is_none() {
                error = part.fault.take().map(|fault| fault.into_error(name, *lines));
                *lines += part.lines;
            }
            error.is_none()
        };
        let threads = thread_count(threads, limit.min(*size));
        if threads <= 1 {
            let mut part = Part { made: std::mem::take(all), ..Part::default() };
            while next(&mut part) {
                work(&mut part);
                settle(&mut part);
            }
            *all = part.made;
        } else {
            stream(threads, next, work, |part: &mut Part<P>| {
                if settle(part) {
                    join(all, &mut part.made);
                }
            });
        }
        error.map_or_else(|| Ok(!self.blocks.ended()), Err)
    }

    /// Leaves out the next `texts` texts; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Unreadable`] or [`Error::NotUtf8`].
    pub fn skip(&mut self, texts: usize) -> Result<usize> {
        let (mut block, mut skipped) = (Block::default(), 0);
        while skipped < texts {
            let more = self.blocks.next(&mut block).map_err(Fault::Unreadable);
            let text = more.and_then(|more| more.then(|| check(&block)).transpose());
            let Some(text) = text.map_err(|fault| fault.into_error(&self.name, self.lines))? else { break };
            let rest = self.layout.parts(text, |parts| {
                for part in parts {
                    if skipped == texts {
                        return Some(part);
                    }
                    self.lines += 1;
                    skipped += usize::from(self.layout.holds_text(part));
                }
                None
            });
            if let Some(rest) = rest {
                self.blocks.put_back(&block, rest.as_ptr().addr() - text.as_ptr().addr());
            }
        }
        Ok(skipped)
    }
}

impl Layout {
    /// A file that is one text.
    #[must_use]
    pub fn whole() -> Self {
        Self { separator: None, field: None }
    }

    /// Texts with a separator between them; None if it is empty.
    #[must_use]
    pub fn separated(separator: &str) -> Option<Self> {
        Separator::new(separator).map(|separator| Self { separator: Some(separator), field: None })
    }

    /// A JSON object a line, the text in the field of this name; blank lines are no texts.
    #[must_use]
    pub fn json(field: String) -> Self {
        Self { separator: Separator::new("\n"), field: Some(field) }
    }

    /// Hands what separators stand between to `work`.
    fn parts<'t, T>(&self, text: &'t str, work: impl FnOnce(&mut dyn Iterator<Item = &'t str>) -> T) -> T {
        match &self.separator {
            Some(separator) => work(&mut separator.split(text)),
            None => work(&mut std::iter::once(text)),
        }
    }

    fn holds_text(&self, part: &str) -> bool {
        self.field.is_none() || !part.trim().is_empty()
    }

    /// Hands the texts of a block to `work`; returns the number of its lines if they count.
    fn visit(
        &self,
        block: &Block,
        work: impl FnOnce(&mut dyn Iterator<Item = &str>, Option<&str>),
    ) -> Result<usize, Fault> {
        let text = check(block)?;
        let Some(field) = &self.field else {
            self.parts(text, |texts| work(texts, Some(text)));
            return Ok(0);
        };
        let (mut texts, mut lines) = (Vec::new(), 0);
        self.parts(text, |parts| {
            for line in parts {
                if self.holds_text(line) {
                    texts.push(jsonl::text(line, field).map_err(|fault| Fault::Json(lines, field.clone(), fault))?);
                }
                lines += 1;
            }
            Ok(())
        })?;
        work(&mut texts.iter().map(|text| &**text), None);
        Ok(lines)
    }
}

fn check(block: &Block) -> Result<&str, Fault> {
    utf8::check(block.bytes()).map_err(|fault| Fault::NotUtf8(block.offset, fault))
}

impl Fault {
    fn into_error(self, name: &str, lines: usize) -> Error {
        let file = name.to_owned();
        match self {
            Self::Unreadable(reason) => Error::Unreadable { file, reason: reason.to_string() },
            Self::NotUtf8(offset, utf8::Fault { offset: at, byte }) => {
                Error::NotUtf8 { file, byte, offset: offset + at as u64 }
            }
            Self::Json(line, _, jsonl::Fault::NotJson(reason)) => {
                Error::NotJson { file, line: lines + line + 1, reason }
            }
            Self::Json(line, field, jsonl::Fault::NoText(found)) => {
                Error::NoText { file, line: lines + line + 1, field, found }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time, and an error where there is a null byte.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.first() == Some(&0) {
                return Err(io::Error::other("broken"));
            }
            let end = self.0.iter().skip(1).position(|&b| b == 0).map_or(self.0.len(), |at| at + 1);
            let len = end.min(3).min(buffer.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn file<'b>(bytes: &'b [u8], layout: &Layout) -> TextFile<Slow<'b>> {
        TextFile::new(Slow(bytes), bytes.len(), "file".into(), layout.clone())
    }

    /// All texts, read in calls of `limit` bytes, after `skip` of them.
    fn texts(bytes: &[u8], layout: &Layout, skip: usize, threads: usize, limit: usize) -> (Vec<String>, Option<Error>) {
        let (mut file, mut all) = (file(bytes, layout), Vec::new());
        if let Err(error) = file.skip(skip) {
            return (all, Some(error));
        }
        let work = |texts: &mut dyn Iterator<Item = &str>, _: Option<&str>, all: &mut Vec<String>| {
            all.extend(texts.map(str::to_owned));
        };
        loop {
            match file.fold(threads, limit, &mut all, work, Vec::append) {
                Ok(true) => {}
                Ok(false) => return (all, None),
                Err(error) => return (all, Some(error)),
            }
        }
    }

    fn layout(separator: &str) -> Layout {
        Layout::separated(separator).unwrap_or_else(Layout::whole)
    }

    proptest! {
        #[test]
        fn blocks_threads_and_limits_change_nothing(
            whole in "([ab]|\\n|\r|é){0,60}", separator in "(|\n|\n\n|a|aba)", threads in 1usize..4, limit in 1usize..40, skip in 0usize..9,
        ) {
            let layout = layout(&separator);
            let want: Vec<String> = match &layout.separator {
                Some(separator) => separator.split(&whole).map(str::to_owned).collect(),
                None => vec![whole.clone()],
            };
            let (found, error) = texts(whole.as_bytes(), &layout, skip, threads, limit);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&found[..], &want[skip.min(want.len())..]);
        }

        #[test]
        fn the_first_error_wins(lines in prop::collection::vec(0usize..12, 1..30), threads in 1usize..4) {
            // Good lines, blank ones, and three kinds of bad ones.
            let line = |kind: usize| match kind {
                0 => b"x".to_vec(),
                1 => b"{}".to_vec(),
                2 => b"\xFF".to_vec(),
                3 => b" ".to_vec(),
                n => format!("{{\"t\": \"{n}\"}}").into_bytes(),
            };
            let bytes = lines.iter().map(|&kind| line(kind)).collect::<Vec<_>>().join(&b'\n');
            let layout = Layout::json("t".into());
            let (found, error) = texts(&bytes, &layout, 0, threads, 1000);
            // A block is checked for UTF-8 before it is parsed.
            let kinds = error.as_ref().map(|error| match error {
                Error::NotJson { line, .. } => (0, *line),
                Error::NoText { line, .. } => (1, *line),
                _ => (2, 0),
            });
            let bad = lines.iter().position(|&kind| kind < 3);
            prop_assert_eq!(kinds.is_some(), bad.is_some());
            if let (Some((kind @ 0..2, line)), Some(bad)) = (kinds, bad) {
                prop_assert_eq!((kind, line), (lines[bad], bad + 1));
            }
            let good: Vec<_> = lines.iter().take(bad.unwrap_or(99)).filter(|&&kind| kind > 3).map(usize::to_string).collect();
            prop_assert!(good.starts_with(&found) && (bad.is_some() || good == found));
        }
    }

    #[test]
    fn errors_say_where() {
        let whole = layout("\n");
        for threads in [1, 2] {
            let say = |bytes: &[u8], layout: &Layout| {
                texts(bytes, layout, 0, threads, 99).1.map_or(String::new(), |error| error.to_string())
            };
            assert!(say("ab\né中 \n\n\n\n\n".as_bytes(), &whole).is_empty());
            assert!(say(b"good line\nanother\n\xC3", &whole).contains("byte 0xc3 at offset 18;"));
            assert!(say(b"good line\nanother\n\0", &whole).starts_with("cannot read file: broken;"));
            assert!(say(b"{\"t\": \"a\"}\n\n[]", &Layout::json("t".into())).starts_with("file, line 3 has no text in"));
        }
    }

    #[test]
    fn an_empty_file_has_no_texts_or_one_empty_text() {
        assert_eq!(texts(b"", &layout("\n"), 0, 1, 9), (vec![], None));
        assert_eq!(texts(b"", &Layout::whole(), 0, 1, 9), (vec![String::new()], None));
        assert_eq!(texts(b"", &Layout::whole(), 1, 1, 9), (vec![], None));
    }
}
