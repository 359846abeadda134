//! Bits beside folded text, for words that need no blanks around them.

/// For each byte of folded text two bits: whether it belongs to a word that stands apart, and whether one begins there.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    apart: Vec<u64>,
    first: Vec<u64>,
    any: bool,
}

impl Marks {
    /// Whether any bit is set.
    #[inline(always)]
    #[must_use]
    pub fn any(&self) -> bool {
        self.any
    }

    /// The bits of 64 bytes: those of words that stand apart, and the first of each.
    #[inline(always)]
    #[must_use]
    pub fn block(&self, i: usize) -> (u64, u64) {
        (self.apart[i], self.first[i])
    }

    /// Whether a byte belongs to a word that stands apart.
    #[inline]
    #[must_use]
    pub(super) fn is_apart(&self, at: usize) -> bool {
        self.any && self.apart[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets bits of the 64 bytes from `at` on.
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize, apart: u64, first: u64) {
        for (all, bits) in [(&mut self.apart, apart), (&mut self.first, first)] {
            all[at / 64] |= bits << (at % 64);
            all[at / 64 + 1] |= bits >> 1 >> (63 - at % 64);
        }
        self.any |= apart != 0;
    }

    /// Takes all bits away; they are of the first `bytes`.
    pub(super) fn clear(&mut self, bytes: usize) {
        if self.any {
            self.apart[..=bytes / 64].fill(0);
            self.first[..=bytes / 64].fill(0);
            self.any = false;
        }
    }

    /// Room for the bits of so many bytes, and of a block behind them.
    pub(super) fn make_room(&mut self, bytes: usize) {
        self.apart.resize(bytes / 64 + 2, 0);
        self.first.resize(bytes / 64 + 2, 0);
    }
}
