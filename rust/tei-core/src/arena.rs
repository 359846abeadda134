//! Memory of arrays, used again.
//!
//! A batch's arrays are of half a megabyte, which `malloc` gives back to the system as soon as they die: the first touch of
//! the next ones' pages then takes as long as encoding the texts. A few such blocks are kept for them instead.
use std::mem::MaybeUninit;
use std::sync::Mutex;

/// Blocks without an array, the last one freed last.
static FREE: Mutex<Vec<Block>> = Mutex::new(Vec::new());
/// Bytes that may lie there, in all.
const KEPT: usize = 8 << 20;
/// Smaller ones `malloc` keeps itself.
const LEAST: usize = 64 << 10;

/// Memory without content, aligned for any integer.
type Block = Box<[MaybeUninit<u64>]>;

fn size(block: &Block) -> usize {
    size_of_val::<[_]>(block)
}

/// A block of at least `bytes`, and not much more; None if the system has no memory for it.
fn take(bytes: usize) -> Option<Block> {
    let found = || {
        let mut free = FREE.try_lock().ok()?;
        let at = free.iter().rposition(|block| (bytes..=2 * bytes).contains(&size(block)))?;
        Some(free.swap_remove(at))
    };
    // Small arrays ask nobody.
    (bytes >= LEAST).then(found).flatten().or_else(|| new(bytes.div_ceil(8)))
}

fn new(len: usize) -> Option<Block> {
    let mut block = Vec::new();
    block.try_reserve_exact(len).ok()?;
    // SAFETY: there is room for all items, and they may be without a value.
    unsafe { block.set_len(len) };
    Some(block.into_boxed_slice())
}

/// Keeps a block in place of the oldest ones. A lock that is not free, after a fork perhaps never, is no reason to wait.
fn put(block: Block) {
    if !(LEAST..=KEPT).contains(&size(&block)) {
        return;
    }
    if let Ok(mut free) = FREE.try_lock() {
        free.push(block);
        while free.iter().map(size).sum::<usize>() > KEPT {
            free.remove(0);
        }
    }
}

/// An integer that arrays are made of.
pub trait Item: Copy + Send + Sync {
    /// Makes one; ids and types fit into each.
    fn from(value: impl Into<i64>) -> Self;
}

impl Item for i32 {
    #[inline]
    fn from(value: impl Into<i64>) -> Self {
        value.into() as Self
    }
}

impl Item for i64 {
    #[inline]
    fn from(value: impl Into<i64>) -> Self {
        value.into()
    }
}

/// Items of which each is written once, in memory that is used again.
#[derive(Debug)]
pub struct Array<T: Copy> {
    block: Option<Block>,
    len: usize,
    item: std::marker::PhantomData<T>,
}

impl<T: Copy> Array<T> {
    /// Makes `len` items; `write` must fill every place. None if the system has no memory for them.
    ///
    /// # Safety
    /// No place may be left unwritten.
    pub(crate) unsafe fn fill(len: usize, write: impl FnOnce(&mut [MaybeUninit<T>])) -> Option<Self> {
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        let mut block = take(len.checked_mul(size_of::<T>())?)?;
        // SAFETY: the block has room for `len` items, is aligned for them, and items without a value may be anything.
        write(unsafe { std::slice::from_raw_parts_mut(block.as_mut_ptr().cast(), len) });
        Some(Self { block: Some(block), len, item: std::marker::PhantomData })
    }
}

impl<T: Copy> std::ops::Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let start = self.block.as_ref().map_or(std::ptr::dangling(), |block| block.as_ptr().cast());
        // SAFETY: `fill` wrote `len` items.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl<T: Copy> Drop for Array<T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            put(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_memory_again() {
        // SAFETY: both fill all places.
        let array = |item| unsafe { Array::<i64>::fill(50_000, |places| places.fill(MaybeUninit::new(item))) };
        let array = |item| array(item).expect("little memory");
        let first = array(7);
        let start = first.as_ptr();
        assert!(first.len() == 50_000 && first.iter().all(|&item| item == 7));
        drop(first);
        let (second, third) = (array(8), array(9));
        assert_eq!(second.as_ptr(), start);
        assert!(second.iter().all(|&item| item == 8) && third.iter().all(|&item| item == 9));
        assert_ne!(third.as_ptr(), start);
    }

    #[test]
    fn too_much_memory_is_refused() {
        for len in [usize::MAX, usize::MAX / 8, isize::MAX.cast_unsigned() / 8] {
            // SAFETY: there are no places to fill.
            assert!(unsafe { Array::<i64>::fill(len, |_| unreachable!("no memory is that large")) }.is_none());
        }
    }
}
