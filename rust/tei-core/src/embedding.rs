//! Embedding rows.
use crate::{Error, Result, TokenId};

/// A matrix of embedding rows in id order.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `dim` values each, one after the other.
    ///
    /// # Errors
    /// [`Error::RowsMismatch`] if there are fewer rows than tokens, [`Error::RowNotFinite`] if a value of theirs is.
    pub fn new(values: &'a [f32], dim: usize, tokens: usize) -> Result<Self> {
        let rows = values.len().checked_div(dim).unwrap_or(0);
        if rows < tokens {
            return Err(Error::RowsMismatch { rows, tokens });
        }
        // A row at a time and without a way out, the compiler takes many values at once.
        let is_bad = |row: &[f32]| row.iter().fold(false, |bad, value| bad | !value.is_finite());
        match values[..tokens * dim].chunks(dim.max(1)).enumerate().find(|(_, row)| is_bad(row)) {
            Some((row, values)) => {
                let value = values.iter().find(|value| !value.is_finite()).map(ToString::to_string);
                Err(Error::RowNotFinite { row, value: value.unwrap_or_default() })
            }
            None => Ok(Self { values, dim }),
        }
    }

    /// Number of values of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The row of a token.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn row(&self, id: TokenId) -> &'a [f32] {
        &self.values[id as usize * self.dim..][..self.dim]
    }
}

/// Eight sums side by side, which the compiler makes one register.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f32; 8];
    let (a_parts, b_parts) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum::<f32>();
    for (x, y) in a_parts.zip(b_parts) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + f64::from(rest)
}
