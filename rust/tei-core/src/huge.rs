//! Large tables on huge pages: random access to a table of megabytes otherwise waits for the page tables, too.
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The size of a huge page where it matters; elsewhere only an alignment.
const PAGE: usize = 2 << 20;

/// A value may be all zeros.
///
/// # Safety
/// Zero bytes must be a value of the type.
pub unsafe trait Zero: Copy {}

// SAFETY: zero items are zero bytes.
unsafe impl<T: Zero, const N: usize> Zero for [T; N] {}

/// A table of fixed length that lies on huge pages where the system grants them.
pub struct Huge<T> {
    start: NonNull<u8>,
    items: NonNull<T>,
    len: usize,
}

// SAFETY: a table owns its items, as a box does.
unsafe impl<T: Send> Send for Huge<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Huge<T> {}

impl<T: Zero> Huge<T> {
    /// A table of `len` items (at least one), all zero: the system makes them so when they are touched.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let layout = Self::layout(len);
        let Some(start) = NonNull::new(memory(layout)) else { handle_alloc_error(layout) };
        let skipped = start.align_offset(Self::align(len));
        // SAFETY: the layout has room for skipping so many bytes, which make the address one of items.
        let items: NonNull<T> = unsafe { start.add(skipped) }.cast();
        advise(items.as_ptr().cast_const(), len * size_of::<T>());
        Self { start, items, len }
    }
}

/// Makes room for `additional` more items, on huge pages if there are many: filling small ones takes twice as long.
pub fn reserve<T>(items: &mut Vec<T>, additional: usize) {
    items.reserve(additional);
    let spare = items.spare_capacity_mut();
    advise(spare.as_ptr(), size_of_val(spare));
}

/// From so many bytes of room on, what is written first will have left the caches before the last is.
#[cfg(any(test, target_arch = "x86_64"))]
const PAST_CACHES: usize = 8 << 20;

/// Moves all of `part` to the end of `items`, past the caches if there is room for much: their lines would be fetched only to
/// be overwritten. Two threads encode 20 MB in 2 to 5 % less time, also if the ids are read right after that.
pub fn append(items: &mut Vec<u32>, part: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    if items.capacity() >= PAST_CACHES / size_of::<u32>() {
        items.reserve(part.len());
        stream(part, &mut items.spare_capacity_mut()[..part.len()]);
        // SAFETY: so many items were written.
        unsafe { items.set_len(items.len() + part.len()) };
        return part.clear();
    }
    items.append(part);
}

/// Copies all items past the caches.
#[cfg(target_arch = "x86_64")]
fn stream(from: &[u32], to: &mut [std::mem::MaybeUninit<u32>]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    assert_eq!(from.len(), to.len());
    // SAFETY: four places of items make one of a vector.
    let (head, blocks, tail) = unsafe { to.align_to_mut::<std::mem::MaybeUninit<__m128i>>() };
    let (first, rest) = from.split_at(head.len());
    let (middle, last) = rest.split_at(4 * blocks.len());
    head.write_copy_of_slice(first);
    for (to, from) in blocks.iter_mut().zip(middle.as_chunks::<4>().0) {
        // SAFETY: both are 16 bytes, the target is aligned, and SSE2 is part of every x86-64.
        unsafe { _mm_stream_si128(to.as_mut_ptr(), _mm_loadu_si128(from.as_ptr().cast())) };
    }
    tail.write_copy_of_slice(last);
    // SAFETY: part of every x86-64; other threads see what was written once they are told of it.
    unsafe { _mm_sfence() };
}

/// Asks for huge pages within `size` bytes from `start` on, before the first touch: pages in use are not changed.
fn advise<T>(start: *const T, size: usize) {
    let skipped = start.cast::<u8>().align_offset(PAGE);
    #[cfg(target_os = "linux")]
    if let Some(rest @ 1..) = size.checked_sub(skipped).map(|rest| rest / PAGE * PAGE) {
        // SAFETY: the advice concerns whole pages of memory of the caller only, and changes no content.
        unsafe { libc::madvise(start.cast_mut().wrapping_byte_add(skipped).cast(), rest, libc::MADV_HUGEPAGE) };
    }
}

impl<T> Huge<T> {
    /// What items begin at a multiple of.
    fn align(len: usize) -> usize {
        if len * size_of::<T>() < PAGE { align_of::<T>() } else { PAGE }
    }

    /// With room to align within: whoever asks for zeros that are aligned gets memory that is written.
    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1) * size_of::<T>() + Self::align(len), 1).unwrap_or(Layout::new::<T>())
    }
}

/// Zeros, straight from the system if there are many: an allocator gives what was in use before, and writes all of it.
fn memory(layout: Layout) -> *mut u8 {
    #[cfg(unix)]
    if layout.size() >= PAGE {
        let (read, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, nobody else's.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), layout.size(), read, private, -1, 0) };
        return if start == libc::MAP_FAILED { std::ptr::null_mut() } else { start.cast() };
    }
    // SAFETY: no layout of a table is empty.
    unsafe { alloc_zeroed(layout) }
}

/// Gives back what [`memory`] gave for this layout.
fn give_back(start: *mut u8, layout: Layout) {
    #[cfg(unix)]
    if layout.size() >= PAGE {
        // SAFETY: mapped as a whole, with this size.
        unsafe { libc::munmap(start.cast(), layout.size()) };
        return;
    }
    // SAFETY: allocated with this layout.
    unsafe { dealloc(start, layout) };
}

impl<T> Deref for Huge<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: all `len` items are initialized.
        unsafe { std::slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Huge<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.items.as_ptr(), self.len) }
    }
}

impl<T> std::fmt::Debug for Huge<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Huge").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T> Drop for Huge<T> {
    fn drop(&mut self) {
        // Items are `Copy` and need no drop of their own.
        give_back(self.start.as_ptr(), Self::layout(self.len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: integers may be zero.
    unsafe impl Zero for u64 {}

    #[test]
    fn holds_what_is_written() {
        for len in [1, 1_000, 1_000_000] {
            let mut table = Huge::<[u64; 2]>::zeros(len);
            table[len - 1] = [3, 4];
            assert_eq!(table.iter().flatten().sum::<u64>(), 7);
            assert_eq!(table.as_ptr().addr() % Huge::<[u64; 2]>::align(len), 0);
        }
    }

    #[test]
    fn what_is_appended_follows_what_was_there() {
        for room in [0, PAST_CACHES / 4] {
            let (mut items, mut want) = (Vec::with_capacity(room), Vec::new());
            for count in (0..70).chain([4_099, 2 << 20]) {
                let mut part: Vec<u32> = (count..2 * count).collect();
                want.extend_from_slice(&part);
                append(&mut items, &mut part);
                assert!(part.is_empty() && items == want, "{count} items");
            }
        }
    }
}
