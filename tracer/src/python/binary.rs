//! Where to probe a file that contains CPython. All offsets are file offsets, ready for a uprobe.

/// A point for a uprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Offset of the instruction in the file.
    pub offset: u64,
    /// File offset of the semaphore that enables a USDT point; 0 where there is none.
    pub semaphore: u64,
}
