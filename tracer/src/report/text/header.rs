//! What was captured, in a line or two.

use std::time::{Duration, UNIX_EPOCH};

use super::{format, wrap};
use crate::report::types::Report;

pub fn render(report: &Report, width: usize) -> String {
    let capture = &report.capture;
    let requests = report.requests.len() as u64;
    let processes = report.processes.len() as u64;
    let mut line = format!(
        "{} in {}, traced for {}",
        format::plural(requests, "request"),
        format::plural(processes, "Python process"),
        format::duration(capture.duration_ns),
    );
    if let Some(start) = UNIX_EPOCH.checked_add(Duration::from_nanos(capture.start_unix_ns)) {
        line.push_str(&format!(" from {}", humantime::format_rfc3339_seconds(start)));
    }
    line.push_str(&format!(" on Linux {}", format::printable(&capture.kernel)));
    wrap::words(&line, "", 2, width)
}
