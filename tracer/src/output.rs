//! Results on standard output or in a file.

use std::{
    ffi::OsStr,
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};

use crate::{
    cli::{Format, ReportFormat},
    diff::{self, types::Diff},
    export::{callgrind, firefox, folded, perfetto, pprof, speedscope, svg},
    hint::Hint as _,
    report::{filter::Filter, json, text, types::Report},
};

/// Columns where there is no terminal to ask.
const WIDTH: usize = 80;

/// Writes a report to a file, or to standard output where none is given.
///
/// # Errors
/// When the filter names a request or route that the report does not have, what is no text would go to a terminal, or writing
/// fails.
pub fn report(
    report: &Report,
    format: ReportFormat,
    filter: &Filter,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    let asked = filter.request.as_deref().or(filter.route.as_deref());
    if let (Some(asked), true) = (asked, filter.matching(report).is_empty()) {
        return Err(anyhow!("nothing of `{asked}` among {} requests", report.requests.len()))
            .hint("the same command without --request and --route shows what there is");
    }
    if let (Some((name, example)), None, true) = (format.binary(), file, io::stdout().is_terminal()) {
        return Err(anyhow!("{name} is no text, and standard output is a terminal"))
            .hint(format!("tracer report CAPTURE --format {name} -o {example}"));
    }
    let rendered = match format {
        ReportFormat::Text => {
            let (width, colour) = if file.is_some() { (WIDTH, false) } else { (width(), colour()) };
            text::render(report, &text::Options { width, colour, filter: filter.clone() }).into_bytes()
        }
        ReportFormat::Json => json::render(report, filter).into_bytes(),
        ReportFormat::Callgrind => callgrind::render(report, filter).into_bytes(),
        ReportFormat::Speedscope => speedscope::render(report, filter).into_bytes(),
        ReportFormat::Pprof => pprof::render(report, filter),
        ReportFormat::Firefox => firefox::render(report, filter).into_bytes(),
        ReportFormat::Perfetto => perfetto::render(report, filter),
        ReportFormat::Folded => folded::render(report, filter).into_bytes(),
        ReportFormat::Svg => svg::render(report, filter).into_bytes(),
    };
    match file {
        Some(path) => fs::write(path, rendered).with_context(|| format!("write `{}`", path.display())),
        None => write(&rendered),
    }
}

/// Prints a comparison.
///
/// # Errors
/// When writing fails.
pub fn diff(diff: &Diff, format: Format) -> anyhow::Result<()> {
    print(&match format {
        Format::Json => diff::json::render(diff),
        Format::Text => diff::text::render(diff, diff::text::Options { width: width(), colour: colour() }),
    })
}

/// Writes to standard output. A reader that went away, as `head` does, is no error.
///
/// # Errors
/// When writing fails otherwise, as on a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(text.as_bytes())
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write to standard output"),
    }
}

/// Whether standard output is a terminal that wants colour (<https://no-color.org>).
pub fn colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").as_deref() != Some(OsStr::new("dumb"))
}

/// Columns of the terminal, else of `COLUMNS`, else 80.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.filter(|_| io::stdout().is_terminal()).or_else(variable).unwrap_or(WIDTH)
}
