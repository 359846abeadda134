//! What 64-bit ARM has.
use std::arch::aarch64::{vandq_u8, vcltzq_s8, vgetq_lane_u64, vld1q_s8, vld1q_u8, vpaddq_u8, vreinterpretq_u64_u8};

use super::{BLOCK, Machine};

/// For every 64-bit ARM: NEON is part of it, so that compilers make vectors of all loops; only masks are written out.
#[derive(Debug)]
pub struct Neon;

/// The bit of each byte among eight.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

impl Machine for Neon {
    #[inline(always)]
    fn mask(flags: &[u8; BLOCK]) -> u64 {
        // SAFETY: 16 bytes from 16 i on lie in the block, and NEON is part of every 64-bit ARM.
        unsafe {
            let bits = vld1q_u8(BITS.as_ptr());
            let quarter = |i: usize| vandq_u8(vcltzq_s8(vld1q_s8(flags.as_ptr().add(16 * i).cast())), bits);
            // Neighbours are added up three times: eight bits become a byte.
            let halves = vpaddq_u8(vpaddq_u8(quarter(0), quarter(1)), vpaddq_u8(quarter(2), quarter(3)));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(halves, halves)))
        }
    }
}
