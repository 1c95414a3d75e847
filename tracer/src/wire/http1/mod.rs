//! HTTP/1.1 on one connection (RFC 9112): heads reduced to metadata, and the ends of messages.

mod body;
mod chunked;
mod head;
mod head_reader;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::body::{Body, Status};
use self::chunked::Chunked;
use self::head_reader::{HeadRead, head_at, read_head};
use super::content::{Answer, Question};
use super::cursor::{Cursor, Piece};
use super::fields;
use super::sniff::{Sniffed, sniff};
use crate::event::{Direction, Mark, Role};
use crate::wire::Shared;

/// Pipelined requests that await their answer; with more we lose the thread.
const PIPELINED: usize = 256;

/// Both directions of an HTTP/1 connection.
#[derive(Debug)]
pub struct Http1 {
    request_direction: Direction,
    request: Reading<Question>,
    response: Reading<Answer>,
    /// Requests without a whole answer, oldest first.
    awaited: VecDeque<Awaited>,
    /// A request was parsed since the last synchronisation.
    is_http: bool,
    /// After 101 the bytes are of another protocol.
    upgraded: bool,
    /// The ends of messages cannot be told until a request begins with a transfer.
    lost: bool,
    /// The last transfer was of the response direction.
    answered: bool,
}

/// What a transfer left the parser with.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// The transfer is done with.
    More,
    /// The proxy granted the tunnel: what follows is of another protocol.
    Tunnel,
    /// Not even the first request could be parsed: this is another protocol.
    Malformed,
}

/// What a direction is in the middle of.
#[derive(Debug)]
enum Reading<Content> {
    /// The copied bytes of a head.
    Head(Vec<u8>),
    /// A body, and what reads its content, if anything does.
    Body(Body, Option<Content>),
    /// A request whose end lies beyond the copied bytes; it ends with its answer.
    Blind,
}

/// What must be known of a request to read its answer.
#[derive(Debug)]
struct Awaited {
    host: Option<String>,
    is_head: bool,
    tunnel: Option<(String, u16)>,
}

impl Http1 {
    /// A connection whose first request comes in `request_direction`.
    pub fn new(request_direction: Direction) -> Self {
        Self {
            request_direction,
            request: Reading::Head(Vec::new()),
            response: Reading::Head(Vec::new()),
            awaited: VecDeque::new(),
            is_http: false,
            upgraded: false,
            lost: false,
            answered: false,
        }
    }

    /// Our role, by the direction of the requests.
    pub fn role(&self) -> Role {
        match self.request_direction {
            Direction::Sent => Role::Connected,
            Direction::Received => Role::Accepted,
        }
    }

    /// Adds to `marks` what the rest of a transfer means.
    pub fn reduce(
        &mut self,
        direction: Direction,
        cursor: &mut Cursor<'_>,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) -> Outcome {
        let is_request = direction == self.request_direction;
        if is_request && self.answered {
            self.resynchronise(cursor, marks);
        }
        self.answered = !is_request;
        while !cursor.is_done() {
            if self.upgraded || self.lost {
                cursor.finish();
                break;
            }
            let step = if is_request {
                self.read_request(cursor, marks)
            } else {
                self.read_response(cursor, shared, marks)
            };
            match step {
                Ok(None) => {}
                Ok(Some(outcome)) => return outcome,
                Err(head::Malformed) if self.is_http => self.lose(marks),
                Err(head::Malformed) => return Outcome::Malformed,
            }
        }
        Outcome::More
    }

    /// Starts afresh with a request at the beginning of a transfer, where the ends of messages were lost, as when
    /// a transfer went unseen: with keep-alive a client sends it only when the answer before is whole. Behind
    /// another transfer of the client it could be content.
    fn resynchronise(&mut self, cursor: &Cursor<'_>, marks: &mut Vec<Mark>) {
        let lost = self.lost || (self.is_response_lost() && matches!(self.request, Reading::Blind));
        if !lost || self.upgraded || cursor.at() != 0 || sniff(cursor.visible()) != Sniffed::Request {
            return;
        }
        if !self.lost {
            marks.push(Mark::Unparsed);
        }
        *self = Self::new(self.request_direction);
    }

    fn is_response_lost(&self) -> bool {
        matches!(&self.response, Reading::Body(body, _) if body.is_lost())
    }

    fn lose(&mut self, marks: &mut Vec<Mark>) {
        marks.push(Mark::Unparsed);
        self.lost = true;
    }

    fn read_request(
        &mut self,
        cursor: &mut Cursor<'_>,
        marks: &mut Vec<Mark>,
    ) -> Result<Option<Outcome>, head::Malformed> {
        match &mut self.request {
            Reading::Head(held) => {
                let at = head_at(held, cursor);
                let (parsed, whole) = match read_head(held, cursor, head::request)? {
                    HeadRead::More => return Ok(None),
                    HeadRead::Hidden => {
                        self.lose(marks);
                        return Ok(None);
                    }
                    HeadRead::Whole(parsed) => (parsed, true),
                    HeadRead::Truncated(parsed) => (parsed, false),
                };
                self.is_http = true;
                if self.is_response_lost() {
                    // The client goes on, so its answer is whole, though its end passed unseen.
                    marks.push(Mark::Unparsed);
                    self.awaited.clear();
                    self.response = Reading::Head(Vec::new());
                }
                if self.awaited.len() == PIPELINED {
                    return Err(head::Malformed);
                }
                self.awaited.push_back(Awaited {
                    host: parsed.head.host.clone(),
                    is_head: parsed.head.method == "HEAD",
                    tunnel: parsed.tunnel.clone(),
                });
                if parsed.tunnel.is_none() {
                    marks.push(Mark::RequestHead { at, head: parsed.head });
                }
                // What callers ask is nobody's business.
                let question = parsed.question.filter(|_| self.request_direction == Direction::Sent);
                self.request = match parsed.body {
                    _ if !whole => Reading::Blind,
                    Some(body) => Reading::Body(body, question),
                    None => {
                        if parsed.tunnel.is_none() {
                            marks.push(Mark::RequestEnd);
                        }
                        Reading::Head(Vec::new())
                    }
                };
            }
            Reading::Body(body, question) => {
                let mut read =
                    |piece: Piece<'_>| question.iter_mut().for_each(|question| question.read(piece));
                let progress = body.read(cursor, &mut read);
                marks.extend(progress.content_at.map(|at| Mark::Body { at }));
                question.iter_mut().for_each(|question| question.tell(marks));
                match progress.status {
                    Status::Malformed => return Err(head::Malformed),
                    Status::End => {
                        marks.push(Mark::RequestEnd);
                        self.request = Reading::Head(Vec::new());
                    }
                    Status::More if body.is_lost() => self.request = Reading::Blind,
                    Status::More => {}
                }
            }
            Reading::Blind => cursor.finish(),
        }
        Ok(None)
    }

    fn read_response(
        &mut self,
        cursor: &mut Cursor<'_>,
        shared: &Shared,
        marks: &mut Vec<Mark>,
    ) -> Result<Option<Outcome>, head::Malformed> {
        match &mut self.response {
            Reading::Head(held) => {
                let awaited = self.awaited.front().ok_or(head::Malformed)?;
                let vendor = shared.vendors.answer_headers(awaited.host.as_deref());
                let at = head_at(held, cursor);
                let (parsed, whole) = match read_head(held, cursor, |bytes| head::response(bytes, vendor))? {
                    HeadRead::More => return Ok(None),
                    HeadRead::Hidden => {
                        self.lose(marks);
                        return Ok(None);
                    }
                    HeadRead::Whole(parsed) => (parsed, true),
                    HeadRead::Truncated(parsed) => (parsed, false),
                };
                let status = parsed.answer.head.status;
                if whole
                    && let Some((host, port)) =
                        awaited.tunnel.clone().filter(|_| (200..300).contains(&status))
                {
                    marks.push(Mark::Tunnel { host, port });
                    return Ok(Some(Outcome::Tunnel));
                }
                if whole && matches!(status, 100..200) && status != 101 {
                    self.response = Reading::Head(Vec::new());
                    return Ok(None);
                }
                let is_head = awaited.is_head;
                let body = parsed.body(is_head);
                let chunked = parsed.is_chunked();
                let answer =
                    parsed.answer.answer(&shared.room).filter(|_| self.request_direction == Direction::Sent);
                let fields::Response { head, limits, .. } = parsed.answer;
                marks.push(Mark::ResponseHead { at, head });
                marks.extend(limits.map(Mark::Limits));
                if !whole && chunked && body.is_some() {
                    self.response = Reading::Body(Body::Chunked(Chunked::Lost), answer);
                } else if !whole {
                    self.lose(marks);
                } else if status == 101 {
                    marks.push(Mark::Upgraded);
                    self.upgraded = true;
                } else if let Some(body) = body {
                    self.response = Reading::Body(body, answer);
                } else {
                    self.end_response(marks);
                }
            }
            Reading::Body(body, answer) => {
                let mut read = |piece: Piece<'_>| answer.iter_mut().for_each(|answer| answer.read(piece));
                let progress = body.read(cursor, &mut read);
                marks.extend(progress.content_at.map(|at| Mark::Body { at }));
                answer.iter_mut().for_each(|answer| answer.tell(marks));
                match progress.status {
                    Status::Malformed => return Err(head::Malformed),
                    Status::End => self.end_response(marks),
                    Status::More => {}
                }
            }
            Reading::Blind => cursor.finish(),
        }
        Ok(None)
    }

    fn end_response(&mut self, marks: &mut Vec<Mark>) {
        marks.push(Mark::ResponseEnd);
        self.response = Reading::Head(Vec::new());
        self.awaited.pop_front();
        if self.awaited.is_empty() && matches!(self.request, Reading::Blind) {
            // The client has its answer: its next bytes are a new request.
            self.request = Reading::Head(Vec::new());
        }
    }
}
