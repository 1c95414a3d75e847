//! One transfer of which only a part was copied.

use tracer_ebpf::limits::HEAD_BYTES;

/// Walks over the bytes of a transfer. What was not copied it can only skip.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    head: &'a [u8],
    /// The last bytes of the transfer.
    tail: &'a [u8],
    length: u64,
    at: u64,
}

/// A part of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Copied(&'a [u8]),
    /// So many bytes that were not copied.
    Hidden(u64),
}

impl Piece<'_> {
    pub fn bytes(self) -> u64 {
        match self {
            Piece::Copied(bytes) => bytes.len() as u64,
            Piece::Hidden(bytes) => bytes,
        }
    }
}

impl<'a> Cursor<'a> {
    /// `length` bytes were transferred. `copied` is their beginning; where that is longer than a head, what is behind is
    /// their end.
    pub fn new(length: u64, copied: &'a [u8]) -> Self {
        let visible = usize::try_from(length).map_or(copied.len(), |length| copied.len().min(length));
        let copied = &copied[..visible];
        let (head, tail) = if length > copied.len() as u64 {
            copied.split_at(copied.len().min(HEAD_BYTES))
        } else {
            (copied, &copied[..0])
        };
        Self { head, tail, length, at: 0 }
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

    /// The copied bytes from here on, up to one that was not copied.
    pub fn visible(&self) -> &'a [u8] {
        let from = |bytes: &'a [u8], start: u64| {
            let at = usize::try_from(self.at.checked_sub(start)?).ok()?;
            bytes.get(at..).filter(|rest| !rest.is_empty())
        };
        from(self.head, 0).or_else(|| from(self.tail, self.tail_at())).unwrap_or_default()
    }

    /// Takes the next byte if it was copied.
    pub fn next(&mut self) -> Option<u8> {
        let byte = self.visible().first().copied()?;
        self.at += 1;
        Some(byte)
    }

    /// Skips up to `count` bytes, and gives those of them that were copied from here on.
    pub fn take(&mut self, count: u64) -> &'a [u8] {
        let visible = self.visible();
        self.at += count.min(self.left());
        usize::try_from(count).ok().and_then(|count| visible.get(..count)).unwrap_or(visible)
    }

    /// Takes up to `count` bytes piece by piece.
    pub fn take_pieces(&mut self, count: u64, mut each: impl FnMut(Piece<'a>)) {
        let end = self.at + count.min(self.left());
        while self.at < end {
            each(self.take_piece(end - self.at));
        }
    }

    /// Takes up to `count` bytes: as many as come that were copied, or that were not.
    pub fn take_piece(&mut self, count: u64) -> Piece<'a> {
        let end = self.at + count.min(self.left());
        let visible = self.visible();
        if visible.is_empty() {
            let until = if self.at < self.tail_at() { end.min(self.tail_at()) } else { end };
            let hidden = until - self.at;
            self.at = until;
            Piece::Hidden(hidden)
        } else {
            Piece::Copied(self.take((end - self.at).min(visible.len() as u64)))
        }
    }

    /// Skips what is left.
    pub fn finish(&mut self) {
        self.at = self.length;
    }

    fn tail_at(&self) -> u64 {
        self.length - self.tail.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(cursor: &mut Cursor<'_>, count: u64) -> Vec<(bool, u64)> {
        let mut pieces = Vec::new();
        cursor.take_pieces(count, |piece| {
            pieces.push(match piece {
                Piece::Copied(bytes) => (true, bytes.len() as u64),
                Piece::Hidden(count) => (false, count),
            });
        });
        pieces
    }

    #[test]
    fn what_is_behind_the_head_is_the_end() {
        let copied = [vec![b'h'; HEAD_BYTES], vec![b't'; 10]].concat();
        let head = HEAD_BYTES as u64;
        let mut cursor = Cursor::new(head + 100, &copied);
        assert_eq!(pieces(&mut cursor, 5), [(true, 5)]);
        assert_eq!(pieces(&mut cursor, head + 90), [(true, head - 5), (false, 90), (true, 5)]);
        assert_eq!(cursor.visible(), b"ttttt");
        assert_eq!(pieces(&mut cursor, 99), [(true, 5)]);
        assert!(cursor.is_done());
    }

    #[test]
    fn what_is_whole_has_no_gap() {
        let copied = vec![b'x'; HEAD_BYTES + 10];
        let mut cursor = Cursor::new(copied.len() as u64, &copied);
        assert_eq!(pieces(&mut cursor, u64::MAX), [(true, HEAD_BYTES as u64 + 10)]);
    }

    #[test]
    fn what_was_not_copied_is_hidden() {
        let mut cursor = Cursor::new(10, b"abc");
        assert_eq!(pieces(&mut cursor, 5), [(true, 3), (false, 2)]);
        assert_eq!(pieces(&mut cursor, 9), [(false, 5)]);
    }
}
