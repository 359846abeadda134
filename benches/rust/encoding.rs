//! The stages of encoding, each on its own: `cargo bench -p tei-benches [-- NAME]`.
//!
//! Rates are bytes of text a second. `TEI_BENCH_TEXT` names a file to measure with instead of made-up text.
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tei_benches::{UNCASED, added_tokens, encoder, lines, uncased, vocabulary};
use tei_core::added_tokens::AddedTokens;
use tei_core::machine::Baseline;
use tei_core::packed::PackedWord;
use tei_core::scanner::{Found, Scanner, Scratch, Words};
use tei_core::trie::Trie;
use tei_core::word_cache::WordCache;

const KINDS: [&str; 3] = ["English", "accents", "Chinese"];

/// Runs `call` on the lines of each kind.
fn each_kind(criterion: &mut Criterion, stage: &str, mut call: impl FnMut(&[String])) {
    let mut group = criterion.benchmark_group(stage);
    for kind in KINDS {
        let lines = lines(kind);
        group.throughput(Throughput::Bytes(lines.iter().map(|line| line.len() as u64).sum()));
        group
            .bench_with_input(BenchmarkId::from_parameter(kind), &lines, |bencher, lines| bencher.iter(|| call(lines)));
    }
    group.finish();
}

#[derive(Default)]
struct Count(usize);

impl Words for Count {
    fn take(&mut self, found: Found<'_>) {
        self.0 += found.len();
    }
}

fn scanner(criterion: &mut Criterion) {
    let (scanner, mut scratch) = (Scanner::new(UNCASED), Scratch::default());
    each_kind(criterion, "scanner", |lines| {
        let mut words = Count::default();
        scanner.scan(lines.iter().map(String::as_str), &mut scratch, &mut words);
        black_box(words.0);
    });
}

fn normalizer(criterion: &mut Criterion) {
    each_kind(criterion, "normalizer, exact", |lines| {
        for line in lines {
            black_box(UNCASED.normalize(line, 0));
        }
    });
}

/// The words of the lines; a word is what a blank or an ideograph ends.
fn words(kind: &str) -> Vec<String> {
    let mut words = Vec::new();
    lines(kind).iter().for_each(|line| Scanner::new(UNCASED).scan_exactly(line, |word| words.push(word.to_owned())));
    words
}

fn cache(criterion: &mut Criterion) {
    let words: Vec<_> = words("English").iter().filter_map(|word| PackedWord::new(word.as_bytes())).collect();
    let mut cache = WordCache::new(16, 1, 1 << 16);
    for &word in &words {
        let place = cache.pairs().prefetch::<true>(word);
        cache.insert(word, place, &[1, 2]);
    }
    let mut group = criterion.benchmark_group("cache");
    group.throughput(Throughput::Elements(words.len() as u64));
    group.bench_function("hits", |bencher| {
        bencher.iter(|| {
            let pairs = cache.pairs();
            words
                .iter()
                .filter(|word| pairs.get::<Baseline, true>(**word, pairs.prefetch::<true>(**word)).is_some())
                .count()
        });
    });
    group.finish();
}

fn trie(criterion: &mut Criterion) {
    let (trie, mut pieces) = (Trie::new(&vocabulary()), Vec::new());
    let mut group = criterion.benchmark_group("trie");
    for kind in KINDS {
        let words = words(kind);
        group.throughput(Throughput::Elements(words.len() as u64));
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                for word in &words {
                    pieces.clear();
                    black_box(trie.segment(word.as_bytes(), &mut pieces));
                }
            });
        });
    }
    group.finish();
}

fn added(criterion: &mut Criterion) {
    for count in [5, 500] {
        let added = AddedTokens::new(added_tokens(count), &uncased()).expect("sound tokens");
        each_kind(criterion, &format!("added tokens, {count}"), |lines| {
            for line in lines {
                added.split_raw(line, |segment| {
                    black_box(segment);
                });
            }
        });
    }
}

fn whole(criterion: &mut Criterion) {
    let encoder = encoder(added_tokens(5));
    let (mut ids, mut ends) = (Vec::new(), Vec::new());
    each_kind(criterion, "encoder", |lines| {
        ids.clear();
        ends.clear();
        encoder.with_worker(|worker| encoder.encode(lines.iter().map(String::as_str), worker, &mut ids, &mut ends));
    });
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = scanner, normalizer, cache, trie, added, whole }
criterion_main!(benches);
