//! Reading the ring buffer, in bounded batches, by one thread.

use std::{
    io,
    os::fd::{AsRawFd as _, RawFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};

use super::{Raw, decode};

/// The reading end of the probes' ring buffer.
pub struct Reader {
    ring: RingBuf<MapData>,
    undecodable: u64,
}

impl Reader {
    pub(crate) fn new(ring: RingBuf<MapData>) -> Reader {
        Reader { ring, undecodable: 0 }
    }

    /// Waits until much data is there, or for `timeout`. The probes wake the reader only when a good part of
    /// the ring is filled, so a timeout is the normal end, and should be some 10 ms.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one `pollfd`, which outlives the call.
        let result = unsafe { libc::poll(&raw mut poll, 1, timeout_ms) };
        match (result, io::Error::last_os_error()) {
            (0.., _) => Ok(()),
            (_, error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            (_, error) => Err(error),
        }
    }

    /// Appends up to `max` events to `out`. Gives how many records were taken from the ring: less than `max`
    /// means that it is empty now.
    pub fn drain(&mut self, max: usize, out: &mut Vec<Raw>) -> usize {
        let mut records = 0;
        while records < max {
            let Some(record) = self.ring.next() else { break };
            records += 1;
            match decode::decode(&record) {
                Ok(raw) => out.push(raw),
                Err(_) => self.undecodable += 1,
            }
        }
        records
    }

    /// Records that could not be decoded: a sign that the probes are of another build.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }
}

impl std::os::fd::AsRawFd for Reader {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
