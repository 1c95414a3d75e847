//! Chunked transfer coding (RFC 9112, section 7.1), decoded by skipping: chunk data are passed over by length.

use super::body::{Progress, Status};
use crate::wire::cursor::{Cursor, Piece};

/// Bytes of a chunk header or of a trailer section at which it is taken for malformed.
const LINE_BYTES: u32 = 16 << 10;

/// The whole end of a chunked body, which servers often send by itself.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Where in a chunked body the next byte stands.
#[derive(Debug)]
pub enum Chunked {
    Size(SizeLine),
    Data {
        left: u64,
    },
    /// The line end behind chunk data.
    DataEnd {
        left: u8,
    },
    Trailer(Trailer),
    /// A chunk header lay beyond the copied bytes.
    Lost,
}

#[derive(Debug, Default)]
pub struct SizeLine {
    size: u64,
    bytes: u32,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Digits,
    Extension,
    LineFeed,
}

#[derive(Debug, Default)]
pub struct Trailer {
    bytes: u32,
    line_bytes: u32,
    carriage_return: bool,
}

/// What one byte did to a line.
enum Step<T> {
    More,
    Done(T),
    Malformed,
}

impl Chunked {
    pub fn new() -> Self {
        Self::Size(SizeLine::default())
    }

    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    pub fn read(&mut self, cursor: &mut Cursor<'_>, content: &mut impl FnMut(Piece<'_>)) -> Progress {
        let mut content_at = None;
        if self.is_lost() {
            content_at = Some(cursor.at());
            if cursor.left() == LAST_CHUNK.len() as u64 && cursor.visible() == LAST_CHUNK {
                cursor.finish();
                return Progress { content_at: None, status: Status::End };
            }
            if cursor.at() == 0 && begins_with_chunk(cursor) {
                content_at = None;
                *self = Self::new();
            }
        }
        loop {
            if cursor.is_done() {
                return Progress { content_at, status: Status::More };
            }
            match self.step(cursor, &mut content_at, content) {
                Step::More => {}
                Step::Done(()) => return Progress { content_at, status: Status::End },
                Step::Malformed => return Progress { content_at, status: Status::Malformed },
            }
        }
    }

    /// Takes at least one byte; done at the end of the body.
    fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        content_at: &mut Option<u64>,
        content: &mut impl FnMut(Piece<'_>),
    ) -> Step<()> {
        match self {
            Self::Data { left } => {
                content_at.get_or_insert(cursor.at());
                let before = cursor.left();
                cursor.take_pieces(*left, content);
                *left -= before - cursor.left();
                if *left == 0 {
                    *self = Self::DataEnd { left: 2 };
                }
                Step::More
            }
            Self::DataEnd { left } => {
                let expected = if *left == 2 { b'\r' } else { b'\n' };
                if cursor.take(1).first().is_some_and(|&byte| byte != expected) {
                    return Step::Malformed;
                }
                *left -= 1;
                if *left == 0 {
                    *self = Self::new();
                }
                Step::More
            }
            Self::Size(line) => match cursor.next().map(|byte| line.push(byte)) {
                Some(Step::Done(0)) => {
                    *self = Self::Trailer(Trailer::default());
                    Step::More
                }
                Some(Step::Done(size)) => {
                    *self = Self::Data { left: size };
                    Step::More
                }
                Some(Step::More) => Step::More,
                Some(Step::Malformed) => Step::Malformed,
                None => self.lose(cursor, content),
            },
            Self::Trailer(trailer) => match cursor.next().map(|byte| trailer.push(byte)) {
                Some(step) => step,
                None => self.lose(cursor, content),
            },
            Self::Lost => self.lose(cursor, content),
        }
    }

    /// What is left is content for the most part, with framing in it.
    fn lose(&mut self, cursor: &mut Cursor<'_>, content: &mut impl FnMut(Piece<'_>)) -> Step<()> {
        *self = Self::Lost;
        content(Piece::Hidden(0));
        cursor.take_pieces(u64::MAX, content);
        Step::More
    }
}

impl SizeLine {
    /// Takes one byte of `size [; extensions] CRLF`; done with the size.
    fn push(&mut self, byte: u8) -> Step<u64> {
        self.bytes += 1;
        match (&self.stage, byte) {
            _ if self.bytes > LINE_BYTES => return Step::Malformed,
            (Stage::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                match self.size.checked_mul(16).and_then(|size| size.checked_add(digit.into())) {
                    Some(size) if size <= i64::MAX as u64 => self.size = size,
                    _ => return Step::Malformed,
                }
            }
            (Stage::Digits, _) if self.bytes == 1 => return Step::Malformed,
            (Stage::Digits | Stage::Extension, b'\r') => self.stage = Stage::LineFeed,
            (Stage::Digits, b';' | b' ' | b'\t') => self.stage = Stage::Extension,
            (Stage::Extension, b'\t' | b' '..=b'~' | 0x80..) => {}
            (Stage::LineFeed, b'\n') => return Step::Done(self.size),
            _ => return Step::Malformed,
        }
        Step::More
    }
}

impl Trailer {
    /// Takes one byte of the trailer section; done with the empty line.
    fn push(&mut self, byte: u8) -> Step<()> {
        self.bytes += 1;
        match (self.carriage_return, byte) {
            _ if self.bytes > LINE_BYTES => return Step::Malformed,
            (true, b'\n') if self.line_bytes == 0 => return Step::Done(()),
            (true, b'\n') => {
                self.line_bytes = 0;
                self.carriage_return = false;
            }
            (false, b'\r') => self.carriage_return = true,
            (false, b'\t' | b' '..=b'~' | 0x80..) => self.line_bytes += 1,
            _ => return Step::Malformed,
        }
        Step::More
    }
}

/// Whether the transfer begins with a whole chunk: a size line, and its data end with the transfer or with a line
/// end that was copied. A size line alone could be content.
fn begins_with_chunk(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let mut line = SizeLine::default();
    let size = loop {
        match ahead.next().map(|byte| line.push(byte)) {
            Some(Step::More) => {}
            Some(Step::Done(size)) if size > 0 => break size,
            _ => return false,
        }
    };
    if ahead.left() < size.saturating_add(2) {
        return false;
    }
    ahead.take(size);
    match ahead.visible() {
        [b'\r', b'\n', ..] => true,
        [] | [b'\r'] => ahead.left() == 2,
        _ => false,
    }
}
