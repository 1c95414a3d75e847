//! One transfer of which only the beginning was copied.

/// Walks over the bytes of a transfer. Past the copied bytes it can only skip.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    copied: &'a [u8],
    length: u64,
    at: u64,
}

impl<'a> Cursor<'a> {
    /// `length` bytes were transferred, `copied` is their beginning.
    pub fn new(length: u64, copied: &'a [u8]) -> Self {
        let visible = usize::try_from(length).map_or(copied.len(), |length| copied.len().min(length));
        Self { copied: &copied[..visible], length, at: 0 }
    }

    /// Offset of the next byte within the transfer.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the transfer that are left, copied or not.
    pub fn left(&self) -> u64 {
        self.length - self.at
    }

    pub fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// The copied bytes from here on.
    pub fn visible(&self) -> &'a [u8] {
        usize::try_from(self.at).ok().and_then(|at| self.copied.get(at..)).unwrap_or_default()
    }

    /// Takes the next byte if it was copied.
    pub fn next(&mut self) -> Option<u8> {
        let byte = self.visible().first().copied()?;
        self.at += 1;
        Some(byte)
    }

    /// Skips up to `count` bytes, and gives those of them that were copied.
    pub fn take(&mut self, count: u64) -> &'a [u8] {
        let visible = self.visible();
        self.at += count.min(self.left());
        usize::try_from(count).ok().and_then(|count| visible.get(..count)).unwrap_or(visible)
    }

    /// Skips what is left.
    pub fn finish(&mut self) {
        self.at = self.length;
    }
}
