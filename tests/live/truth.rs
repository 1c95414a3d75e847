//! Requests, links and times against the truth, on every Python that is there. Each test prints its table.

use std::ffi::OsString;

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};
use tracer::report::{bucket::Bucket, types::Report};

use crate::application::{chat, demo, flask, script, traced};

#[test]
fn fastapi_with_50_concurrent_streams() {
    for python in Python::all() {
        let load =
            ["--requests", "150", "--concurrency", "50", "/chat/{id}?model=ttft=100-400,gap=10-30,n=20"];
        check(
            &format!("FastAPI, AsyncOpenAI, 50 streams at a time, {}", python.name),
            chat(&python),
            &[],
            &load,
        );
    }
}

#[test]
fn flask_on_gunicorn_with_sync_workers() {
    for python in Python::all() {
        let load = ["--requests", "100", "--concurrency", "4", "/ask/{id}", "/cpu/{id}?ms=20"];
        let command = flask(&python, &["--workers", "4"]);
        check(&format!("Flask, gunicorn, 4 sync workers, {}", python.name), command, &WARM_UP, &load);
    }
}

#[test]
fn flask_on_gunicorn_with_threads() {
    for python in Python::all() {
        let load = ["--requests", "100", "--concurrency", "8", "/ask/{id}", "/cpu/{id}?ms=20"];
        let command = flask(&python, &["--workers", "1", "--threads", "8"]);
        check(&format!("Flask, gunicorn, 8 threads, {}", python.name), command, &WARM_UP, &load);
    }
}

#[test]
fn the_demo_with_its_four_routes() {
    for python in Python::all() {
        let routes =
            ["/wait/{id}?model=ttft=300-500,gap=20,n=20", "/cpu/{id}", "/blocking/{id}", "/fanout/{id}"];
        let load = [&["--requests", "25", "--concurrency", "8"][..], &routes].concat();
        check(&format!("the demo's four routes, {}", python.name), demo(&python), &[], &load);
    }
}

#[test]
fn a_script_without_a_server() {
    for python in Python::all() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "script", traced(script(&python, "0")));
        let (finished, report) = recording.finish();
        assert!(
            finished.stdout.contains("script/0-0 script/0-1"),
            "the script's own output:\n{}",
            finished.stdout
        );
        Comparison::new(format!("a script, {}", python.name), &report, &lab.truth()).check();
        check_sums(&report);
    }
}

/// Nothing was seen of their handshakes, so whose session is on which is told by lengths.
#[test]
fn connections_that_were_open_before() {
    for python in Python::all() {
        let lab = Lab::start();
        let command = chat(&python);
        let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
        let load =
            ["--requests", "60", "--concurrency", "12", "/chat/{id}?model=ttft=100-300,gap=10-30,n=10"];
        lab.drive(&[&["--prefix", "before"][..], &load].concat());
        lab.forget();
        let mut recording = Recording::start(&lab, "record", ["--pid", &server.pid().to_string()]);
        recording.wait_ready();
        let before = lab.truth();
        lab.drive(&load);
        let report = recording.interrupt();
        let mut truth = lab.truth();
        truth.exchanges.drain(..before.exchanges.len());
        truth.connections.drain(..before.connections.len());
        let reused =
            report.requests.iter().flat_map(|request| &request.calls).filter(|call| call.connection_reused);
        assert!(reused.count() >= 12, "connections from before were used");
        Comparison::new(format!("connections from before, {}", python.name), &report, &truth).check();
    }
}

#[test]
fn an_answer_that_waits_for_a_busy_loop_is_the_loops_time() {
    for python in Python::all() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "record", traced(chat(&python)));
        lab.drive(&["--requests", "1", "--prefix", "warm", "/chat/{id}?model=ttft=1,n=1"]);
        // The answer comes in pieces at 400, 500, 600 and 700 ms, while the loop is kept busy from 200 to 800 ms.
        let slow = "/chat/{id}?model=ttft=400,gap=100,n=3";
        lab.drive(&[
            "--requests",
            "1",
            "--concurrency",
            "2",
            "--stagger-ms",
            "200",
            slow,
            "/busy/{id}?ms=600",
        ]);
        let report = recording.interrupt();
        let truth = lab.truth();
        let arrived_ns =
            truth.exchanges.iter().find(|exchange| exchange.call == "0/0").expect("the call").sent_ns[0];
        let expected_ns = truth.request("1").end_ns - arrived_ns;
        let request = report.requests.iter().find(|request| request.path.as_deref() == Some("/chat/0"));
        let request = request.expect("the request is in the report");
        let waited_ns = request.buckets.get(Bucket::WaitLoop).expect("wait.loop is known");
        eprintln!("{}: wait.loop {:.2} ms, true {:.2} ms", python.name, ms(waited_ns), ms(expected_ns));
        // What the busy request's server does after the application's own end belongs to it as well.
        assert!(waited_ns.abs_diff(expected_ns) <= request.wall_ns / 100, "off by more than 1 %");
    }
}

/// A worker's first request pays for what the server itself does once, outside of the application that knows
/// its truth.
const WARM_UP: [&str; 7] = ["--requests", "40", "--concurrency", "8", "--prefix", "warm", "/cpu/{id}?ms=5"];

/// Records a server under a load, and holds the report against the truth of all but the warm-up.
#[track_caller]
fn check(title: &str, command: Vec<OsString>, warm_up: &[&str], load: &[&str]) {
    let lab = Lab::start();
    let recording = Recording::start(&lab, "record", traced(command));
    if !warm_up.is_empty() {
        lab.drive(warm_up);
        lab.forget();
    }
    lab.drive(load);
    let report = recording.interrupt();
    Comparison::new(title, &report, &lab.truth()).check();
    check_sums(&report);
}

#[track_caller]
fn check_sums(report: &Report) {
    for request in &report.requests {
        assert_eq!(
            request.buckets.sum(),
            request.wall_ns,
            "the buckets of {} sum to its wall time",
            request.id
        );
        assert!(request.complete, "{} ({:?}) is complete", request.id, request.path);
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}
