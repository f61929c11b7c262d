//! The heap: an arena over pages taken from firmware, and whole pages for big buffers.
//!
//! `AllocatePool` walks firmware's lists for every call, which costs more than hashing a chunk. So small allocations come from
//! talc over regions of [`REGION_BYTES_MIN`], and buffers of [`BIG_BYTES`] and more (kernel, initramfs) are pages of their own.
//! Every page is counted, so that the memory the loader needs can be shown.
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use talc::base::Talc;
use talc::base::binning::{Binning, DefaultBinning};
use talc::source::Source;
use uefi::boot::{self, AllocateType, MemoryType, PAGE_SIZE};

/// Smallest region the arena takes from firmware.
const REGION_BYTES_MIN: usize = 1024 * 1024;
/// Allocations of this size and more are pages of their own.
const BIG_BYTES: usize = 512 * 1024;

#[global_allocator]
static HEAP: Heap = Heap {
    inner: UnsafeCell::new(Inner {
        talc: Talc::new(Regions { bytes: 0 }),
        big_bytes: 0,
        peak_bytes: 0,
    }),
};

/// Pages held from firmware now and at most, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Now.
    pub(crate) now_bytes: usize,
    /// At most, since start.
    pub(crate) peak_bytes: usize,
}

/// Returns the pages held from firmware, also in the middle of an allocation that failed.
pub(crate) fn usage_raw() -> Usage {
    usage()
}

/// Returns the pages held from firmware.
pub(crate) fn usage() -> Usage {
    HEAP.with(|inner| Usage {
        now_bytes: inner.held(),
        peak_bytes: inner.peak_bytes,
    })
}

struct Heap {
    inner: UnsafeCell<Inner>,
}

struct Inner {
    talc: Talc<Regions, DefaultBinning>,
    big_bytes: usize,
    peak_bytes: usize,
}

impl Inner {
    fn held(&self) -> usize {
        self.talc.source.bytes.saturating_add(self.big_bytes)
    }
    fn note_peak(&mut self) {
        self.peak_bytes = self.peak_bytes.max(self.held());
    }
}

// SAFETY: UEFI boot services run applications on one processor without pre-emption by other applications; no event
// notification function or protocol of this program allocates, so `with` is never entered twice.
unsafe impl Sync for Heap {}

impl Heap {
    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: see the `Sync` implementation: no second reference can exist, since nothing called inside allocates.
        f(unsafe { &mut *self.inner.get() })
    }
}

fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_SIZE)
}

fn is_big(layout: &Layout) -> bool {
    layout.size() >= BIG_BYTES && layout.align() <= PAGE_SIZE
}

// SAFETY: memory comes from AllocatePages (page-aligned, owned until FreePages) or from talc over such pages; big and small are
// told apart by the layout alone, which is the same at `alloc` and `dealloc`.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|inner| {
            let memory = if is_big(&layout) {
                let count = pages(layout.size());
                let memory =
                    boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count);
                if memory.is_ok() {
                    inner.big_bytes = inner.big_bytes.saturating_add(count * PAGE_SIZE);
                }
                memory.ok()
            } else {
                // SAFETY: the caller of `alloc` guarantees a layout of non-zero size.
                unsafe { inner.talc.allocate(layout) }
            };
            inner.note_peak();
            memory.map_or(ptr::null_mut(), NonNull::as_ptr)
        })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.with(|inner| {
            if !is_big(&layout) {
                // SAFETY: not big, so talc gave it out with this layout.
                unsafe { inner.talc.deallocate(memory, layout) };
                return;
            }
            let count = pages(layout.size());
            if let Some(memory) = NonNull::new(memory) {
                // SAFETY: big, so AllocatePages gave it out with this number of pages. An error leaves the pages allocated.
                if unsafe { boot::free_pages(memory, count) }.is_ok() {
                    inner.big_bytes = inner.big_bytes.saturating_sub(count * PAGE_SIZE);
                }
            }
        });
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller of `realloc` guarantees that `new_size`, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let fits_in_place = if is_big(&layout) {
            is_big(&new_layout) && pages(layout.size()) == pages(new_size)
        } else {
            !is_big(&new_layout)
                && self.with(|inner| {
                    // SAFETY: not big, so talc gave it out with this layout; the caller guarantees a non-zero size.
                    unsafe { inner.talc.try_realloc_in_place(memory, layout, new_size) }
                })
        };
        if fits_in_place {
            return memory;
        }
        // SAFETY: the size is not zero (caller's contract).
        let fresh = unsafe { self.alloc(new_layout) };
        if !fresh.is_null() {
            // SAFETY: both are valid for the smaller of the two sizes and do not overlap.
            unsafe { ptr::copy_nonoverlapping(memory, fresh, layout.size().min(new_size)) };
            // SAFETY: `memory` came from this allocator with `layout` (caller's contract) and is not used any more.
            unsafe { self.dealloc(memory, layout) };
        }
        fresh
    }
}

#[derive(Debug)]
struct Regions {
    bytes: usize,
}

// SAFETY: `acquire` touches only the talc it is given, and claims pages that AllocatePages has just handed over for good.
unsafe impl Source for Regions {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // Room for the allocation, its alignment and talc's own bookkeeping.
        let wanted = layout
            .size()
            .checked_add(layout.align())
            .and_then(|bytes| bytes.checked_add(2 * PAGE_SIZE))
            .ok_or(())?;
        let count = pages(wanted.max(REGION_BYTES_MIN));
        let region = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)
            .map_err(|_| ())?;
        let bytes = count * PAGE_SIZE;
        talc.source.bytes = talc.source.bytes.saturating_add(bytes);
        // SAFETY: the pages are ours alone and are never freed while the program runs.
        unsafe { talc.claim(region.as_ptr(), bytes) }
            .map(|_| ())
            .ok_or(())
    }
}
