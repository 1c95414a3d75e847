//! Calls over HTTP/2: many at once share a connection.

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};
use tracer::report::{
    bucket::Bucket,
    types::{Report, Request},
};

use crate::application::{multiplexed, traced};

const ROUTES: [&str; 4] = ["/one/{id}", "/three/{id}", "/again/{id}", "/thread/{id}"];

#[test]
fn calls_that_share_a_connection() {
    for python in Python::all() {
        let (report, comparison) = record(&python, "one request at a time", "4", "1");
        comparison.check();
        let calls = || report.requests.iter().flat_map(|request| &request.calls);
        // One by each client, and those that a shared pool opens before it knows that it need not.
        let opened = calls().filter(|call| !call.connection_reused).count();
        assert!(opened <= 4, "{opened} calls opened a connection of their own");
        // Two tasks of one request may have their calls sent at once, by one of them.
        let asks_once =
            |request: &&Request| !request.path.as_deref().unwrap_or_default().starts_with("/three/");
        let mut calls = report.requests.iter().filter(asks_once).flat_map(|request| &request.calls);
        let without = calls.find(|call| call.stack.iter().all(|caller| !caller.application));
        assert!(without.is_none(), "a call without a line of the application: {without:#?}");
    }
}

/// A task sends what others have left: of a few calls is then not known whose they are, which is said.
#[test]
fn calls_that_may_be_of_several_requests_are_nobodys() {
    let python = Python::system();
    let (report, comparison) = record(&python, "20 requests at a time", "20", "20");
    let linked = comparison.check_nothing_wrong();
    eprintln!("  {:.0} % of the calls are linked", linked * 100.0);
    assert!(linked > 0.0, "whose the first is, is known");
    let unknown = report.capture.unknown.iter();
    assert!(unknown.filter(|unknown| unknown.reason.contains("HTTP/2")).count() > 0, "it is not said");
    let is_known = |bucket| report.requests.iter().all(|request| request.buckets.get(bucket) != Some(0));
    assert!(is_known(Bucket::LlmFirstByte) && is_known(Bucket::LlmStream), "unknown is not none");
}

fn record(python: &Python, title: &str, requests: &str, concurrency: &str) -> (Report, Comparison) {
    let lab = Lab::start_with(&["--http2"]);
    let recording = Recording::start(&lab, "record", traced(multiplexed(python)));
    lab.drive(&[&["--requests", "1", "--concurrency", "1", "--prefix", "warm"][..], &ROUTES].concat());
    lab.forget();
    lab.drive(&[&["--requests", requests, "--concurrency", concurrency][..], &ROUTES].concat());
    let report = recording.interrupt();
    let comparison = Comparison::new(format!("HTTP/2, {title}, {}", python.name), &report, &lab.truth());
    (report, comparison)
}
