//! Glyphs and colours. Without colour the glyphs alone tell the buckets apart.

use anstyle::{AnsiColor, Style};

use crate::report::bucket::Bucket;

/// One character of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph {
    pub character: char,
    pub style: Style,
}

/// A run of a context on a thread.
pub const STEP: Glyph = Glyph { character: '▄', style: AnsiColor::Green.on_default() };

/// The part of a call that none of its phases covers.
pub const CALL: Glyph = Glyph { character: '·', style: Style::new().dimmed() };

/// A bucket that no probe could see.
pub const UNKNOWN: Glyph = Glyph { character: '?', style: AnsiColor::Yellow.on_default() };

/// The glyph of a bucket; phases of a call have that of their `llm.` bucket.
pub fn glyph(bucket: Bucket) -> Glyph {
    use AnsiColor::{Blue, BrightRed, Cyan, Green, Magenta, Red, Yellow};
    let (character, colour) = match bucket {
        Bucket::LlmDns => ('d', Blue),
        Bucket::LlmConnect => ('c', Blue),
        Bucket::LlmTls => ('t', Blue),
        Bucket::LlmSend => ('>', Blue),
        Bucket::LlmFirstByte => ('░', Blue),
        Bucket::LlmStream => ('▒', Magenta),
        Bucket::LlmBackoff => ('z', Red),
        Bucket::NetOther => ('n', Cyan),
        Bucket::Client => ('<', Cyan),
        Bucket::PythonCpu => ('█', Green),
        Bucket::PythonGc => ('g', Green),
        Bucket::PythonImport => ('i', Green),
        Bucket::WaitGil => ('G', Red),
        Bucket::WaitLoop => ('L', BrightRed),
        Bucket::WaitExecutor => ('x', Red),
        Bucket::WaitRunqueue => ('q', Yellow),
        Bucket::WaitLock => ('k', Yellow),
        Bucket::WaitDisk => ('D', Yellow),
        Bucket::WaitSleep => ('_', Yellow),
        Bucket::WaitChild => ('h', Yellow),
        Bucket::Unattributed => return Glyph { character: '~', style: Style::new().dimmed() },
    };
    Glyph { character, style: colour.on_default() }
}

/// Applies styles, or not.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    pub fn new(colour: bool) -> Self {
        Paint { colour }
    }

    pub fn title(self, text: &str) -> String {
        self.apply(Style::new().bold(), text)
    }

    pub fn dim(self, text: &str) -> String {
        self.apply(Style::new().dimmed(), text)
    }

    pub fn warning(self, text: &str) -> String {
        self.apply(AnsiColor::Yellow.on_default(), text)
    }

    /// Cells of a drawing, blank where there is no glyph; neighbours of one style share their escapes.
    pub fn cells(self, cells: &[Option<Glyph>]) -> String {
        cells
            .chunk_by(|a, b| a.map(|glyph| glyph.style) == b.map(|glyph| glyph.style))
            .map(|run| {
                let text: String = run.iter().map(|cell| cell.map_or(' ', |glyph| glyph.character)).collect();
                match run.first().copied().flatten() {
                    Some(glyph) => self.apply(glyph.style, &text),
                    None => text,
                }
            })
            .collect()
    }

    /// An entry of a legend, and the columns it takes.
    pub fn keyed(self, glyph: Glyph, text: &str) -> (String, usize) {
        let mark = self.apply(glyph.style, &glyph.character.to_string());
        (format!("{mark} {text}"), 2 + text.chars().count())
    }

    /// The text in a style, which ends before the line does.
    pub fn apply(self, style: Style, text: &str) -> String {
        let line = text.trim_end_matches('\n');
        if self.colour { format!("{style}{line}{style:#}{}", &text[line.len()..]) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_its_own_glyph() {
        let mut characters: Vec<char> = Bucket::ALL.into_iter().map(|b| glyph(b).character).collect();
        characters.extend([STEP.character, CALL.character, UNKNOWN.character]);
        let all = characters.len();
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), all);
    }

    #[test]
    fn escapes_only_with_colour() {
        let cells = [Some(glyph(Bucket::WaitLoop)), Some(glyph(Bucket::WaitLoop)), None];
        assert_eq!(Paint::new(false).cells(&cells), "LL ");
        let painted = Paint::new(true).cells(&cells);
        assert_eq!(painted.matches("LL").count(), 1);
        assert!(painted.starts_with('\u{1b}') && painted.ends_with(' '));
    }
}
