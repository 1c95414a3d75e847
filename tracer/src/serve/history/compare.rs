//! Two ranges compared, as two captures are.

use std::time::{Duration, UNIX_EPOCH};

use super::read::{Range, Reader};
use crate::diff::{self, Subject, types::Diff};

/// Requests of each range that are compared, the newest: more tell little more, and take long to draw from.
pub const LIMIT: usize = 2_000;

impl Reader {
    /// What became of the routes from one range to another.
    pub fn diff(&self, base: Range, new: Range) -> anyhow::Result<Diff> {
        let (base_report, _) = self.report(base, LIMIT)?;
        let (new_report, _) = self.report(new, LIMIT)?;
        Ok(diff::compare(
            Subject { file: &name(base), report: &base_report },
            Subject { file: &name(new), report: &new_report },
        ))
    }
}

/// `2026-01-05T10:00:00Z/2026-01-05T10:30:00Z`, as ISO 8601 has it.
fn name(range: Range) -> String {
    let time = |unix_ns| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(unix_ns));
    format!("{}/{}", time(range.from_unix_ns), time(range.to_unix_ns))
}
