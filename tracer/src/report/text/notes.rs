//! What the report cannot vouch for: buckets that no probe could see, and lost events.

use std::collections::BTreeMap;

use tracer_ebpf::limits;

use super::{format, paint::Paint, wrap};
use crate::{
    attach::load::MISSED,
    report::{
        stats,
        types::{Report, UnknownBucket},
    },
};

/// Pids that are named in a line; of more, only the number is given.
const PIDS: usize = 4;

pub fn render(report: &Report, width: usize, paint: Paint) -> String {
    let sampled = format!("sampled, {} times a second of CPU time", report.capture.samples_per_second);
    unseen("not seen (?)", &report.capture.unknown, width, paint)
        + &unseen(&sampled, &report.capture.sampled, width, paint)
        + &lost(report, width, paint)
}

/// One line for each reason, with the buckets and processes it is about.
fn unseen(title: &str, of: &[UnknownBucket], width: usize, paint: Paint) -> String {
    let mut pids_by_cause = BTreeMap::<(&str, &str), Vec<u32>>::new();
    for unseen in of {
        pids_by_cause.entry((&unseen.reason, &unseen.bucket)).or_default().push(unseen.pid);
    }
    let mut buckets_by_reason = BTreeMap::<(&str, Vec<u32>), Vec<&str>>::new();
    for ((reason, bucket), pids) in pids_by_cause {
        buckets_by_reason.entry((reason, pids)).or_default().push(bucket);
    }
    if buckets_by_reason.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", paint.title(title));
    for ((reason, pids), buckets) in buckets_by_reason {
        let line = format!("{} in {}: {}", buckets.join(", "), processes(&pids), reason);
        text.push_str(&wrap::words(&format::printable(&line), "  ", 4, width));
    }
    text
}

fn processes(pids: &[u32]) -> String {
    let named: Vec<String> = pids.iter().map(u32::to_string).collect();
    match named.as_slice() {
        [pid] => format!("process {pid}"),
        pids if pids.len() <= PIDS => format!("processes {}", pids.join(", ")),
        pids => format!("{} processes", pids.len()),
    }
}

/// How many events were lost, which requests that touched, and what to do.
fn lost(report: &Report, width: usize, paint: Paint) -> String {
    let lost = report.capture.lost_events.iter().filter(|(_, count)| **count > 0);
    let (missed, dropped): (Vec<_>, Vec<_>) = lost.partition(|(kind, _)| kind.starts_with(MISSED));
    let incomplete = report.requests.iter().filter(|request| !request.complete).count() as u64;
    let line = |lost: &[(&String, &u64)], advice: String| {
        if lost.is_empty() {
            return String::new();
        }
        let total = stats::sum(lost.iter().map(|(_, count)| **count));
        let kinds: Vec<String> =
            lost.iter().map(|(kind, number)| format!("{kind} {}", format::count(**number))).collect();
        let line = format!(
            "lost {} ({}); {} marked incomplete. {advice}",
            format::plural(total, "event"),
            kinds.join(", "),
            format::plural(incomplete, "request"),
        );
        paint.warning(&wrap::words(&format::printable(&line), "", 2, width))
    };
    let room = format!(
        "Give the ring buffer more room: tracer record --ring-bytes {} (default {})",
        limits::RING_BYTES * 4,
        limits::RING_BYTES,
    );
    let interrupted =
        "The kernel left out probes whose CPU it had taken from another run of the same probe: \
                       `tracer check` says whether this kernel has a better way"
            .to_owned();
    line(&dropped, room) + &line(&missed, interrupted)
}
