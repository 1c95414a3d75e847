//! A request as it is shown, with what others in the history tell of it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    read::{Range, Reader},
    whole::{PIECES, Whole},
    writer::end_unix_ns,
};
use crate::{
    finding::loop_wait::{Threads, waits},
    report::{
        packed::Packed,
        types::{Delay, Function, Request, UnknownBucket},
    },
};

#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    pub whole: Whole,
    /// When who of the delays had the event loop, in order, as far as those are still in the history.
    pub held_up: Vec<HeldUp>,
    /// What could not be seen of its process.
    pub unknown: Vec<UnknownBucket>,
}

/// A part of a wait for the event loop; from the request's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeldUp {
    pub start_ns: u64,
    pub end_ns: u64,
    /// Index into the request's delays.
    pub delay: usize,
}

impl Reader {
    /// As [`Reader::request`], with what others tell of it.
    pub fn detail(&self, id: &str) -> anyhow::Result<Option<Detail>> {
        let Some(whole) = self.request(id)? else { return Ok(None) };
        let request = whole.clone().into_request();
        let range = Range { from_unix_ns: request.start_unix_ns, to_unix_ns: end_unix_ns(&request) };
        let process = self.processes(range)?.into_iter().rfind(|seen| seen.process.pid == request.pid);
        let unknown = process.map(|seen| seen.unknown).unwrap_or_default();
        let ids: BTreeSet<&str> = request.delays.iter().map(|delay| delay.request.as_str()).collect();
        let mut others = Vec::new();
        for id in ids {
            others.extend(self.request(id)?.map(Whole::into_request));
        }
        let held_up = held_up(&request, &others);
        // They have an answer of their own.
        let whole = Whole { stacks: Packed::default(), ..whole };
        Ok(Some(Detail { whole, held_up, unknown }))
    }
}

fn held_up(request: &Request, others: &[Request]) -> Vec<HeldUp> {
    let threads = Threads::new(std::iter::once(request).chain(others));
    let parts = waits(request).flat_map(|wait| {
        threads.during(request, wait).filter_map(|(busy, _)| {
            let function = busy.function.map(Function::frame);
            let is_of = |delay: &Delay| delay.request == busy.request.id && delay.function == function;
            Some(HeldUp {
                start_ns: busy.start_ns.saturating_sub(request.start_unix_ns).max(wait.start_ns),
                end_ns: busy.end_ns.saturating_sub(request.start_unix_ns).min(wait.end_ns),
                delay: request.delays.iter().position(is_of)?,
            })
        })
    });
    parts.take(PIECES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{bucket::Bucket, delays, types::Step},
    };

    #[test]
    fn who_held_the_loop_is_told_with_its_place() {
        let mut waiting = request("/quick", 5, &[(Bucket::WaitLoop, 80), (Bucket::PythonCpu, 1)]);
        waiting.steps = vec![Step { start_ns: 80 * MS, end_ns: 81 * MS, context: 0, tid: 1, function: None }];
        let long = request("/compute", 6, &[(Bucket::PythonCpu, 60)]);
        let mut report = report([waiting, long]);
        delays::fill_in(&mut report.requests, &[]);
        let [waiting, long]: [Request; 2] = report.requests.try_into().expect("two");
        let expected = [HeldUp { start_ns: MS, end_ns: 61 * MS, delay: 0 }];
        assert_eq!(held_up(&waiting, &[long]), expected);
        assert_eq!(held_up(&waiting, &[]), []);
    }
}
