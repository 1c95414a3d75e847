//! Calls over HTTP/2: many at once share a connection.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording, truth::Truth};
use tracer::{
    capture::Capture,
    event::Body,
    replay::Replay,
    report::{bucket::Bucket, types::Report},
    vendor::VendorTable,
};

use crate::application::{multiplexed, traced};

const TASKS: [&str; 3] = ["/one/{id}", "/three/{id}", "/again/{id}"];
const THREAD: &str = "/thread/{id}";

#[test]
fn calls_that_share_a_connection() {
    let Recorded { report, truth, .. } = record(&Python::system(), "4", "1");
    Comparison::new("HTTP/2, one request at a time".to_owned(), &report, &truth).check();
    let calls = || report.requests.iter().flat_map(|request| &request.calls);
    // One by each client, and those that a shared pool opens before it knows that it need not.
    let opened = calls().filter(|call| !call.connection_reused).count();
    assert!(opened <= 4, "{opened} calls opened a connection of their own");
}

/// A task sends what others have left, and reads what is others': the client's frames tell whose it is.
#[test]
fn calls_of_requests_that_share_a_connection() {
    for python in Python::all() {
        let Recorded { report, inferred, truth } = record(&python, "40", "20");
        let title = format!("HTTP/2, 20 requests at a time, {}", python.name);
        Comparison::new(title.clone(), &report, &truth).check();
        let mut calls = report.requests.iter().flat_map(|request| &request.calls);
        let without = calls.find(|call| call.stack.iter().all(|caller| !caller.application));
        assert!(without.is_none(), "a call without a line of the application: {without:#?}");
        check_inferred(&inferred, &Comparison::new(format!("{title}, inferred"), &inferred, &truth));
    }
}

/// What heads refer to passed before: the peer has no name and its headers have none, all else is told.
#[test]
fn calls_on_a_connection_from_before() {
    let lab = Lab::start_with(&["--http2"]);
    let command = multiplexed(&Python::system());
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    lab.drive(&[&["--prefix", "before", "--requests", "1"], &TASKS[..]].concat());
    lab.forget();
    let mut recording = Recording::start(&lab, "record", ["--pid", &server.pid().to_string()]);
    recording.wait_ready();
    let before = lab.truth();
    // Records are counted from one that comes alone.
    lab.drive(&["--prefix", "alone", "--requests", "1", TASKS[0]]);
    // What is asked again after an error counts no tokens, so it may be no model's.
    lab.drive(&[&["--requests", "20", "--concurrency", "10"], &TASKS[..2]].concat());
    let mut report = recording.interrupt();
    let mut truth = lab.truth();
    truth.exchanges.drain(..before.exchanges.len());
    for exchange in &mut truth.exchanges {
        (exchange.request_id, exchange.reported_ms) = (None, None);
        (exchange.requests_left, exchange.tokens_left) = (None, None);
    }
    assert_eq!(truth.connections.len(), before.connections.len(), "all is on the connection from before");
    truth.connections.clear();
    for call in report.requests.iter_mut().flat_map(|request| &mut request.calls) {
        assert_eq!((&call.vendor, call.connection_reused), (&None, true), "{call:#?}");
        // What has no vendor is not compared.
        call.vendor = Some("openai".to_owned());
    }
    Comparison::new("HTTP/2 from before", &report, &truth).check();
}

/// Of a client whose frames tell nothing it is of a few calls not known whose they are, which is said.
fn check_inferred(report: &Report, comparison: &Comparison) {
    let linked = comparison.check_nothing_wrong();
    eprintln!("  {:.0} % of the calls are linked", linked * 100.0);
    assert!(linked > 0.0, "whose the first is, is known");
    let unknown = report.capture.unknown.iter();
    assert!(unknown.filter(|unknown| unknown.reason.contains("HTTP/2")).count() > 0, "it is not said");
    let is_known = |bucket| report.requests.iter().all(|request| request.buckets.get(bucket) != Some(0));
    assert!(is_known(Bucket::LlmFirstByte) && is_known(Bucket::LlmStream), "unknown is not none");
}

struct Recorded {
    report: Report,
    /// The report without what the client's frames tell.
    inferred: Report,
    truth: Truth,
}

fn record(python: &Python, requests: &str, concurrency: &str) -> Recorded {
    let lab = Lab::start_with(&["--http2"]);
    let recording = Recording::start(&lab, "record", traced(multiplexed(python)));
    let drive = |requests: &str, concurrency: &str, prefix: &str, routes: &[&str]| {
        let options = ["--requests", requests, "--concurrency", concurrency, "--prefix", prefix];
        lab.drive(&[&options[..], routes].concat());
    };
    drive("1", "1", "warm", &[&TASKS[..], &[THREAD]].concat());
    lab.forget();
    drive(requests, concurrency, "task", &TASKS);
    // Two threads that begin a stream at once may send the second first, which the vendor refuses.
    drive("4", "1", "thread", &[THREAD]);
    let capture = recording.capture().to_owned();
    let report = recording.interrupt();
    Recorded { report, inferred: without_frames(&capture), truth: lab.truth() }
}

fn without_frames(capture: &Path) -> Report {
    let file = File::open(capture).expect("a capture");
    let capture = Capture::read(BufReader::new(file)).expect("that is whole");
    let mut replay = Replay::new(Arc::new(VendorTable::builtin()));
    let is_inferred = |body: &Body| !matches!(body, Body::OnStream(_));
    capture.events.iter().filter(|event| is_inferred(&event.body)).for_each(|event| replay.apply(event));
    replay.finish(&capture.origin, capture.end_ns)
}
