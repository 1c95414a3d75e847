//! What time is shown under: functions, then the bucket of what is no CPU.

use crate::{
    event::{self, is_of_application},
    report::{bucket::Bucket, text::format::printable, types},
};

/// Functions a request was in, and the bucket of the time there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack<'a> {
    /// The outermost first. Empty where it is not known.
    pub frames: Vec<Place<'a>>,
    pub bucket: Bucket,
    /// Whom a wait for an LLM was for, where that is known.
    pub vendor: Option<&'a str>,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place<'a> {
    pub function: &'a str,
    pub file: &'a str,
    /// Where it begins.
    pub line: u32,
}

impl Stack<'_> {
    /// The bucket as a frame, where the time is not that of the innermost function itself: `[llm.first_byte]`.
    pub fn leaf(&self) -> Option<String> {
        let is_own = self.bucket == Bucket::PythonCpu && !self.frames.is_empty();
        (!is_own).then(|| format!("[{}]", self.bucket.name()))
    }
}

impl Place<'_> {
    /// `ask (chat.py:12)`, harmless for a terminal.
    pub fn label(&self) -> String {
        printable(&types::label(self.function, self.file, self.line))
    }

    /// Whether it is the user's own, no library's.
    pub fn is_of_application(&self) -> bool {
        is_of_application(self.file)
    }
}

impl<'a> From<&'a event::Function> for Place<'a> {
    fn from(function: &'a event::Function) -> Place<'a> {
        Place { function: &function.name, file: &function.file, line: function.line }
    }
}

impl<'a> From<&'a types::Frame> for Place<'a> {
    fn from(frame: &'a types::Frame) -> Place<'a> {
        Place { function: &frame.function, file: &frame.file, line: frame.line }
    }
}

impl<'a> From<&'a types::Caller> for Place<'a> {
    fn from(caller: &'a types::Caller) -> Place<'a> {
        Place { function: &caller.function, file: &caller.file, line: caller.first_line }
    }
}
