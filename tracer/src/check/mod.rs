//! Prerequisites as data: what tracing needs, what is there, and what each gap costs.

mod host;
mod python;
mod text;

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    cli::{CheckOptions, Format},
    event::Unknown,
    output,
};

/// The answer of `tracer check`; its JSON form has the keys of the fields.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Always 1.
    pub schema: u32,
    /// Whether tracing is possible: no required prerequisite is missing.
    pub ok: bool,
    pub prerequisites: Vec<Prerequisite>,
    pub processes: Vec<ProcessCheck>,
}

/// Something that tracing needs of the host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prerequisite {
    pub name: String,
    pub status: Status,
    /// Without it nothing can be traced; else only buckets are lost.
    pub required: bool,
    pub found: String,
    pub needed: String,
    /// Names of the buckets, `llm.*` for a family, that are unknown without it.
    pub buckets: Vec<String>,
    /// Command that fixes it, or what to do where no command can; `None` where nothing is to be fixed.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Something else stands in.
    Fallback,
    Missing,
    /// It could not be looked at, because something else is missing.
    Unchecked,
}

/// What can be seen in a Python process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessCheck {
    pub pid: u32,
    pub exe: String,
    pub cmdline: String,
    /// `3.11.2`, or `3.11` where only that is known.
    pub python: Option<String>,
    pub probes: Vec<ProbeCheck>,
    /// Buckets that no probe can see in this process, with the reason.
    pub unknown: Vec<Unknown>,
    /// Those that samples tell of instead.
    pub sampled: Vec<Unknown>,
}

/// A probe point of a Python process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProbeCheck {
    pub name: String,
    pub available: bool,
    /// Why it is not available.
    pub reason: Option<String>,
}

/// Looks at the host and its Python processes, and prints what it found. Exits with 2 when tracing is not
/// possible.
///
/// # Errors
/// When the answer can't be written; a missing prerequisite is an answer, not an error.
pub fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let check = of(host::prerequisites(&host::Facts::read()), python::processes());
    match options.format {
        Format::Text => output::print(&text::render(&check, output::width(), output::colour()))?,
        Format::Json => output::print(&(serde_json::to_string_pretty(&check)? + "\n"))?,
    }
    Ok(if check.ok { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn of(prerequisites: Vec<Prerequisite>, processes: Vec<ProcessCheck>) -> Check {
    let ok = prerequisites
        .iter()
        .all(|item| !item.required || matches!(item.status, Status::Ok | Status::Fallback));
    Check { schema: 1, ok, prerequisites, processes }
}
