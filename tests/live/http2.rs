//! Calls over HTTP/2: many at once share a connection.

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};
use tracer::report::types::Report;

use crate::application::{multiplexed, traced};

const TASKS: [&str; 3] = ["/one/{id}", "/three/{id}", "/again/{id}"];
const THREAD: &str = "/thread/{id}";

#[test]
fn calls_that_share_a_connection() {
    let (report, comparison) = record(&Python::system(), "one request at a time", "4", "1");
    comparison.check();
    let calls = || report.requests.iter().flat_map(|request| &request.calls);
    // One by each client, and those that a shared pool opens before it knows that it need not.
    let opened = calls().filter(|call| !call.connection_reused).count();
    assert!(opened <= 4, "{opened} calls opened a connection of their own");
}

/// A task sends what others have left, and reads what is others': the client's frames tell whose it is.
#[test]
fn calls_of_requests_that_share_a_connection() {
    for python in Python::all() {
        let (report, comparison) = record(&python, "20 requests at a time", "40", "20");
        comparison.check();
        let mut calls = report.requests.iter().flat_map(|request| &request.calls);
        let without = calls.find(|call| call.stack.iter().all(|caller| !caller.application));
        assert!(without.is_none(), "a call without a line of the application: {without:#?}");
    }
}

fn record(python: &Python, title: &str, requests: &str, concurrency: &str) -> (Report, Comparison) {
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
    let report = recording.interrupt();
    let comparison = Comparison::new(format!("HTTP/2, {title}, {}", python.name), &report, &lab.truth());
    (report, comparison)
}
