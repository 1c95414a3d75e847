//! HTTP/2 of a client (RFC 9113): what its streams carry, each for itself.

mod fields;
mod frame;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use lru::LruCache;

use self::fields::{Fields, Table};
use self::frame::{Frame, Frames, Part, flag, kind, later_request};
use super::content::{Answer, Format, Question, Room};
use super::cursor::{Cursor, Piece};
use super::fields as heads;
use crate::event::{Asked, Direction, Mark, ResponseHead};
use crate::wire::Shared;

/// Streams of a connection that are open at once; of more, those that were not used for longest are forgotten.
const STREAMS: usize = 1_024;

/// Bytes of a header block.
const BLOCK_BYTES: usize = 64 << 10;

/// RFC 9113, section 6.2: a stream's number and a weight.
const PRIORITY_BYTES: usize = 5;

/// Both directions of a client's connection.
#[derive(Debug)]
pub struct Http2 {
    requests: Side,
    answers: Side,
    streams: LruCache<u32, Stream>,
    /// The first stream that was seen to begin: there are others before it.
    first: u32,
    has_begun: bool,
}

#[derive(Debug)]
struct Side {
    frames: Frames,
    table: Table,
    /// The header block that is under way.
    block: Block,
}

#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    /// A part of it was not copied.
    is_lost: bool,
    /// Where it begins in the transfer.
    at: u64,
    ends_stream: bool,
}

/// One exchange.
#[derive(Debug, Default)]
struct Stream {
    host: Option<String>,
    question: Option<Question>,
    /// The head of the answer has come.
    is_answered: bool,
    answer: Option<Answer>,
    /// What kind of body it has the head did not tell, as far as it is known.
    untold: Option<Untold>,
}

/// A head whose body is to be known by itself.
#[derive(Debug)]
enum Untold {
    Question(Asked),
    Answer(ResponseHead),
}

/// What a transfer brought of one stream.
struct Told {
    stream: u32,
    bytes: u64,
    marks: Vec<Mark>,
}

impl Http2 {
    /// A connection from its beginning on.
    pub fn new() -> Http2 {
        Http2::of([true, false].map(|of_client| Side::new(Frames::new(of_client), Table::new())), 0)
    }

    /// A connection whose beginning was not seen, where a client's bytes show that it is one.
    pub fn in_its_middle(sent: &[u8]) -> Option<Http2> {
        let first = later_request(sent)?;
        let side = |of_client| Side::new(Frames::later(of_client), Table::unknown());
        Some(Http2::of([true, false].map(side), first))
    }

    fn of([requests, answers]: [Side; 2], first: u32) -> Http2 {
        let mut streams = LruCache::unbounded();
        streams.resize(NonZeroUsize::new(STREAMS).unwrap_or(NonZeroUsize::MIN));
        Http2 { requests, answers, streams, first, has_begun: false }
    }

    /// Adds to `marks` what a transfer means: of each stream what follows its [`Mark::Stream`]. The first one has
    /// [`Mark::Http2`] before that.
    pub fn reduce(
        &mut self,
        direction: Direction,
        cursor: &mut Cursor<'_>,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) {
        if !std::mem::replace(&mut self.has_begun, true) {
            marks.push(Mark::Http2);
        }
        let mut told: Vec<Told> = Vec::new();
        loop {
            let at = cursor.at();
            let (side, streams) = match direction {
                Direction::Sent => (&mut self.requests, &self.streams),
                Direction::Received => (&mut self.answers, &self.streams),
            };
            let is_open = |stream: u32| streams.contains(&stream) || stream % 2 == 1 && stream < self.first;
            let Some(part) = side.frames.next(cursor, is_open) else { break };
            let bytes = cursor.at() - at;
            let (Part::Begin(frame) | Part::Payload(frame, _) | Part::End(frame)) = part else {
                side.lose();
                marks.push(Mark::Unparsed);
                continue;
            };
            let of = match told.iter().position(|told| told.stream == frame.stream) {
                Some(index) => &mut told[index],
                None => {
                    told.push(Told { stream: frame.stream, bytes: 0, marks: Vec::new() });
                    told.last_mut().expect("it was pushed")
                }
            };
            of.bytes += bytes;
            self.read(direction, part, at, shared, &mut of.marks);
        }
        for Told { stream, bytes, marks: of_stream } in told {
            if stream != 0 && !of_stream.is_empty() {
                marks.push(Mark::Stream { id: stream, bytes });
                marks.extend(of_stream);
            }
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Sent => &mut self.requests,
            Direction::Received => &mut self.answers,
        }
    }

    fn read(
        &mut self,
        direction: Direction,
        part: Part<'_>,
        at: u64,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) {
        match part {
            Part::Begin(frame) => self.side(direction).block.begin(frame, at),
            Part::Payload(Frame { kind: kind::DATA, stream, .. }, piece) => {
                if !marks.iter().any(|mark| matches!(mark, Mark::Body { .. })) {
                    marks.push(Mark::Body { at });
                }
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.find_out(at, piece, &shared.room, marks);
                    stream.read(direction, piece, marks);
                }
            }
            Part::Payload(
                Frame { kind: kind::HEADERS | kind::CONTINUATION | kind::PUSH_PROMISE, .. },
                piece,
            ) => {
                self.side(direction).block.push(piece);
            }
            Part::Payload(..) | Part::Lost => {}
            Part::End(frame) => match frame.kind {
                kind::DATA if frame.has(flag::END_STREAM) => self.end(direction, frame.stream, marks),
                kind::HEADERS | kind::CONTINUATION => self.block_ended(direction, frame, shared, marks),
                // Refers to entries as any block does, and no client of Python lets itself be pushed to.
                kind::PUSH_PROMISE => self.side(direction).table.lose(),
                kind::RST_STREAM if self.streams.pop(&frame.stream).is_some() => {
                    marks.push(Mark::StreamReset)
                }
                _ => {}
            },
        }
    }

    fn block_ended(&mut self, direction: Direction, frame: Frame, shared: &Shared, marks: &mut Vec<Mark>) {
        let side = self.side(direction);
        side.block.end_of_frame(frame);
        if !frame.has(flag::END_HEADERS) {
            return;
        }
        let block = std::mem::take(&mut side.block);
        let fields = if block.is_lost {
            side.table.lose();
            None
        } else {
            side.table.read(&block.bytes)
        };
        match direction {
            Direction::Sent => self.asks(frame.stream, block.at, fields, marks),
            Direction::Received => self.answers(frame.stream, block.at, fields, shared, marks),
        }
        if block.ends_stream {
            self.end(direction, frame.stream, marks);
        }
    }

    fn asks(&mut self, id: u32, at: u64, fields: Option<Fields>, marks: &mut Vec<Mark>) {
        if self.streams.contains(&id) {
            // Trailers.
            return;
        }
        let mut stream = Stream::default();
        let head = fields.as_ref().and_then(|fields| {
            let (method, path) = (fields.pseudo(":method")?, fields.pseudo(":path")?);
            Some(heads::request(method, path, fields.pseudo(":authority"), &fields.headers()))
        });
        let has_unknown = fields.as_ref().is_none_or(Fields::has_unknown);
        match head {
            Some(heads::Request { head, question }) => {
                stream.host = head.host.clone();
                marks.push(Mark::RequestHead { at, head });
                stream.question = question;
            }
            // It is a request all the same.
            None => marks.push(Mark::Body { at }),
        }
        if has_unknown && stream.question.is_none() {
            let retries = fields.and_then(|fields| heads::retries(&fields.headers()));
            stream.untold = Some(Untold::Question(Asked { retries, ..Asked::default() }));
        }
        self.streams.put(id, stream);
    }

    fn answers(&mut self, id: u32, at: u64, fields: Option<Fields>, shared: &Shared, marks: &mut Vec<Mark>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.is_answered {
            // Trailers.
            return;
        }
        let status = fields.as_ref().and_then(|fields| fields.pseudo(":status")?.parse().ok());
        match (status, fields) {
            // Something will follow.
            (Some(100..200), _) => return,
            (Some(status), Some(fields)) => {
                let vendor = shared.vendors.answer_headers(stream.host.as_deref());
                let response = heads::response(status, &fields.headers(), vendor);
                stream.answer = response.answer(&shared.room);
                let heads::Response { head, limits, .. } = response;
                let is_untold = fields.has_unknown() && stream.answer.is_none();
                stream.untold = is_untold.then(|| Untold::Answer(head.clone()));
                marks.push(Mark::ResponseHead { at, head });
                marks.extend(limits.map(Mark::Limits));
            }
            _ => marks.push(Mark::Body { at }),
        }
        stream.is_answered = true;
    }

    /// A side has said all on a stream.
    fn end(&mut self, direction: Direction, id: u32, marks: &mut Vec<Mark>) {
        match direction {
            Direction::Sent => marks.push(Mark::RequestEnd),
            Direction::Received if self.streams.pop(&id).is_some() => marks.push(Mark::ResponseEnd),
            Direction::Received => {}
        }
    }
}

impl Side {
    fn new(frames: Frames, table: Table) -> Side {
        Side { frames, table, block: Block::default() }
    }

    fn lose(&mut self) {
        self.table.lose();
        self.block = Block::default();
    }
}

impl Block {
    fn begin(&mut self, frame: Frame, at: u64) {
        if frame.kind == kind::HEADERS {
            *self = Block { at, ends_stream: frame.has(flag::END_STREAM), ..Block::default() };
        }
    }

    fn push(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Copied(bytes) if self.bytes.len() + bytes.len() <= BLOCK_BYTES => self.bytes.extend(bytes),
            Piece::Copied(_) | Piece::Hidden(_) => self.is_lost = true,
        }
    }

    /// Takes away what HEADERS has around the block (RFC 9113, section 6.2): the length of the padding, what was once a
    /// priority, and the padding.
    fn end_of_frame(&mut self, frame: Frame) {
        if frame.kind != kind::HEADERS || self.is_lost {
            return;
        }
        let padding = if frame.has(flag::PADDED) { self.bytes.first().copied() } else { None };
        let before =
            usize::from(frame.has(flag::PADDED)) + if frame.has(flag::PRIORITY) { PRIORITY_BYTES } else { 0 };
        let end = self.bytes.len().checked_sub(usize::from(padding.unwrap_or(0)));
        match end.and_then(|end| self.bytes.get(before..end)) {
            Some(block) => self.bytes = block.to_vec(),
            None => self.is_lost = true,
        }
    }
}

impl Stream {
    /// A body begins of which the head did not tell what it is.
    fn find_out(&mut self, at: u64, piece: Piece<'_>, room: &Room, marks: &mut Vec<Mark>) {
        let Some(untold) = self.untold.take() else { return };
        let Piece::Copied(bytes) = piece else { return };
        match (untold, Format::of_body(bytes)) {
            (Untold::Question(asked), Some(Format::Json)) => self.question = Some(Question::new(asked)),
            (Untold::Answer(head), Some(format)) => {
                self.answer = Answer::new(format, "", room);
                let stream = head.stream || format == Format::ServerSentEvents;
                marks.push(Mark::ResponseHead { at, head: ResponseHead { stream, ..head } });
            }
            _ => {}
        }
    }

    fn read(&mut self, direction: Direction, piece: Piece<'_>, marks: &mut Vec<Mark>) {
        match direction {
            Direction::Sent => {
                if let Some(question) = &mut self.question {
                    question.read(piece);
                    question.tell(marks);
                }
            }
            Direction::Received => {
                if let Some(answer) = &mut self.answer {
                    answer.read(piece);
                    answer.tell(marks);
                }
            }
        }
    }
}
