//! Finds the few values of JSON texts that are kept, as they pass by: strings that are of no interest are never stored.
//!
//! It reads what comes in pieces and with parts missing, and takes what is no JSON without complaint.

/// Bytes of a text that are kept: the names of models are shorter.
const TEXT_BYTES: usize = 128;

/// Levels of nesting that are followed; deeper ones hold nothing of interest.
const DEPTH: usize = 32;

/// In `[DONE]`.
const END: &[u8] = b"DONE";

/// The names of members that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Model,
    Stream,
    /// An object with counts of tokens.
    Usage,
    InputTokens,
    OutputTokens,
    /// Output of a model.
    Output,
    /// An object that describes the answer as a whole.
    Envelope,
    /// Why a model stopped.
    Reason,
    /// Whether it did.
    Done,
    /// What an event is.
    Type,
    Error,
    /// OpenAI's mark of the end, which is no object.
    End,
    Other,
}

impl Name {
    /// By what the vendors' interfaces call things: OpenAI, Anthropic, Gemini, Bedrock, Mistral, Cohere, Ollama and those
    /// that speak as one of them.
    fn of(name: &[u8]) -> Name {
        match name {
            b"model" | b"modelVersion" => Name::Model,
            b"stream" => Name::Stream,
            b"usage" | b"usageMetadata" | b"tokens" | b"amazon-bedrock-invocationMetrics" => Name::Usage,
            b"prompt_tokens" | b"input_tokens" | b"promptTokenCount" | b"inputTokens"
            | b"inputTokenCount" | b"prompt_eval_count" => Name::InputTokens,
            b"completion_tokens"
            | b"output_tokens"
            | b"candidatesTokenCount"
            | b"outputTokens"
            | b"outputTokenCount"
            | b"eval_count" => Name::OutputTokens,
            b"content" | b"text" | b"delta" | b"reasoning_content" | b"reasoning" | b"thinking"
            | b"partial_json" | b"arguments" | b"response" => Name::Output,
            b"message" => Name::Envelope,
            b"finish_reason" | b"finishReason" | b"stop_reason" | b"stopReason" => Name::Reason,
            b"done" => Name::Done,
            b"type" => Name::Type,
            b"error" => Name::Error,
            _ => Name::Other,
        }
    }
}

/// A value that is no object and no array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The beginning of a string, with its escapes as they stand.
    Text(&'a [u8]),
    Number(u64),
    Bool(bool),
    Other,
}

/// Where a value stands: its name, that of the object it is in, and how many objects it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub name: Name,
    pub parent: Name,
    pub depth: usize,
}

/// Reads one text after the other.
#[derive(Debug)]
pub struct Scanner {
    landmarks: Landmarks,
    levels: Vec<Level>,
    /// Levels that are open and not followed.
    n_too_deep: u32,
    mode: Mode,
    token: Vec<u8>,
    /// A part was missing: what comes is nowhere.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    is_object: bool,
    /// Of the member that is being read.
    name: Name,
    /// The next string is a name.
    is_name_next: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Between,
    Text {
        is_escaped: bool,
    },
    Literal,
}

/// Members by which a place is found again behind a missing part, as they stand in the text.
pub type Landmarks = &'static [(&'static [u8], Name)];

impl Scanner {
    /// `landmarks` are members of the text as a whole.
    pub fn new(landmarks: Landmarks) -> Scanner {
        Scanner {
            landmarks,
            levels: Vec::new(),
            n_too_deep: 0,
            mode: Mode::Between,
            token: Vec::new(),
            is_lost: false,
        }
    }

    /// Another text begins.
    pub fn reset(&mut self) {
        self.levels.clear();
        self.n_too_deep = 0;
        self.mode = Mode::Between;
        self.is_lost = false;
    }

    /// A part of the text is missing.
    pub fn lose(&mut self) {
        self.reset();
        self.is_lost = true;
    }

    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(Place, Value<'_>)) {
        if self.is_lost {
            let found = self
                .landmarks
                .iter()
                .filter_map(|(text, name)| Some((find(bytes, text)? + text.len(), *name)));
            let Some((at, name)) = found.min_by_key(|(at, _)| *at) else { return };
            bytes = &bytes[at..];
            self.reset();
            self.levels.push(Level { is_object: true, name, is_name_next: false });
        }
        for &byte in bytes {
            self.next(byte, &mut found);
        }
    }

    fn next(&mut self, byte: u8, found: &mut impl FnMut(Place, Value<'_>)) {
        match (self.mode, byte) {
            (Mode::Text { is_escaped: true }, _) => {
                self.keep(byte);
                self.mode = Mode::Text { is_escaped: false };
            }
            (Mode::Text { .. }, b'\\') => {
                self.keep(byte);
                self.mode = Mode::Text { is_escaped: true };
            }
            (Mode::Text { .. }, b'"') => {
                self.mode = Mode::Between;
                self.text_ended(found);
            }
            (Mode::Text { .. }, _) => self.keep(byte),
            (Mode::Literal, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') => self.keep(byte),
            (Mode::Literal, _) => {
                self.mode = Mode::Between;
                self.tell(literal(&self.token), found);
                self.between(byte);
            }
            (Mode::Between, _) => self.between(byte),
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => self.begin(Mode::Text { is_escaped: false }),
            b'{' | b'[' if self.levels.len() >= DEPTH => self.n_too_deep = self.n_too_deep.saturating_add(1),
            b'{' => self.levels.push(Level { is_object: true, name: Name::Other, is_name_next: true }),
            b'[' => self.levels.push(Level { is_object: false, name: Name::Other, is_name_next: false }),
            b'}' | b']' if self.n_too_deep > 0 => self.n_too_deep -= 1,
            b'}' | b']' => drop(self.levels.pop()),
            b',' => {
                if let Some(level) = self.levels.last_mut().filter(|_| self.n_too_deep == 0) {
                    level.is_name_next = level.is_object;
                }
            }
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' => {
                self.begin(Mode::Literal);
                self.keep(byte);
            }
            _ => {}
        }
    }

    fn begin(&mut self, mode: Mode) {
        self.mode = mode;
        self.token.clear();
    }

    fn keep(&mut self, byte: u8) {
        if self.token.len() < TEXT_BYTES {
            self.token.push(byte);
        }
    }

    fn text_ended(&mut self, found: &mut impl FnMut(Place, Value<'_>)) {
        match self.levels.last_mut() {
            Some(level) if level.is_name_next && self.n_too_deep == 0 => {
                level.name = Name::of(&self.token);
                level.is_name_next = false;
            }
            _ => self.tell(Value::Text(&self.token), found),
        }
    }

    /// Items of an array have its name.
    fn tell(&self, value: Value<'_>, found: &mut impl FnMut(Place, Value<'_>)) {
        if self.n_too_deep > 0 {
            return;
        }
        let mut objects = self.levels.iter().rev().filter(|level| level.is_object);
        let Some(own) = objects.next() else {
            if self.token == END {
                found(Place { name: Name::End, parent: Name::Other, depth: 0 }, value);
            }
            return;
        };
        let parent = objects.next().map_or(Name::Other, |level| level.name);
        let depth = self.levels.iter().filter(|level| level.is_object).count();
        found(Place { name: own.name, parent, depth }, value);
    }
}

fn literal(token: &[u8]) -> Value<'_> {
    match token {
        b"true" => Value::Bool(true),
        b"false" => Value::Bool(false),
        _ => {
            str::from_utf8(token).ok().and_then(|text| text.parse().ok()).map_or(Value::Other, Value::Number)
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANDMARKS: Landmarks = &[(b"\"usage\":", Name::Usage)];

    /// What is found of interest, as text.
    fn scan(pieces: &[&[u8]]) -> Vec<String> {
        let mut scanner = Scanner::new(LANDMARKS);
        let mut all = Vec::new();
        for piece in pieces {
            scanner.push(piece, |place, value| {
                if place.name != Name::Other {
                    let value = match value {
                        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        Value::Number(number) => number.to_string(),
                        Value::Bool(is_true) => is_true.to_string(),
                        Value::Other => "?".to_owned(),
                    };
                    all.push(format!("{:?}/{:?}@{}={value}", place.parent, place.name, place.depth));
                }
            });
        }
        all
    }

    const ANSWER: &[u8] = br#"{"id":"a","model":"gpt-4o","choices":[{"delta":{"content":"He said \"model\": {","n":1}}],
        "usage":{"prompt_tokens":10,"prompt_tokens_details":{"prompt_tokens":3},"completion_tokens":20},"stream":true}"#;
    const FOUND: [&str; 6] = [
        "Other/Model@1=gpt-4o",
        "Output/Output@3=He said \\\"model\\\": {",
        "Usage/InputTokens@2=10",
        "Other/InputTokens@3=3",
        "Usage/OutputTokens@2=20",
        "Other/Stream@1=true",
    ];

    #[test]
    fn finds_names_at_their_places() {
        assert_eq!(scan(&[ANSWER]), FOUND);
        assert_eq!(scan(&[br#"{"parts":[{"text":"a"},{"text":"b"}]}"#]).len(), 2);
        assert_eq!(scan(&[br#"{"text":["a",["b"]]}"#]), ["Other/Output@1=a", "Other/Output@1=b"]);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(500));
        assert_eq!(scan(&[long.as_bytes()]), [format!("Other/Model@1={}", "m".repeat(TEXT_BYTES))]);
    }

    #[test]
    fn what_is_too_deep_is_skipped() {
        let open = r#"{"model":"#.repeat(DEPTH + 3);
        let text = format!(r#"{open}"in"{},"stream":false}}"#, "}".repeat(DEPTH + 2));
        assert_eq!(scan(&[text.as_bytes()]), ["Other/Stream@1=false"]);
    }

    #[test]
    fn tokens_are_found_behind_a_gap() {
        let mut scanner = Scanner::new(LANDMARKS);
        let mut tokens = Vec::new();
        let mut found = |place: Place, value: Value<'_>| {
            if let (Name::InputTokens | Name::OutputTokens, Value::Number(number)) = (place.name, value) {
                tokens.push((place.parent, number));
            }
        };
        scanner.push(br#"{"choices":[{"text":"a long answ"#, &mut found);
        scanner.lose();
        scanner.push(
            br#"er, \"prompt_tokens\":3"}],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#,
            &mut found,
        );
        assert_eq!(tokens, [(Name::Usage, 10), (Name::Usage, 20)]);
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(cuts in prop::collection::vec(0..ANSWER.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, ANSWER.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &ANSWER[ends[0]..ends[1]]).collect();
            prop_assert_eq!(scan(&pieces), FOUND);
        }

        #[test]
        fn takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..300), again in "[{}\\[\\]\",:a-e0-9\\\\]{0,200}") {
            scan(&[&bytes, again.as_bytes()]);
        }
    }
}
