//! Where a message body ends (RFC 9112, sections 6 and 7).

use super::chunked::Chunked;
use crate::wire::cursor::{Cursor, Piece};

/// How the end of a body is known.
#[derive(Debug)]
pub enum Body {
    /// Content-Length: bytes still to come.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What a transfer brought of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Offset in the transfer of the first byte of content, chunk headers left out.
    pub content_at: Option<u64>,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    More,
    /// The last byte of the message was taken.
    End,
    Malformed,
}

impl Body {
    /// Takes the bytes of the body, which the cursor stands in, up to its end, and hands on its content.
    pub fn read(&mut self, cursor: &mut Cursor<'_>, content: &mut impl FnMut(Piece<'_>)) -> Progress {
        match self {
            Self::Length(left) => {
                let content_at = Some(cursor.at());
                let before = cursor.left();
                cursor.take_pieces(*left, content);
                *left -= before - cursor.left();
                Progress { content_at, status: if *left == 0 { Status::End } else { Status::More } }
            }
            Self::Chunked(chunked) => chunked.read(cursor, content),
            Self::UntilClose => {
                let content_at = Some(cursor.at());
                cursor.take_pieces(u64::MAX, content);
                Progress { content_at, status: Status::More }
            }
        }
    }

    /// Whether chunk boundaries were lost, so that the end may pass unseen.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Chunked(chunked) if chunked.is_lost())
    }
}
