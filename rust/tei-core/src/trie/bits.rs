//! Sets of 256 nodes or bytes as bits, and where in a block a set of labels has room.

/// Size of a block, and of a set.
pub const BLOCK: u32 = 256;

/// A set of numbers below [`BLOCK`].
pub type Bits = [u64; 4];

/// Puts a member in.
pub fn set(bits: &mut Bits, i: u32) {
    bits[(i / 64) as usize] |= 1 << (i % 64);
}

/// Whether there is any member.
pub fn has_room(bits: &Bits) -> bool {
    *bits != Bits::default()
}

/// All members in order.
pub fn ones(bits: &Bits) -> impl Iterator<Item = u32> + use<> {
    let bits = *bits;
    (0..BLOCK).filter(move |i| bits[(i / 64) as usize] >> (i % 64) & 1 == 1)
}

/// Some `x` for which `x ^ label` is free for every label.
pub fn first_fit(free: &Bits, labels: &Bits) -> Option<u32> {
    if let (Some(label), Some(place)) = (only(labels), first(free)) {
        // Most nodes have one child, which fits wherever there is room.
        return Some(label ^ place);
    }
    let mut fits = [u64::MAX; 4];
    for (word, bits) in labels.iter().enumerate() {
        let mut bits = *bits;
        while bits != 0 {
            let label = word as u32 * 64 + bits.trailing_zeros();
            bits &= bits - 1;
            let moved = xor_permuted(free, label);
            fits.iter_mut().zip(moved).for_each(|(fit, moved)| *fit &= moved);
        }
    }
    first(&fits)
}

/// The smallest member.
pub fn first(bits: &Bits) -> Option<u32> {
    let word = bits.iter().position(|&word| word != 0)?;
    Some(word as u32 * 64 + bits[word].trailing_zeros())
}

/// The member of a set that has just one.
pub fn only(bits: &Bits) -> Option<u32> {
    let count: u32 = bits.iter().map(|word| word.count_ones()).sum();
    first(bits).filter(|_| count == 1)
}

/// The set with every member `i` moved to `i ^ label`: words change places, and within a word runs of bits do.
pub fn xor_permuted(set: &Bits, label: u32) -> Bits {
    const LOW: [u64; 6] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0F0F_0F0F_0F0F_0F0F,
        0x00FF_00FF_00FF_00FF,
        0x0000_FFFF_0000_FFFF,
        0x0000_0000_FFFF_FFFF,
    ];
    let words = label as usize / 64;
    std::array::from_fn(|i| {
        let mut word = set[i ^ words];
        for (bit, low) in LOW.iter().enumerate().filter(|(bit, _)| label >> bit & 1 == 1) {
            word = (word & low) << (1 << bit) | word >> (1 << bit) & low;
        }
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutes_by_exclusive_or() {
        let mut bits = Bits::default();
        [0, 3, 70, 255].iter().for_each(|&i| set(&mut bits, i));
        for label in 0..BLOCK {
            let mut want = Bits::default();
            ones(&bits).for_each(|i| set(&mut want, i ^ label));
            assert_eq!(xor_permuted(&bits, label), want, "{label}");
        }
    }
}
