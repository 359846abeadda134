//! Runs of pieces that could become one token, with the tokens each would save, kept up to date word by word.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::segmentation::Segmentation;
use crate::vocabulary::Position;
use crate::word_counts::hash;

/// What a token to be spells, and where.
pub(crate) type Candidate<'a> = (&'a [u8], Position);
/// Candidates by gain, the lesser string first among equals.
pub(crate) type Heap<'a> = BinaryHeap<(u64, Reverse<Candidate<'a>>)>;

/// A candidate, as a place in the text of all words.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    len: u32,
    position: Position,
    /// Tokens that it would save if no two of its places overlapped.
    gain: u64,
    /// The gain that it is in the heap with.
    queued: u64,
}

impl Run {
    fn candidate<'a>(&self, text: &'a [u8]) -> Candidate<'a> {
        (&text[self.start..self.start + self.len as usize], self.position)
    }
}

/// What will be undone.
#[derive(Clone, Debug, Default)]
struct Journal {
    /// Gains before they changed.
    gains: Vec<(u32, u64)>,
    /// What was taken from the heap.
    lifted: Vec<(u64, u32)>,
}

/// Half a hash on all bits, by the golden ratio.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// All runs of pieces of some words.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    runs: Vec<Run>,
    /// Numbers of runs with half their hash: a table that doubles does not have to look at the text.
    index: HashTable<(u32, u32)>,
    /// Gains with the number of the run; those that are no longer right are left over.
    heap: BinaryHeap<(u64, u32)>,
    /// Runs whose gain has changed since the heap was made.
    touched: Vec<u32>,
    /// Class of the pieces after the first.
    later: Position,
    /// Greatest number of pieces in a run.
    max_pieces: usize,
    cuts: Vec<usize>,
    journal: Option<Journal>,
}

impl Candidates {
    /// The runs of at most `max_pieces` pieces of all words.
    pub fn new(words: &Segmentation, later: Position, max_pieces: usize) -> Self {
        let mut candidates = Self {
            runs: Vec::new(),
            index: HashTable::with_capacity(words.counts.len()),
            heap: BinaryHeap::new(),
            touched: Vec::new(),
            later,
            max_pieces,
            cuts: Vec::new(),
            journal: None,
        };
        (0..words.counts.len() as u32).for_each(|i| candidates.add(words, i, words.count(i)));
        candidates.rebuild();
        candidates
    }

    /// Takes away the runs of all occurrences of a word.
    pub fn subtract(&mut self, words: &Segmentation, i: u32) {
        self.add(words, i, words.count(i).wrapping_neg());
    }

    /// Adds the runs of `count` occurrences of a word.
    pub fn add(&mut self, words: &Segmentation, i: u32, count: u64) {
        if words.is_broken(i) || words.len_of(i) < 2 {
            return;
        }
        let (start, len) = (words.counts.start(i as usize), words.counts.bytes(i as usize).len());
        let mut cuts = std::mem::take(&mut self.cuts);
        cuts.clear();
        cuts.extend(words.located(i).map(|(_, at)| at).chain([len]));
        for (first, &from) in cuts.iter().enumerate() {
            let position = if first == 0 { Position::Initial } else { self.later };
            for (saved, &to) in cuts[first + 1..].iter().enumerate().take(self.max_pieces).skip(1) {
                let run = Run { start: start + from, len: (to - from) as u32, position, gain: 0, queued: 0 };
                let number = self.number(words.counts.text(), run);
                self.add_to(number, count.wrapping_mul(saved as u64));
            }
        }
        self.cuts = cuts;
    }

    fn number(&mut self, text: &[u8], run: Run) -> u32 {
        let Self { runs, index, .. } = self;
        let (surface, position) = run.candidate(text);
        let half = (hash(surface) >> 32) as u32 ^ position as u32;
        let same = |&(other, i): &(u32, u32)| other == half && runs[i as usize].candidate(text) == (surface, position);
        match index.entry(spread(half), same, |&(half, _)| spread(half)) {
            Entry::Occupied(found) => found.get().1,
            Entry::Vacant(free) => {
                let number = runs.len() as u32;
                free.insert((half, number));
                runs.push(run);
                number
            }
        }
    }

    fn add_to(&mut self, number: u32, gain: u64) {
        let run = &mut self.runs[number as usize];
        if let Some(journal) = &mut self.journal {
            journal.gains.push((number, run.gain));
        }
        if run.gain == run.queued {
            self.touched.push(number);
        }
        run.gain = run.gain.wrapping_add(gain);
    }

    /// Brings the heap up to date.
    pub fn settle(&mut self) {
        for number in std::mem::take(&mut self.touched) {
            let run = &mut self.runs[number as usize];
            if run.gain != run.queued {
                run.queued = run.gain;
                self.heap.extend((run.gain > 0).then_some((run.gain, number)));
            }
        }
        if self.heap.len() > 2 * self.runs.len() + 1_000 && self.journal.is_none() {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        self.touched.clear();
        self.runs.iter_mut().for_each(|run| run.queued = run.gain);
        let entries = self.runs.iter().zip(0..).map(|(run, number)| (run.gain, number));
        self.heap = entries.filter(|(gain, _)| *gain > 0).collect::<Vec<_>>().into();
    }

    /// Moves to `best` what may be the best there, if it is worth at least `least`; `text` is that of the words.
    ///
    /// This heap orders by gain alone, so all that are worth the same go together.
    pub fn lift<'a>(&mut self, text: &'a [u8], least: u64, best: &mut Heap<'a>) {
        let mut before = None;
        while let Some(&entry) = self.heap.peek()
            && entry.0 >= best.peek().map_or(least, |(gain, _)| least.max(*gain))
        {
            self.heap.pop();
            if before.replace(entry) == Some(entry) {
                continue;
            }
            let run = self.runs[entry.1 as usize];
            if run.gain == entry.0 {
                best.push((run.gain, Reverse(run.candidate(text))));
            }
            if let Some(journal) = &mut self.journal {
                journal.lifted.push(entry);
            }
        }
    }

    /// Begins a part that will be undone.
    pub fn begin(&mut self) {
        self.settle();
        self.journal = Some(Journal::default());
    }

    /// Puts gains and heap back as they were when the part began.
    pub fn undo(&mut self) {
        let Some(Journal { gains, lifted }) = self.journal.take() else { return };
        for (number, gain) in gains.into_iter().rev() {
            let run = &mut self.runs[number as usize];
            (run.gain, run.queued) = (gain, gain);
        }
        self.touched.clear();
        let right = |&(gain, number): &(u64, u32)| self.runs[number as usize].gain == gain;
        self.heap.extend(lifted.into_iter().filter(right));
        self.settle();
    }
}
