//! Writes the history that the page is tested with: an hour of 10,080 requests, which are those of the captures over and over. Of
//! one route the second half hour is slower, of another some requests fail, and of one process collections and imports can't be
//! seen. The argument is the file.

use std::{collections::HashMap, env, path::PathBuf, sync::Arc, time::Duration};

use tests::lab::folder;
use tracer::{
    replay,
    report::{
        bucket::Bucket,
        group,
        types::{Buckets, Report, Request, Segment, UnknownBucket},
    },
    serve::{
        batch::{Batch, Batches, Found},
        history::{self, Limits},
    },
    vendor::VendorTable,
};

const CAPTURES: [&str; 5] = ["demo", "chat", "flask-threads", "turns", "script"];

/// The 5th of January 2026, 10:00 UTC.
const START_UNIX_NS: u64 = 1_767_607_200_000_000_000;

const ROUNDS: u64 = 288;
const EVERY_NS: u64 = 3_600_000_000_000 / ROUNDS;

/// A writer is started for so many rounds: it has room for as many batches.
const ROUNDS_AT_ONCE: u64 = 12;

/// The route that becomes slower, by 7/5.
const SLOWER: &str = "GET /chat/{id}";

/// The route of which one request of so many fails.
const FAILING: &str = "GET /ask/{id}";
const FAILS_EVERY: u64 = 20;

/// Where those were sent: what whoever calls an application puts there.
const FOREIGN: &str = "/ask/<img src=x onerror=document.title='changed'>";

/// Seen of no request of this capture, as if its Python had no USDT points.
const UNSEEN_OF: &str = "flask-threads";
const UNSEEN: [Bucket; 2] = [Bucket::PythonGc, Bucket::PythonImport];

fn main() {
    let path = PathBuf::from(env::args_os().nth(1).expect("the argument is the file to write"));
    let vendors = Arc::new(VendorTable::load(None).expect("the built-in vendors"));
    let reports = CAPTURES.map(|name| {
        let capture = folder("captures").join(format!("{name}.trace"));
        let mut report = replay::report(&capture, vendors.clone()).expect("a capture").0;
        if name == UNSEEN_OF {
            hide(&mut report);
        }
        report
    });
    let limits = Limits { requests: Duration::MAX, minutes: Duration::MAX, max_bytes: u64::MAX };
    let mut requests_before = 0;
    for first in (0..ROUNDS).step_by(ROUNDS_AT_ONCE as usize) {
        let batches = Batches::default();
        let writer = history::start(path.clone(), limits, batches.subscribe(), Arc::default());
        for round in first..first + ROUNDS_AT_ONCE {
            let batch = batch(&reports, round, requests_before);
            requests_before += batch.requests.len() as u64;
            batches.publish(batch);
        }
        drop(batches);
        writer.expect("the writer starts").join().expect("the writer ends");
    }
    println!("{requests_before} requests");
}

/// What the daemon would tell if the captures were made in this round, all at once.
fn batch(reports: &[Report], round: u64, mut requests_before: u64) -> Batch {
    let round_unix_ns = START_UNIX_NS + round * EVERY_NS;
    let mut batch = Batch { n_before: requests_before, ..Batch::default() };
    let mut findings = Vec::new();
    for report in reports {
        let start_unix_ns = report.capture.start_unix_ns;
        let moved = |unix_ns: u64| (unix_ns + round_unix_ns).saturating_sub(start_unix_ns);
        let ids: HashMap<&str, String> = report
            .requests
            .iter()
            .zip(requests_before + 1..)
            .map(|(request, number)| (request.id.as_str(), number.to_string()))
            .collect();
        for request in &report.requests {
            let mut request = request.clone();
            request.id = ids[request.id.as_str()].clone();
            request.delays.iter_mut().for_each(|delay| delay.request = ids[delay.request.as_str()].clone());
            request.start_unix_ns = moved(request.start_unix_ns);
            request.calls.iter_mut().for_each(|call| call.start_unix_ns = moved(call.start_unix_ns));
            requests_before += 1;
            let label = group::label(&request);
            if label == SLOWER && round >= ROUNDS / 2 {
                slow_down(&mut request);
            }
            if label == FAILING && requests_before.is_multiple_of(FAILS_EVERY) {
                request.status = Some(500);
                request.path = Some(FOREIGN.to_owned());
            }
            batch.at_unix_ns = batch.at_unix_ns.max(request.start_unix_ns + request.wall_ns);
            batch.requests.push(Arc::new(request));
        }
        for process in &report.processes {
            let mut process = process.clone();
            process.start_unix_ns = process.start_unix_ns + START_UNIX_NS - start_unix_ns;
            batch.processes.push(process);
        }
        batch.unknown.extend(report.capture.unknown.iter().cloned());
        findings.extend(report.findings.iter().cloned());
    }
    if round == 0 {
        batch.lost = [("sample".to_owned(), 34)].into();
    }
    batch.findings = Some(Found { start_unix_ns: round_unix_ns, end_unix_ns: batch.at_unix_ns, findings });
    batch
}

fn hide(report: &mut Report) {
    for request in &mut report.requests {
        for bucket in UNSEEN {
            let ns = request.buckets.get(bucket).unwrap_or_default();
            request.buckets.add(Bucket::PythonCpu, ns);
            request.buckets.set(bucket, None);
        }
        let segments = request.timeline.iter_mut().filter(|segment| UNSEEN.contains(&segment.bucket));
        segments.for_each(|segment| segment.bucket = Bucket::PythonCpu);
    }
    let reason = "this Python has no USDT points".to_owned();
    for process in &report.processes {
        let unknown = UNSEEN.map(|bucket| UnknownBucket {
            pid: process.pid,
            bucket: bucket.name().to_owned(),
            reason: reason.clone(),
        });
        report.capture.unknown.extend(unknown);
    }
}

/// All times of a request, longer in the same proportion.
fn slow_down(request: &mut Request) {
    let longer = |ns: &mut u64| *ns = *ns * 7 / 5;
    let stretch = |segment: &mut Segment| {
        longer(&mut segment.start_ns);
        longer(&mut segment.end_ns);
    };
    longer(&mut request.wall_ns);
    request.first_byte_ns.iter_mut().for_each(longer);
    request.timeline.iter_mut().for_each(stretch);
    for step in &mut request.steps {
        longer(&mut step.start_ns);
        longer(&mut step.end_ns);
    }
    for call in &mut request.calls {
        for ns in [&mut call.start_ns, &mut call.wall_ns] {
            longer(ns);
        }
        call.first_byte_ns.iter_mut().for_each(longer);
        call.first_content_ns.iter_mut().for_each(longer);
        call.stream_ns.iter_mut().for_each(longer);
        call.start_unix_ns = request.start_unix_ns + call.start_ns;
        call.phases.iter_mut().for_each(stretch);
    }
    let mut buckets = Buckets::zero();
    for (bucket, ns) in request.buckets.iter() {
        buckets.set(bucket, ns.map(|_| 0));
    }
    for segment in &request.timeline {
        buckets.add(segment.bucket, segment.end_ns - segment.start_ns);
    }
    request.buckets = buckets;
}
