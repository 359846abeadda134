//! How often tokens are expected in more text of the same kind.
//!
//! New text of a kind uses tokens that a text of it lacks: where that is of 190 KB, they are 4 of 100. Which ones, embedding
//! rows tell, since they lie where those lie that it uses. A linear score of rows, fitted to that, and the place in the
//! vocabulary give the chance that a text of this size uses a token at all; if rates of use follow a gamma distribution with
//! that chance, the count then says how often a token comes again (Fisher, Corbet and Williams 1943, who fitted numbers of
//! species so). Vocabularies as large as the part that is used miss 6 to 12 % fewer tokens of new reviews, tweets and kernel
//! documentation, those one and a half times as large half as many.
use crate::TokenId;
use crate::embedding::{Rows, dot};
use crate::vocabulary::{Position, Vocabulary};

/// Words of general text that the order of the vocabulary stands for, at most half as many as the text has.
///
/// Of tokens that it has a few times, the order tells which are common: sentence vectors of tweets and reviews move 3 % less
/// at 2,000 tokens.
const PRIOR_WORDS: f64 = 20_000.0;
/// One over the shape of the distribution of rates. With 3 or 5, trimmed reviews are half a percent longer.
const INVERSE_SHAPE: i32 = 2;
/// Steps of conjugate gradients: as many again change nothing, with one the score is as good as the distance to a centroid.
const STEPS: usize = 2;
/// Steps of Newton's method at most.
const NEWTON: usize = 12;
/// Rows whose products are summed in single precision.
const BLOCK: usize = 256;
/// Rows that tell how much values vary.
const SAMPLE: usize = 512;
/// Tokens that scores and chances are fitted to, at most: with all 30,000, reviews trimmed to 4,000 are .2 % shorter, but a step
/// of the tracker takes a quarter longer.
const FITTED: usize = 4_096;
/// Numbers made of a token's score and place.
const FEATURES: usize = 6;

/// For each token its expected uses in as much text again, from those in this text, which has `words` words.
#[must_use]
pub fn forecast(vocabulary: &Vocabulary, uses: &[u64], words: u64, rows: Option<Rows>) -> Vec<f64> {
    let chances = rows.and_then(|rows| chances(vocabulary, uses, rows));
    let general = PRIOR_WORDS.min(words as f64 / 2.0);
    let expected = |(id, &count): (usize, &u64)| {
        let again = chances.as_ref().map_or(count as f64, |chances| again(count as f64, chances[id]));
        if count == 0 { again } else { again + general * share(vocabulary, id as TokenId) }
    };
    uses.iter().enumerate().map(expected).collect()
}

/// Expected uses of a token that has `count`, if one such as it is used at all by a share `chance` of texts.
fn again(count: f64, chance: f64) -> f64 {
    // The posterior mean of a rate from a gamma distribution of this shape whose draws are 0 for a share 1 − chance. What has
    // come often is what it is: there such a distribution, which spans few orders of magnitude, says too little.
    let kept = 1.0 - (1.0 - chance).powi(INVERSE_SHAPE);
    ((count + 1.0 / f64::from(INVERSE_SHAPE)) * kept).max(count - 1.0)
}

/// A word's share of general text: whole words only, by Zipf's law, since vocabularies number by falling frequency (of 10⁴ to
/// 10⁵ words, the n-th has about a share of 1 / 10 n).
fn share(vocabulary: &Vocabulary, id: TokenId) -> f64 {
    match vocabulary.surface(id) {
        (word, Position::Initial) if word.chars().all(char::is_alphabetic) => 0.1 / (f64::from(id) + 1.0),
        _ => 0.0,
    }
}

/// For each token the chance that a text of this size uses it; 1 or 0 for those that are no words, None if nothing can be told.
fn chances(vocabulary: &Vocabulary, uses: &[u64], rows: Rows) -> Option<Vec<f64>> {
    let usable = |&id: &TokenId| {
        let (text, _) = vocabulary.surface(id);
        text.chars().all(char::is_alphanumeric) || text.chars().nth(1).is_none()
    };
    let ids: Vec<TokenId> = (0..uses.len() as TokenId).filter(usable).collect();
    let is_used: Vec<bool> = ids.iter().map(|&id| uses[id as usize] > 0).collect();
    if !is_used.contains(&true) || !is_used.contains(&false) {
        return None;
    }
    let values = fitted_values(rows, &ids, &is_used);
    let scores = standardized(&ids.iter().map(|&id| dot(rows.row(id), &values)).collect::<Vec<_>>());
    let places = standardized(&ids.iter().map(|&id| f64::from(id + 1).ln()).collect::<Vec<_>>());
    let mut chances: Vec<_> = uses.iter().map(|&count| f64::from(u8::from(count > 0))).collect();
    let found = logistic(&scores, &places, &is_used);
    ids.iter().zip(found).for_each(|(&id, chance)| chances[id as usize] = chance);
    Some(chances)
}

/// What rows are multiplied by, so that products are higher for tokens that are used: some steps towards the least squares over
/// a part of the tokens, preconditioned by variances.
fn fitted_values(rows: Rows, ids: &[TokenId], is_used: &[bool]) -> Vec<f32> {
    let fitted = || ids.iter().zip(is_used).step_by(ids.len().div_ceil(FITTED));
    let part = |used: bool| fitted().filter(|pair| *pair.1 == used).map(|pair| *pair.0).collect::<Vec<_>>();
    let parts = [true, false].map(part);
    let [of_used, of_others] = [0, 1].map(|i| sum(rows, &parts[i], |_| 1.0));
    let (used, count) = (parts[0].len() as f64, (parts[0].len() + parts[1].len()) as f64);
    let mean: Vec<f64> = of_used.iter().zip(&of_others).map(|(a, b)| (a + b) / count).collect();
    let mut residual: Vec<f64> = of_used.iter().zip(&mean).map(|(sum, mean)| sum - used * mean).collect();
    let fitted: Vec<TokenId> = fitted().map(|pair| *pair.0).collect();
    let variances = variances(rows, &fitted, &mean);
    let scaled = |residual: &[f64]| -> Vec<f64> {
        residual.iter().zip(&variances).map(|(r, &v)| if v > f64::EPSILON { r / v } else { 0.0 }).collect()
    };
    let (mut direction, mut weights) = (scaled(&residual), vec![0.0; rows.dim()]);
    for _ in 0..STEPS {
        let narrow: Vec<f32> = direction.iter().map(|&x| x as f32).collect();
        let middle = inner(&direction, &mean);
        let image = sum(rows, &fitted, |row| (dot(row, &narrow) - middle) as f32);
        let before = inner(&residual, &scaled(&residual));
        let step = before / inner(&direction, &image);
        // Rows that are all alike say nothing, nor do those whose squares are not finite.
        if !step.is_finite() || step <= 0.0 {
            break;
        }
        weights.iter_mut().zip(&direction).for_each(|(weight, d)| *weight += step * d);
        residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= step * i);
        let next = scaled(&residual);
        let kept = inner(&residual, &next) / before;
        direction = next.iter().zip(&direction).map(|(n, d)| n + kept * d).collect();
    }
    weights.iter().map(|&weight| weight as f32).collect()
}

/// The variance of each value of a row, times the number of rows; by a sample of rows, since only a scale is needed.
fn variances(rows: Rows, ids: &[TokenId], mean: &[f64]) -> Vec<f64> {
    let (mut sums, apart) = (vec![0.0; rows.dim()], ids.len().div_ceil(SAMPLE));
    for &id in ids.iter().step_by(apart) {
        let row = rows.row(id).iter().zip(mean);
        sums.iter_mut().zip(row).for_each(|(sum, (&x, mean))| *sum += apart as f64 * (f64::from(x) - mean).powi(2));
    }
    sums
}

/// The sum of rows, each times its weight.
fn sum(rows: Rows, ids: &[TokenId], weight: impl Fn(&[f32]) -> f32) -> Vec<f64> {
    let (mut total, mut part) = (vec![0.0; rows.dim()], vec![0.0; rows.dim()]);
    for block in ids.chunks(BLOCK) {
        part.fill(0.0);
        for row in block.iter().map(|&id| rows.row(id)) {
            let weight = weight(row);
            part.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        }
        total.iter_mut().zip(&part).for_each(|(sum, part)| *sum += f64::from(*part));
    }
    total
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The same numbers with mean 0 and variance 1, or all 0.
fn standardized(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    values.iter().map(|value| (value - mean) * scale).collect()
}

/// Probabilities by logistic regression on score and place, their squares and their product, by Newton's method.
fn logistic(scores: &[f64], places: &[f64], is_used: &[bool]) -> Vec<f64> {
    let features = |i: usize| {
        let (score, place) = (scores[i], places[i]);
        [1.0, score, score * score, place, score * place, place * place]
    };
    let chance = |weights: &[f64; FEATURES], i: usize| 1.0 / (1.0 + (-inner(weights, &features(i))).exp());
    let mut weights = [0.0; FEATURES];
    for _ in 0..NEWTON {
        let (mut slope, mut curvature) = ([0.0; FEATURES], [[0.0; FEATURES]; FEATURES]);
        // A normal distribution of weights, so that they stay finite where used and unused tokens can be told apart.
        for j in 1..FEATURES {
            (slope[j], curvature[j][j]) = (-weights[j], 1.0);
        }
        for (i, &used) in is_used.iter().enumerate().step_by(is_used.len().div_ceil(FITTED)) {
            let (x, chance) = (features(i), chance(&weights, i));
            let (error, weight) = (f64::from(u8::from(used)) - chance, chance * (1.0 - chance));
            for j in 0..FEATURES {
                slope[j] += error * x[j];
                (0..=j).for_each(|k| curvature[j][k] += weight * x[j] * x[k]);
            }
        }
        let step = solved(curvature, slope);
        weights.iter_mut().zip(step).for_each(|(weight, step)| *weight += step);
        if step.iter().all(|step| step.abs() < 1e-3) {
            break;
        }
    }
    (0..scores.len()).map(|i| chance(&weights, i)).collect()
}

/// The solution of a system of equations with a symmetric positive matrix, of which the lower half is given, by Cholesky's
/// method.
fn solved(mut matrix: [[f64; FEATURES]; FEATURES], mut values: [f64; FEATURES]) -> [f64; FEATURES] {
    for i in 0..FEATURES {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - known;
            matrix[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / matrix[j][j] };
        }
        let known: f64 = (0..i).map(|k| matrix[i][k] * values[k]).sum();
        values[i] = (values[i] - known) / matrix[i][i];
    }
    for i in (0..FEATURES).rev() {
        let known: f64 = (i + 1..FEATURES).map(|k| matrix[k][i] * values[k]).sum();
        values[i] = (values[i] - known) / matrix[i][i];
    }
    values
}
