//! What bodies of requests and answers tell of a call to a model: names and numbers, never the content.

mod json;
mod sse;

use self::json::{Name, Place, Scanner, Value};
use self::sse::{Lines, Part};
use super::cursor::Piece;
use crate::event::{Asked, Mark, Told};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Also lines of it (NDJSON).
    Json,
    ServerSentEvents,
}

impl Format {
    /// By the media type, in lower case and without parameters.
    pub fn of(media_type: &str) -> Option<Format> {
        match media_type {
            "text/event-stream" => Some(Format::ServerSentEvents),
            "application/json" | "application/x-ndjson" | "application/jsonl" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Reads the body of a request.
#[derive(Debug, Default)]
pub struct Question {
    scanner: Scanner,
    asked: Asked,
    said: Asked,
}

impl Question {
    /// With what the head says already.
    pub fn new(asked: Asked) -> Question {
        Question { asked, ..Question::default() }
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

/// Reads the body of an answer.
#[derive(Debug)]
pub struct Answer {
    /// Where it is a stream of events.
    lines: Option<Lines>,
    scanner: Scanner,
    told: Told,
    said: Told,
    has_content: bool,
}

impl Answer {
    pub fn new(format: Format) -> Answer {
        let lines = (format == Format::ServerSentEvents).then(Lines::default);
        Answer {
            lines,
            scanner: Scanner::default(),
            told: Told::default(),
            said: Told::default(),
            has_content: false,
        }
    }

    pub fn read(&mut self, piece: Piece<'_>) {
        let Answer { lines, scanner, told, has_content, .. } = self;
        let Piece::Copied(bytes) = piece else {
            lines.iter_mut().for_each(Lines::lose);
            return scanner.lose();
        };
        let found = |place: Place, value: Value<'_>| match (place.name, value) {
            (Name::Model, Value::Text(name)) if is_of_answer(place) && told.model.is_none() => {
                told.model = model(name);
            }
            (Name::InputTokens, Value::Number(tokens)) if is_count(place) => told.input_tokens = Some(tokens),
            (Name::OutputTokens, Value::Number(tokens)) if is_count(place) => {
                told.output_tokens = Some(tokens);
            }
            (Name::Output, Value::Text(text)) => *has_content |= !text.is_empty(),
            _ => {}
        };
        let mut found = found;
        match lines {
            None => scanner.push(bytes, found),
            Some(lines) => lines.push(bytes, |part| match part {
                Part::Begin => scanner.reset(),
                Part::Data(data) => scanner.push(data, &mut found),
            }),
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
