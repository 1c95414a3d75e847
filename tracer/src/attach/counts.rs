//! Counts that the probes keep in a map of one element.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::maps::{Map, MapData};

/// So many counts, read in the kernel's own memory: while a call of bpf(2) reads a map, the kernel runs no program of a perf
/// event on that CPU, and from 7.0 on may put the caller off.
#[derive(Debug)]
pub struct Counts<const N: usize> {
    counts: NonNull<[AtomicU64; N]>,
    _map: MapData,
}

// SAFETY: the memory is shared with the kernel anyway, and read by atomic loads alone.
unsafe impl<const N: usize> Send for Counts<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Counts<N> {}

impl<const N: usize> Counts<N> {
    /// Maps the counts, of which the map has one element.
    pub fn new(map: Map) -> io::Result<Counts<N>> {
        let Map::Array(map) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
        let descriptor = map.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<[AtomicU64; N]>(),
                libc::PROT_READ,
                libc::MAP_SHARED,
                descriptor,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let counts = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Counts { counts, _map: map })
    }

    /// One of them, as it is now; 0 for one that there is not.
    pub fn of(&self, index: usize) -> u64 {
        // SAFETY: mapped as long as this lives.
        let counts = unsafe { self.counts.as_ref() };
        counts.get(index).map_or(0, |count| count.load(Relaxed))
    }
}

impl<const N: usize> Drop for Counts<N> {
    fn drop(&mut self) {
        // SAFETY: what was mapped, which nothing refers to any more.
        unsafe { libc::munmap(self.counts.as_ptr().cast(), size_of::<[AtomicU64; N]>()) };
    }
}
