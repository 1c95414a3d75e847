//! Makes of what is handed out what can be said only of requests beside others: routes, delays, findings.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    finding,
    record::hand_out::Piece,
    report::{
        delays,
        types::{Report, Request, UnknownBucket},
    },
    serve::{
        batch::{Batch, Found},
        routes::Routes,
    },
};

/// Findings are of the requests that finished in one minute of the clock,
const WINDOW_NS: u64 = 60_000_000_000;
/// or of so many, which bounds what is held of them.
const WINDOW_REQUESTS: usize = 250;

/// Requests that finished lately may have delayed those that finish now: so many, ended no longer ago.
const RECENT: usize = 128;
const RECENT_NS: u64 = 5_000_000_000;

pub struct Desk {
    routes: Routes,
    recent: VecDeque<Arc<Request>>,
    window: Vec<Arc<Request>>,
    window_start_unix_ns: u64,
    n_requests: u64,
}

impl Desk {
    /// `routes` is how many are told apart.
    pub fn new(routes: usize) -> Desk {
        Desk {
            routes: Routes::new(routes),
            recent: VecDeque::new(),
            window: Vec::new(),
            window_start_unix_ns: 0,
            n_requests: 0,
        }
    }

    /// What is told of the next piece. The last one ends the stretch of time that findings are of.
    pub fn batch(&mut self, Piece { mut report, vitals, is_last }: Piece) -> Batch {
        let at_unix_ns = report.capture.start_unix_ns.saturating_add(report.capture.duration_ns);
        self.routes.fill_in(&mut report.requests);
        self.fill_in_delays(&mut report.requests, at_unix_ns);
        let requests: Vec<Arc<Request>> = report.requests.drain(..).map(Arc::new).collect();
        self.recent.extend(requests.iter().cloned());
        if self.window.is_empty() {
            self.window_start_unix_ns = at_unix_ns;
        }
        self.window.extend(requests.iter().cloned());
        let is_over = at_unix_ns / WINDOW_NS != self.window_start_unix_ns / WINDOW_NS;
        let ends = is_over || is_last || self.window.len() >= WINDOW_REQUESTS;
        let findings = (ends && !self.window.is_empty()).then(|| self.find(&mut report, at_unix_ns));
        let n_before = self.n_requests;
        self.n_requests += requests.len() as u64;
        let mut unknown = report.capture.unknown;
        unknown.extend(report.capture.sampled.into_iter().map(|sampled| UnknownBucket {
            reason: format!("told by samples alone: {}", sampled.reason),
            ..sampled
        }));
        Batch {
            at_unix_ns,
            n_before,
            requests,
            processes: report.processes,
            unknown,
            lost: report.capture.lost_events,
            findings,
            vitals,
        }
    }

    fn fill_in_delays(&mut self, requests: &mut [Request], at_unix_ns: u64) {
        let is_old = |request: &Arc<Request>| {
            let end_unix_ns = request.start_unix_ns.saturating_add(request.wall_ns);
            at_unix_ns.saturating_sub(end_unix_ns) > RECENT_NS
        };
        while self.recent.len() > RECENT || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        if !requests.is_empty() {
            let recent: Vec<&Request> = self.recent.iter().map(Arc::as_ref).collect();
            delays::fill_in(requests, &recent);
        }
    }

    fn find(&mut self, report: &mut Report, at_unix_ns: u64) -> Found {
        report.requests = self.window.drain(..).map(Arc::unwrap_or_clone).collect();
        let findings = finding::find(report);
        report.requests = Vec::new();
        Found { start_unix_ns: self.window_start_unix_ns, end_unix_ns: at_unix_ns, findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{bucket::Bucket, types::Step},
    };

    fn piece(at_ms: u64, requests: impl IntoIterator<Item = Request>) -> Piece {
        let mut report = report(requests);
        report.capture.start_unix_ns = 0;
        report.capture.duration_ns = at_ms * MS;
        Piece { report, ..Piece::default() }
    }

    #[test]
    fn who_finished_before_is_told_as_the_cause_of_a_delay() {
        let mut desk = Desk::new(10);
        let busy = request("/compute", 6, &[(Bucket::PythonCpu, 60)]);
        let id = busy.id.clone();
        desk.batch(piece(100, [busy]));
        let mut waiting = request("/quick", 5, &[(Bucket::WaitLoop, 80), (Bucket::PythonCpu, 1)]);
        waiting.steps = vec![Step { start_ns: 80 * MS, end_ns: 81 * MS, context: 0, tid: 1, function: None }];
        let batch = desk.batch(piece(1100, [waiting]));
        assert_eq!((batch.requests.len(), batch.n_before), (1, 1));
        assert_eq!(batch.requests[0].delays.len(), 1);
        assert_eq!(batch.requests[0].delays[0].request, id);
        assert!(batch.findings.is_none());
    }

    #[test]
    fn findings_are_of_a_minute() {
        let mut desk = Desk::new(10);
        let slow = |at_ms| request("/slow", at_ms, &[(Bucket::LlmFirstByte, 400)]);
        assert!(desk.batch(piece(59_000, [slow(0)])).findings.is_none());
        let found = desk.batch(piece(60_500, [slow(59_000)])).findings.expect("a minute is over");
        assert_eq!((found.start_unix_ns, found.end_unix_ns), (59_000 * MS, 60_500 * MS));
        assert_eq!(found.findings[0].cost_ns, 800 * MS);
        assert!(desk.batch(piece(61_000, [slow(60_000)])).findings.is_none());
        assert_eq!(
            desk.batch(Piece { is_last: true, ..piece(62_000, []) }).findings.expect("the rest").findings[0]
                .cost_ns,
            400 * MS
        );
        assert!(desk.batch(Piece { is_last: true, ..piece(63_000, []) }).findings.is_none());
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut desk = Desk::new(10);
        for second in 0..20 {
            let many =
                (0..200).map(|number| request("/a", second * 1_000 + number, &[(Bucket::PythonCpu, 1)]));
            desk.batch(piece(1_000 * (second + 1), many));
            assert!(desk.window.len() < WINDOW_REQUESTS && desk.recent.len() <= RECENT + 200);
        }
    }
}
