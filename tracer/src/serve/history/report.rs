//! The report of a stretch of time, as of a capture, as far as the history holds it.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use rusqlite::Row;

use super::{
    read::{Range, Reader},
    whole::Whole,
};
use tracer_ebpf::limits::SAMPLES_PER_SECOND;

use crate::{
    record::pipeline::clocks,
    report::types::{Capture, Process, Report, Request},
};

/// Requests that a report is made of at most, the newest: what is held at once is bounded.
pub const LIMIT: usize = 20_000;

/// The report of a history, or of the default one, from so long ago until now, or of all, and what is to be said of it.
///
/// # Errors
/// When there is no history, or it can't be read.
pub fn of(path: Option<&Path>, since: Option<Duration>) -> anyhow::Result<(Report, Option<String>)> {
    let reader = Reader::open(path.unwrap_or(Path::new(super::PATH)))?;
    let (_, to_unix_ns) = clocks();
    let since_ns = since.map(|since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    let from_unix_ns = match since_ns {
        Some(since_ns) => to_unix_ns.saturating_sub(since_ns),
        None => reader.first_unix_ns()?.unwrap_or(to_unix_ns),
    };
    let (report, is_more) = reader.report(Range { from_unix_ns, to_unix_ns }, LIMIT)?;
    let note =
        || format!("there are more requests: the report is of the newest {LIMIT}; ask for a shorter --since");
    Ok((report, is_more.then(note)))
}

impl Reader {
    /// When the first request began that is kept.
    fn first_unix_ns(&self) -> anyhow::Result<Option<u64>> {
        let find = "SELECT min(start_unix_ns) FROM requests";
        let first: Option<i64> = self.database.query_row(find, [], |row| row.get(0))?;
        Ok(first.map(|first| first as u64))
    }

    /// The report of what ended within a range, of so many requests at most, the newest, and whether there are more.
    pub fn report(&self, range: Range, limit: usize) -> anyhow::Result<(Report, bool)> {
        let mut statement = self.database.prepare_cached(
            "SELECT whole FROM requests WHERE end_unix_ns BETWEEN ? AND ? ORDER BY end_unix_ns DESC LIMIT ?",
        )?;
        let times = [range.from_unix_ns as i64, range.to_unix_ns as i64, limit as i64 + 1];
        let whole = |row: &Row| row.get::<_, Vec<u8>>(0);
        let mut requests = Vec::<Request>::new();
        for bytes in statement.query_map(times, whole)? {
            let whole = Whole::decode(&bytes?).context("a request of the history, of another version")?;
            requests.push(whole.into_request());
        }
        let is_more = requests.len() > limit;
        requests.truncate(limit);
        // In order of appearance, as in a capture.
        requests.sort_by_key(|request| request.id.parse::<u64>().unwrap_or_default());
        let seen = self.processes(range)?;
        let processes: Vec<Process> = seen.iter().map(|seen| seen.process.clone()).collect();
        let duration = Duration::from_nanos(range.to_unix_ns.saturating_sub(range.from_unix_ns));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let capture = Capture {
            start_unix_ns: range.from_unix_ns,
            duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            kernel: kernel.trim().to_owned(),
            samples_per_second: SAMPLES_PER_SECOND,
            lost_events: self.losses(range)?,
            unknown: seen.into_iter().flat_map(|seen| seen.unknown).collect(),
            sampled: Vec::new(),
        };
        let findings = self.findings(range)?;
        Ok((Report { schema: 1, capture, processes, requests, findings, function_counts: None }, is_more))
    }
}
