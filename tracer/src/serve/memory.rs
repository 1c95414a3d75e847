//! Memory that is free goes back to the kernel.

use std::time::Duration;

/// Often enough that what looking into executables took is not held for long, and seldom enough to cost nothing.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// glibc keeps what was freed below memory that is in use, in each of its arenas: tens of megabytes once kernel types and
/// executables were read.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
