//! The answer of `tracer check` for a terminal.

use anstyle::{AnsiColor, Style};

use super::{Check, Prerequisite, ProcessCheck, Status};
use crate::report::text::{format, wrap};

/// Columns of the name, after the mark.
const NAME: usize = 26;

/// Everything that was checked, a line or more each; ends with whether tracing is possible.
pub fn render(check: &Check, width: usize, colour: bool) -> String {
    let (unchecked, checked): (Vec<&Prerequisite>, Vec<&Prerequisite>) =
        check.prerequisites.iter().partition(|item| item.status == Status::Unchecked);
    let mut text: String = checked.iter().map(|item| host_line(item, width, colour)).collect();
    text.push_str(&unchecked_lines(&unchecked, width, colour));
    text.push('\n');
    if check.processes.is_empty() {
        text.push_str("no Python process found\n");
    }
    for process in &check.processes {
        text.push_str(&process_lines(process, width, colour));
    }
    text.push('\n');
    let missing = checked.iter().filter(|item| item.required && item.status == Status::Missing);
    let missing: Vec<&str> = missing.map(|item| item.name.as_str()).collect();
    let verdict = match missing.as_slice() {
        [] if check.ok => "tracing is possible".to_owned(),
        [] => "whether tracing is possible could not be looked at".to_owned(),
        names => format!("tracing is not possible without {}", names.join(", ")),
    };
    text + &wrap::words(&verdict, "", 2, width)
}

/// What could not be looked at, together: it has one cause and one fix.
fn unchecked_lines(items: &[&Prerequisite], width: usize, colour: bool) -> String {
    let Some(first) = items.first() else { return String::new() };
    let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    entry(Mark::Doubtful, "not looked at", &names.join(", "), width, colour) + &fix_line(first)
}

/// The command that closes a gap, on a line of its own to be copied whole.
fn fix_line(item: &Prerequisite) -> String {
    item.fix.as_ref().map(|fix| format!("    → {fix}\n")).unwrap_or_default()
}

fn host_line(item: &Prerequisite, width: usize, colour: bool) -> String {
    let mut line = item.found.clone();
    if matches!(item.status, Status::Missing | Status::Unchecked) {
        line = format!("{line}; needed: {}", item.needed);
        if !item.buckets.is_empty() {
            line.push_str(&format!("; without it unknown: {}", item.buckets.join(", ")));
        }
    }
    let mark = match (item.status, item.required) {
        (Status::Ok, _) => Mark::Good,
        (Status::Missing, true) => Mark::Bad,
        _ => Mark::Doubtful,
    };
    entry(mark, &item.name, &line, width, colour) + &fix_line(item)
}

fn process_lines(process: &ProcessCheck, width: usize, colour: bool) -> String {
    let python = process.python.as_deref().unwrap_or("of unknown version");
    let heading = format!("process {}: Python {python}, {}, {}", process.pid, process.exe, process.cmdline);
    let mut text = wrap::words(&format::printable(&heading), "", 2, width);
    for probe in &process.probes {
        let mark = if probe.available { Mark::Good } else { Mark::Doubtful };
        let state = match (&probe.reason, probe.available) {
            (Some(reason), _) => reason.as_str(),
            (None, true) => "available",
            (None, false) => "not available",
        };
        text.push_str(&entry(mark, &probe.name, state, width, colour));
    }
    for unknown in &process.unknown {
        text.push_str(&entry(Mark::Unknown, &unknown.bucket, &unknown.reason, width, colour));
    }
    for sampled in &process.sampled {
        let reason = format!("by samples: {}", sampled.reason);
        text.push_str(&entry(Mark::Sampled, &sampled.bucket, &reason, width, colour));
    }
    text
}

#[derive(Clone, Copy)]
enum Mark {
    Good,
    Bad,
    Doubtful,
    /// A bucket that will be `?`.
    Unknown,
    /// A bucket that only samples tell of.
    Sampled,
}

fn entry(mark: Mark, name: &str, state: &str, width: usize, colour: bool) -> String {
    let (mark, style) = match mark {
        Mark::Good => ("ok", AnsiColor::Green.on_default()),
        Mark::Bad => ("no", AnsiColor::Red.on_default()),
        Mark::Doubtful => ("--", AnsiColor::Yellow.on_default()),
        Mark::Unknown => (" ?", Style::new().dimmed()),
        Mark::Sampled => (" ~", Style::new().dimmed()),
    };
    let mark = if colour { format!("{style}{mark}{style:#}") } else { mark.to_owned() };
    let name = format::printable(name);
    let indent = NAME + 3;
    let lines = wrap::words(&format::printable(state), &format!("   {name:NAME$} "), indent + 1, width);
    // The mark stands in the first two of the three columns that were left for it.
    format!("{mark}{}", lines.strip_prefix("  ").unwrap_or(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{ProbeCheck, of};
    use crate::event::Unknown;

    fn missing(required: bool) -> Prerequisite {
        Prerequisite {
            name: "tcp:tcp_probe".to_owned(),
            status: Status::Missing,
            required,
            found: "not in this kernel".to_owned(),
            needed: "for the buckets it fills".to_owned(),
            buckets: vec!["wait.loop".to_owned()],
            fix: Some("boot another".to_owned()),
        }
    }

    #[test]
    fn a_gap_says_what_it_costs_and_how_to_close_it() {
        let text = render(&of(vec![missing(false)], Vec::new()), 200, false);
        assert!(text.contains("without it unknown: wait.loop\n    → boot another\n"), "{text}");
        assert!(text.contains("no Python process found"));
        assert!(text.ends_with("tracing is possible\n"));
    }

    #[test]
    fn a_required_gap_decides() {
        let check = of(vec![missing(true)], Vec::new());
        assert!(!check.ok);
        assert!(render(&check, 80, false).ends_with("tracing is not possible without tcp:tcp_probe\n"));
    }

    #[test]
    fn what_could_not_be_looked_at_stands_together() {
        let unchecked = |name: &str| Prerequisite {
            name: name.to_owned(),
            status: Status::Unchecked,
            fix: Some("sudo tracer check".to_owned()),
            ..missing(true)
        };
        let text = render(&of(vec![unchecked("a:b"), unchecked("c:d")], Vec::new()), 80, false);
        assert!(text.contains("a:b, c:d\n    → sudo tracer check\n"), "{text}");
        assert!(text.ends_with("could not be looked at\n"));
    }

    #[test]
    fn processes_show_their_probes_and_what_stays_unknown() {
        let process = ProcessCheck {
            pid: 7,
            python: Some("3.12.1".to_owned()),
            cmdline: "python\u{1b}[2J".to_owned(),
            probes: vec![
                ProbeCheck { name: "context_run".to_owned(), available: true, reason: None },
                ProbeCheck {
                    name: "gc__start".to_owned(),
                    available: false,
                    reason: Some("no USDT".to_owned()),
                },
            ],
            unknown: vec![Unknown { bucket: "python.gc".to_owned(), reason: "no USDT".to_owned() }],
            ..ProcessCheck::default()
        };
        let text = render(&of(Vec::new(), vec![process]), 80, true);
        assert!(text.contains("process 7: Python 3.12.1") && text.contains("python.gc"));
        assert!(!text.contains("[2J\u{1b}") && !text.contains("\u{1b}[2J"));
    }
}
