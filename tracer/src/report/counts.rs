//! How often functions were entered, as `tracer record --functions` counts it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCounts {
    pub pattern: String,
    /// From when the first Python had its probes until counting ended; `None` where none had.
    pub counted_ns: Option<u64>,
    pub end: End,
    /// Entries, whichever function's, that found the table of functions full: the counts are too low by so many.
    pub lost: u64,
    /// Those that match, the most often entered first.
    pub functions: Vec<FunctionCount>,
    /// Processes whose Python can't tell, or not all.
    pub uncounted: Vec<Uncounted>,
}

/// Why counting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The recording did.
    Recording,
    /// It went on for as long as was asked for.
    Time,
    /// [`tracer_ebpf::limits::COUNTED`] were counted.
    Limit,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCount {
    pub pid: u32,
    /// Empty where it could not be read, as is `file`.
    pub function: String,
    pub file: String,
    pub count: u64,
    pub told: Told,
    /// Where it was entered or returned, the most often first. Functions of the same name in a file differ by that.
    pub lines: Vec<LineCount>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCount {
    /// `None` for code before its first line, as of a module.
    pub line: Option<u32>,
    pub count: u64,
}

/// What is counted of a Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Each entry, in the line where the function begins; of a generator or coroutine also each time that it goes on.
    Entries,
    /// Each return, in the line where that is; of a generator or coroutine also each time that it yields or waits.
    Returns,
}

impl Told {
    /// As JSON has it.
    pub fn noun(self) -> &'static str {
        match self {
            Told::Entries => "entries",
            Told::Returns => "returns",
        }
    }

    /// A clause for the user.
    pub fn meaning(self) -> &'static str {
        match self {
            Told::Entries => "a generator or coroutine counts each time that it goes on, too",
            Told::Returns => {
                "this Python tells returns, and where they are; a generator or coroutine counts each time that it yields or waits, too"
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncounted {
    pub pid: u32,
    pub reason: String,
}
