//! What the probes count as dropped.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::maps::{Map, MapData};
use tracer_ebpf::event::kind;

type Counts = [AtomicU64; kind::LIMIT as usize];

/// Events that found the ring full, by kind, read in the kernel's own memory: while a call of bpf(2) reads a map, the kernel
/// runs no program of a perf event on that CPU, and from 7.0 on may put the caller off.
#[derive(Debug)]
pub struct Drops {
    counts: NonNull<Counts>,
    _map: MapData,
}

// SAFETY: the memory is shared with the kernel anyway, and read by atomic loads alone.
unsafe impl Send for Drops {}
// SAFETY: as above.
unsafe impl Sync for Drops {}

impl Drops {
    /// Maps the counts, of which the map has one element.
    pub fn new(map: Map) -> io::Result<Drops> {
        let Map::Array(map) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
        let descriptor = map.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Counts>(),
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
        Ok(Drops { counts, _map: map })
    }

    /// How many of a kind were dropped since the start.
    pub fn of(&self, kind: u32) -> u64 {
        // SAFETY: mapped as long as this lives.
        let counts = unsafe { self.counts.as_ref() };
        counts.get(kind as usize).map_or(0, |count| count.load(Relaxed))
    }
}

impl Drop for Drops {
    fn drop(&mut self) {
        // SAFETY: what was mapped, which nothing refers to any more.
        unsafe { libc::munmap(self.counts.as_ptr().cast(), size_of::<Counts>()) };
    }
}
