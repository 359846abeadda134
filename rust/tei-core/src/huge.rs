//! Large tables on huge pages: random access to a table of megabytes otherwise waits for the page tables, too.
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The size of a huge page where it matters; elsewhere only an alignment.
const PAGE: usize = 2 << 20;

/// A table of fixed length that lies on huge pages where the system grants them.
pub struct Huge<T> {
    items: NonNull<T>,
    len: usize,
}

// SAFETY: a table owns its items, as a box does.
unsafe impl<T: Send> Send for Huge<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Huge<T> {}

impl<T: Copy> Huge<T> {
    /// A table of `len` items (at least one), all equal to `item`.
    #[must_use]
    pub fn new(item: T, len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let Some(items) = NonNull::new(unsafe { alloc(layout) }.cast::<T>()) else { handle_alloc_error(layout) };
        advise(items.as_ptr(), layout.size());
        for i in 0..len {
            // SAFETY: `len` items fit into the allocation.
            unsafe { items.add(i).write(item) };
        }
        Self { items, len }
    }
}

/// Makes room for `additional` more items, on huge pages if there are many: filling small ones takes twice as long.
pub fn reserve<T>(items: &mut Vec<T>, additional: usize) {
    items.reserve(additional);
    let spare = items.spare_capacity_mut();
    advise(spare.as_ptr(), size_of_val(spare));
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
    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1) * size_of::<T>(), PAGE).unwrap_or(Layout::new::<T>())
    }
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
        // SAFETY: allocated in `new` with the same layout; items are `Copy` and need no drop of their own.
        unsafe { dealloc(self.items.as_ptr().cast(), Self::layout(self.len)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_is_written() {
        let mut table = Huge::new(7_u64, 1_000);
        table[999] = 3;
        assert_eq!((table.len(), table[0], table[998], table[999]), (1_000, 7, 7, 3));
    }
}
