//! What bodies of requests and answers tell of a call to a model: names and numbers, never the content.

mod coding;
mod event_stream;
mod json;
mod sse;

use self::coding::Decoder;
pub use self::coding::Room;
use self::event_stream::Messages;
use self::json::{Landmarks, Name, Place, Scanner, Value};
use self::sse::Lines;
use super::cursor::Piece;
use crate::event::{Asked, Mark, Told};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Also lines of it (NDJSON).
    Json,
    ServerSentEvents,
    AmazonEventStream,
}

impl Format {
    /// By the media type, in lower case and without parameters.
    pub fn of(media_type: &str) -> Option<Format> {
        match media_type {
            "text/event-stream" => Some(Format::ServerSentEvents),
            "application/vnd.amazon.eventstream" => Some(Format::AmazonEventStream),
            "application/json" | "application/x-ndjson" | "application/jsonl" => Some(Format::Json),
            _ => None,
        }
    }

    /// By how a body begins, where its media type is not known.
    pub fn of_body(beginning: &[u8]) -> Option<Format> {
        let begins = |with: &[u8]| beginning.starts_with(with);
        if begins(b"data:") || begins(b"event:") {
            Some(Format::ServerSentEvents)
        } else {
            begins(b"{").then_some(Format::Json)
        }
    }
}

/// What a question says of itself, also behind a long prompt.
const OF_QUESTION: Landmarks = &[(b"\"model\":", Name::Model), (b"\"stream\":", Name::Stream)];

/// Where an answer counts tokens, also behind a long output.
const OF_ANSWER: Landmarks =
    &[(b"\"usage\":", Name::Usage), (b"\"usageMetadata\":", Name::Usage), (b"\"tokens\":", Name::Usage)];

/// Reads the body of a request.
#[derive(Debug)]
pub struct Question {
    scanner: Scanner,
    asked: Asked,
    said: Asked,
}

impl Question {
    /// With what the head says already.
    pub fn new(asked: Asked) -> Question {
        Question { scanner: Scanner::new(OF_QUESTION), asked, said: Asked::default() }
    }

    pub fn read(&mut self, piece: Piece<'_>) {
        let Piece::Copied(bytes) = piece else { return self.scanner.lose() };
        let asked = &mut self.asked;
        self.scanner.push(bytes, |place, value| match (place, value) {
            (Place { name: Name::Model, depth: 1, .. }, Value::Text(name)) => asked.model = model(name),
            (Place { name: Name::Stream, depth: 1, .. }, Value::Bool(stream)) => asked.stream = Some(stream),
            _ => {}
        });
    }

    /// Adds what was found since the last time.
    pub fn tell(&mut self, marks: &mut Vec<Mark>) {
        if self.asked != self.said {
            marks.push(Mark::Asked(self.asked.clone()));
            self.said = self.asked.clone();
        }
    }
}

/// Of streams that end with an event of their own, without a reason: OpenAI's responses.
const LAST_EVENTS: [&[u8]; 2] = [b"response.completed", b"response.incomplete"];

/// Reads the body of an answer.
#[derive(Debug)]
pub struct Answer {
    decoder: Option<Decoder>,
    framing: Framing,
    scanner: Scanner,
    told: Told,
    said: Told,
    has_content: bool,
}

/// Where texts of JSON begin in a body.
#[derive(Debug)]
enum Framing {
    None,
    Lines(Lines),
    Messages(Messages),
    /// A part of what is compressed is missing: nothing more can be read.
    Lost,
}

/// What a framing gives: texts of JSON, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    /// A text begins.
    Begin,
    Text(&'a [u8]),
}

impl Answer {
    /// `None` where the body is compressed in a way that is not read, or there is no room to.
    pub fn new(format: Format, coding: &str, room: &Room) -> Option<Answer> {
        let decoder = match coding {
            "" | "identity" => None,
            coding => Some(Decoder::of(coding, room)?),
        };
        let framing = match format {
            Format::Json => Framing::None,
            Format::ServerSentEvents => Framing::Lines(Lines::default()),
            Format::AmazonEventStream => Framing::Messages(Messages::default()),
        };
        Some(Answer {
            decoder,
            framing,
            scanner: Scanner::new(OF_ANSWER),
            told: Told::default(),
            said: Told::default(),
            has_content: false,
        })
    }

    pub fn read(&mut self, piece: Piece<'_>) {
        match (piece, &mut self.decoder) {
            (Piece::Copied(bytes), None) => self.read_plain(bytes),
            (Piece::Copied(bytes), Some(decoder)) => match decoder.push(bytes) {
                Some(plain) => self.read_plain(&plain),
                None => self.framing = Framing::Lost,
            },
            (Piece::Hidden(_), Some(_)) => self.framing = Framing::Lost,
            (Piece::Hidden(_), None) => {
                match &mut self.framing {
                    Framing::Lines(lines) => lines.lose(),
                    Framing::Messages(messages) => messages.lose(),
                    Framing::None | Framing::Lost => {}
                }
                self.scanner.lose();
            }
        }
    }

    fn read_plain(&mut self, bytes: &[u8]) {
        let Answer { framing, scanner, told, has_content, .. } = self;
        let mut found = |place: Place, value: Value<'_>| match (place.name, value) {
            (Name::Model, Value::Text(name)) if is_of_answer(place) && told.model.is_none() => {
                told.model = model(name);
            }
            (Name::InputTokens, Value::Number(tokens)) if is_count(place) => told.input_tokens = Some(tokens),
            (Name::OutputTokens, Value::Number(tokens)) if is_count(place) => {
                told.output_tokens = Some(tokens);
            }
            (Name::Output, Value::Text(text)) => *has_content |= !text.is_empty(),
            (Name::End, _) | (Name::Reason, Value::Text(_)) => told.is_ended = true,
            (Name::Done, Value::Bool(is_done)) if place.depth == 1 => told.is_ended |= is_done,
            (Name::Type, Value::Text(kind)) if place.depth == 1 => {
                told.is_ended |= LAST_EVENTS.contains(&kind)
            }
            (Name::Error, Value::Text(_)) if place.depth == 1 => told.is_failed = true,
            _ if place.parent == Name::Error && place.depth == 2 => told.is_failed = true,
            _ => {}
        };
        let mut scan = |part: Part<'_>| match part {
            Part::Begin => scanner.reset(),
            Part::Text(text) => scanner.push(text, &mut found),
        };
        match framing {
            Framing::None => scan(Part::Text(bytes)),
            Framing::Lines(lines) => lines.push(bytes, scan),
            Framing::Messages(messages) => messages.push(bytes, scan),
            Framing::Lost => {}
        }
    }

    /// Adds what was found since the last time.
    pub fn tell(&mut self, marks: &mut Vec<Mark>) {
        if std::mem::take(&mut self.has_content) {
            marks.push(Mark::Content);
        }
        if self.told != self.said {
            marks.push(Mark::Told(self.told.clone()));
            self.said = self.told.clone();
        }
    }
}

/// At the top, in Anthropic's `message` or in the `response` of OpenAI's events.
fn is_of_answer(place: Place) -> bool {
    place.depth == 1 || place.depth == 2 && matches!(place.parent, Name::Envelope | Name::Output)
}

/// In an object that counts tokens, or, as of Ollama, at the top.
fn is_count(place: Place) -> bool {
    place.depth == 1 || place.parent == Name::Usage
}

/// A model's name is no prose.
fn model(name: &[u8]) -> Option<String> {
    let is_name = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'<' | b'>');
    (!name.is_empty() && name.iter().all(is_name)).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests;
