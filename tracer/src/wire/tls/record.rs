//! TLS record boundaries of one direction (RFC 8446, section 5.1), followed by length.

use crate::wire::cursor::Cursor;

pub const CHANGE_CIPHER_SPEC: u8 = 0x14;
pub const HANDSHAKE: u8 = 0x16;
pub const APPLICATION_DATA: u8 = 0x17;
/// `heartbeat` (RFC 6520), the last record type there is.
const LAST_KIND: u8 = 0x18;

const HEADER_BYTES: usize = 5;

/// TLS 1.2 allows 2048 bytes of expansion (RFC 5246, section 6.2.3), TLS 1.3 fewer.
const RECORD_BYTES: u16 = (1 << 14) + 2048;

/// The records of one direction, across transfers.
#[derive(Debug, Default)]
pub struct Records {
    state: State,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; HEADER_BYTES], held: usize },
    Body { left: u16 },
    Lost,
}

impl Default for State {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES], held: 0 }
    }
}

/// A part of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A record header is complete; `at` is where it begins in this transfer, 0 if it began in an earlier one.
    Record { at: u64, kind: u8, length: u16 },
    /// Bytes of the body of the last record, and those of them that were copied.
    Body { at: u64, length: u64, copied: &'a [u8] },
    /// From here on the transfer cannot be read: a header lay beyond the copied bytes, or is none.
    Lost { at: u64 },
}

impl Records {
    /// Whether record boundaries are lost. They are found again at a transfer that begins with a record header;
    /// by chance ciphertext does in one of three million transfers.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// The next part of the transfer; `None` at its end.
    pub fn next<'a>(&mut self, cursor: &mut Cursor<'a>) -> Option<Piece<'a>> {
        if self.is_lost() && cursor.at() == 0 && begins_with_record(cursor) {
            self.state = State::default();
        }
        while !cursor.is_done() {
            let at = cursor.at();
            match &mut self.state {
                State::Body { left: 0 } => self.state = State::default(),
                State::Body { left } => {
                    let copied = cursor.take(u64::from(*left));
                    let length = cursor.at() - at;
                    *left -= u16::try_from(length).unwrap_or(*left);
                    return Some(Piece::Body { at, length, copied });
                }
                State::Header { bytes, held } => {
                    let missing = &mut bytes[(*held).min(HEADER_BYTES)..];
                    let found = cursor.take(missing.len() as u64);
                    missing[..found.len()].copy_from_slice(found);
                    let begin = if *held == 0 { at } else { 0 };
                    *held += found.len();
                    if cursor.at() - at > found.len() as u64 {
                        self.state = State::Lost;
                    } else if *held == HEADER_BYTES {
                        let Some((kind, length)) = header(*bytes) else {
                            self.state = State::Lost;
                            cursor.finish();
                            return Some(Piece::Lost { at: begin });
                        };
                        self.state = State::Body { left: length };
                        return Some(Piece::Record { at: begin, kind, length });
                    }
                    if self.is_lost() {
                        cursor.finish();
                        return Some(Piece::Lost { at });
                    }
                }
                State::Lost => {
                    cursor.finish();
                    return Some(Piece::Lost { at });
                }
            }
        }
        None
    }
}

/// Kind and length of a record, if the bytes are a record header.
fn header([kind, major, minor, high, low]: [u8; HEADER_BYTES]) -> Option<(u8, u16)> {
    let length = u16::from_be_bytes([high, low]);
    let plausible = (CHANGE_CIPHER_SPEC..=LAST_KIND).contains(&kind)
        && major == 3
        && minor <= 4
        && length <= RECORD_BYTES;
    plausible.then_some((kind, length))
}

fn begins_with_record(cursor: &Cursor<'_>) -> bool {
    cursor.visible().first_chunk().and_then(|&bytes| header(bytes)).is_some_and(|(_, length)| length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_records_across_transfers_and_past_the_copied_bytes() {
        let mut records = Records::default();
        // A header split in two, then a body that was not copied, then the next header.
        let mut cursor = Cursor::new(2, b"\x17\x03");
        assert_eq!(records.next(&mut cursor), None);
        let mut cursor = Cursor::new(3, b"\x03\x01\x00");
        let record = Piece::Record { at: 0, kind: APPLICATION_DATA, length: 256 };
        assert_eq!(records.next(&mut cursor), Some(record));
        let mut cursor = Cursor::new(200, b"abc");
        assert_eq!(records.next(&mut cursor), Some(Piece::Body { at: 0, length: 200, copied: b"abc" }));
        let rest = [&[0; 56][..], b"\x15\x03\x03\x00\x02"].concat();
        let mut cursor = Cursor::new(61, &rest);
        assert_eq!(records.next(&mut cursor), Some(Piece::Body { at: 0, length: 56, copied: &[0; 56] }));
        assert_eq!(records.next(&mut cursor), Some(Piece::Record { at: 56, kind: 0x15, length: 2 }));
        assert_eq!(records.next(&mut cursor), None);
    }

    #[test]
    fn a_hidden_header_loses_the_boundaries_until_a_transfer_begins_with_one() {
        let mut records = Records::default();
        let mut cursor = Cursor::new(300, b"\x17\x03\x03\x00\x64");
        assert!(matches!(records.next(&mut cursor), Some(Piece::Record { length: 100, .. })));
        assert!(matches!(records.next(&mut cursor), Some(Piece::Body { length: 100, .. })));
        assert_eq!(records.next(&mut cursor), Some(Piece::Lost { at: 105 }));
        let mut cursor = Cursor::new(10, b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09");
        assert_eq!(records.next(&mut cursor), Some(Piece::Lost { at: 0 }));
        let mut cursor = Cursor::new(6, b"\x17\x03\x03\x00\x01\xff");
        assert_eq!(records.next(&mut cursor), Some(Piece::Record { at: 0, kind: 0x17, length: 1 }));
        assert!(!records.is_lost());
    }
}
