//! Server-sent events (WHATWG HTML, section 9.2): the bytes of `data` lines, each of which is a text of its own.

use super::Part;

/// Splits a stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    line: Line,
}

#[derive(Debug, Default)]
enum Line {
    /// In front of `data:`, of which so many bytes matched.
    #[default]
    Start,
    Field {
        matched: usize,
    },
    Data,
    Skipped,
}

const DATA: &[u8] = b"data:";

impl Lines {
    /// A part is missing. What comes is taken for data up to the end of its line, as long lines are.
    pub fn lose(&mut self) {
        self.line = Line::Data;
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Part<'_>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if matches!(byte, b'\n' | b'\r') {
                self.line = Line::Start;
                bytes = rest;
                continue;
            }
            match self.line {
                Line::Data => {
                    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    let (data, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    each(Part::Text(data));
                    bytes = rest;
                    continue;
                }
                Line::Skipped => {}
                Line::Start | Line::Field { .. } => {
                    let matched = if let Line::Field { matched } = self.line { matched } else { 0 };
                    self.line = match DATA.get(matched) {
                        Some(expected) if *expected == byte && matched + 1 == DATA.len() => {
                            each(Part::Begin);
                            Line::Data
                        }
                        Some(expected) if *expected == byte => Line::Field { matched: matched + 1 },
                        _ => Line::Skipped,
                    };
                }
            }
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data of each line.
    fn data(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all: Vec<String> = Vec::new();
        for piece in pieces {
            lines.push(piece, |part| match part {
                Part::Begin => all.push(String::new()),
                Part::Text(bytes) => {
                    if let Some(last) = all.last_mut() {
                        last.push_str(&String::from_utf8_lossy(bytes));
                    }
                }
            });
        }
        all
    }

    const STREAM: &[u8] =
        b": a comment\nevent: ping\ndata: {}\n\ndata:[DONE]\r\n\r\ndatax: no\nid: 7\rdata: data: x\n";

    #[test]
    fn only_data_lines_count() {
        assert_eq!(data(&[STREAM]), [" {}", "[DONE]", " data: x"]);
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(cut in 0..STREAM.len()) {
            prop_assert_eq!(data(&[&STREAM[..cut], &STREAM[cut..]]), data(&[STREAM]));
        }
    }
}
