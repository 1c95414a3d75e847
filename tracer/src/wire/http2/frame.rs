//! Frames of HTTP/2 in one direction (RFC 9113, section 4), found again where some passed unseen.

use tracer_ebpf::http2::is_later_headers;

use crate::wire::cursor::{Cursor, Piece};

/// RFC 9113, section 4.1.
const HEADER_BYTES: usize = 9;

/// RFC 9113, section 3.4: what a client sends first of all.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest frame that a peer takes who has not asked for longer ones (RFC 9113, section 4.2), as none of Python does.
const MOST_BYTES: u32 = 1 << 14;

/// RFC 9113, section 6.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

pub mod flag {
    /// Of DATA and HEADERS.
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    /// 0 is the connection itself.
    pub stream: u32,
    /// Of the payload.
    pub bytes: u32,
}

/// What comes next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A frame begins: its header is whole.
    Begin(Frame),
    Payload(Frame, Piece<'a>),
    /// The payload is over.
    End(Frame),
    /// Where the next frame begins can't be told.
    Lost,
}

/// Finds the frames of one direction.
#[derive(Debug)]
pub struct Frames {
    at: At,
}

#[derive(Debug)]
enum At {
    /// So many bytes of the preface have passed.
    Preface(usize),
    /// The bytes of a header that were seen.
    Header(Vec<u8>),
    Payload {
        frame: Frame,
        left: u32,
    },
    Lost,
}

impl Frames {
    /// Those of a client begin with the preface.
    pub fn new(of_client: bool) -> Frames {
        Frames { at: if of_client { At::Preface(0) } else { At::Header(Vec::new()) } }
    }

    /// Those of a client from the beginning of a frame on; of a server where one begins is to be found.
    pub fn later(of_client: bool) -> Frames {
        Frames { at: if of_client { At::Header(Vec::new()) } else { At::Lost } }
    }

    /// Takes the next parts of a transfer, one after the other. Where frames were lost, a transfer may begin with one again:
    /// `is_open` knows the streams that it can be of.
    pub fn next<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        is_open: impl Fn(u32) -> bool + Copy,
    ) -> Option<Part<'a>> {
        loop {
            match &mut self.at {
                At::Payload { frame, left: 0 } => {
                    let frame = *frame;
                    self.at = At::Header(Vec::new());
                    return Some(Part::End(frame));
                }
                _ if cursor.is_done() => return None,
                At::Preface(passed) => {
                    let before = cursor.left();
                    cursor.take((PREFACE.len() - *passed) as u64);
                    *passed += (before - cursor.left()) as usize;
                    if *passed == PREFACE.len() {
                        self.at = At::Header(Vec::new());
                    }
                }
                At::Header(held) => {
                    let Some(byte) = cursor.next() else {
                        cursor.finish();
                        self.at = At::Lost;
                        return Some(Part::Lost);
                    };
                    held.push(byte);
                    if held.len() == HEADER_BYTES {
                        let frame = Frame::parse(held);
                        if frame.bytes > MOST_BYTES {
                            cursor.finish();
                            self.at = At::Lost;
                            return Some(Part::Lost);
                        }
                        self.at = At::Payload { frame, left: frame.bytes };
                        return Some(Part::Begin(frame));
                    }
                }
                At::Payload { frame, left } => {
                    let frame = *frame;
                    let piece = cursor.take_piece(u64::from(*left));
                    *left -= piece.bytes() as u32;
                    return Some(Part::Payload(frame, piece));
                }
                At::Lost => {
                    let begins = cursor.at() == 0
                        && cursor
                            .visible()
                            .get(..HEADER_BYTES)
                            .map(Frame::parse)
                            .is_some_and(|frame| frame.is_likely(is_open));
                    if !begins {
                        cursor.finish();
                        return None;
                    }
                    self.at = At::Header(Vec::new());
                }
            }
        }
    }
}

/// The number of the stream whose request a client's bytes begin with, where they may be the middle of a connection.
pub fn later_request(bytes: &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk()?;
    is_later_headers(*first, *rest.first_chunk()?).then(|| Frame::parse(bytes).stream)
}

impl Frame {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn parse(header: &[u8]) -> Frame {
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let [kind, flags] = [header[3], header[4]];
        // The highest bit of the stream's number is reserved.
        Frame {
            kind,
            flags,
            stream: number(&header[5..HEADER_BYTES]) & (u32::MAX >> 1),
            bytes: number(&header[..3]),
        }
    }

    /// Whether bytes anywhere in a stream would hardly look like this.
    fn is_likely(self, is_open: impl Fn(u32) -> bool) -> bool {
        let is_of_kind = match self.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => is_open(self.stream),
            kind::RST_STREAM => self.bytes == 4 && is_open(self.stream),
            kind::WINDOW_UPDATE => self.bytes == 4 && (self.stream == 0 || is_open(self.stream)),
            kind::SETTINGS => self.bytes.is_multiple_of(6) && self.stream == 0,
            kind::PING => self.bytes == 8 && self.stream == 0,
            kind::GOAWAY => self.bytes >= 8 && self.stream == 0,
            _ => false,
        };
        is_of_kind && self.bytes <= MOST_BYTES
    }
}
