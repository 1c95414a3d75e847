//! How often functions were entered, where that was counted.

use std::collections::BTreeSet;

use tracer_ebpf::limits;

use super::{format, paint::Paint, wrap};
use crate::report::{
    counts::{End, FunctionCount, FunctionCounts, LineCount, Told},
    types::{self, Report},
};

/// Functions that are listed; JSON has all.
const LISTED: usize = 40;

pub fn render(report: &Report, width: usize, paint: Paint) -> String {
    let Some(counts) = &report.function_counts else { return String::new() };
    let words = |text: &str| wrap::words(&format::printable(text), "  ", 4, width);
    let how_long = match (counts.counted_ns, counts.end) {
        (None, _) => "not counted".to_owned(),
        (Some(ns), End::Recording) => format!("counted for {}", format::duration(ns)),
        (Some(ns), End::Time) => format!("counted for {}, as long as was asked for", format::duration(ns)),
        (Some(ns), End::Limit) => format!("counted for {}, up to the limit", format::duration(ns)),
    };
    let title = format!("functions like {}, {how_long}", counts.pattern);
    let mut text = format!("{}\n", paint.title(&format::fit(&format::printable(&title), width)));
    if counts.functions.is_empty() && counts.counted_ns.is_some() {
        text.push_str(&words("none was entered"));
    }
    text.push_str(&listed(counts, width));
    let told: BTreeSet<Told> = counts.functions.iter().map(|function| function.told).collect();
    for told in told {
        text.push_str(&words(&format!("{}: {}", told.noun(), told.meaning())));
    }
    if counts.end == End::Limit {
        let limit = format::count(limits::COUNTED);
        text.push_str(&words(&format!(
            "counting ended with {limit} entries, of all functions of all processes"
        )));
    }
    for uncounted in &counts.uncounted {
        text.push_str(&words(&format!("not counted in process {}: {}", uncounted.pid, uncounted.reason)));
    }
    if counts.lost > 0 {
        let line = format!(
            "{} more found the table of {} functions full: counts may be too low by so many. Record fewer processes, with -p",
            format::count(counts.lost),
            format::count(limits::FUNCTIONS.into()),
        );
        text.push_str(&paint.warning(&words(&line)));
    }
    text
}

fn listed(counts: &FunctionCounts, width: usize) -> String {
    let figures = |function: &FunctionCount| {
        (format::count(function.count), function.told.noun(), format!("process {}", function.pid))
    };
    let shown = counts.functions.iter().take(LISTED);
    let of_count = shown.clone().map(|function| figures(function).0.len()).max().unwrap_or_default();
    let of_process = shown.clone().map(|function| figures(function).2.len()).max().unwrap_or_default();
    let mut text = String::new();
    for function in shown {
        let (count, noun, process) = figures(function);
        let name = format::printable(&label(function));
        let line = format!("  {count:>of_count$} {noun:7}  {process:of_process$}  {name}");
        text.push_str(&format::fit(&line, width));
        text.push('\n');
    }
    let more = counts.functions.len().saturating_sub(LISTED);
    if more > 0 {
        text.push_str(&format!("  and {} more, which --format json lists\n", format::count(more as u64)));
    }
    text
}

/// `ask (chat.py:12)`, and how often in which line, where that is several.
fn label(of: &FunctionCount) -> String {
    let name = if of.function.is_empty() { "(its name could not be read)" } else { &of.function };
    let first = of.lines.first().and_then(|first| first.line);
    let mut label = types::label(name, &of.file, first.unwrap_or(0));
    if first.is_none() {
        label = label.replace(":0)", ")");
    }
    if of.lines.len() > 1 {
        let in_line = |line: &LineCount| {
            let count = format::count(line.count);
            line.line.map_or_else(
                || format!("{count} before its first line"),
                |at| format!("{count} in line {at}"),
            )
        };
        let in_lines: Vec<String> = of.lines.iter().map(in_line).collect();
        label = format!("{label}: {}", in_lines.join(", "));
    }
    label
}
