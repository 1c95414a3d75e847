//! Applications that provoke one kind of wait each, alone and mixed.

use std::collections::BTreeMap;

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};
use tracer::report::{bucket::Bucket, types::Report};

use crate::application::{awaited, in_vain, traced, waits, waits_async};

const ROUTES: [&str; 6] =
    ["/sleep/{id}", "/lock/{id}", "/disk/{id}", "/gil/{id}", "/runqueue/{id}", "/mixed/{id}"];

#[test]
fn each_wait_of_a_thread_goes_to_its_bucket() {
    for python in Python::all() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "record", traced(waits(&python)));
        lab.drive(&["--requests", "1", "--concurrency", "1", "--prefix", "warm", "/sleep/{id}"]);
        lab.forget();
        // One by one, so that a request waits for nothing but what it is meant to.
        lab.drive(&[&["--requests", "10", "--concurrency", "1"][..], &ROUTES].concat());
        let report = recording.interrupt();
        Comparison::new(format!("waits of a thread, {}", python.name), &report, &lab.truth()).check();
        let places = [(Bucket::WaitSleep, "sleep"), (Bucket::WaitLock, "lock"), (Bucket::WaitDisk, "disk")];
        check_places(&report, "waits.py", &places);
    }
}

/// What waited is named: the innermost function of the application.
fn check_places(report: &Report, file: &str, places: &[(Bucket, &str)]) {
    for &(bucket, function) in places {
        let route = format!("/{function}/{{id}}");
        let requests = report.requests.iter().filter(|request| request.route.as_ref() == Some(&route));
        let (mut named_ns, mut all_ns, mut others) = (0, 0, Vec::new());
        for request in requests {
            let waits = request.waits.iter().filter(|wait| wait.bucket == bucket.name());
            let (named, other): (Vec<_>, Vec<_>) = waits.partition(|wait| {
                let innermost = wait.stack.iter().find(|frame| frame.file.ends_with(file));
                innermost.is_some_and(|frame| frame.function == function)
            });
            named_ns += named.iter().map(|wait| wait.wait_ns).sum::<u64>();
            all_ns += request.buckets.get(bucket).expect("it is known");
            others.extend(other);
        }
        eprintln!(
            "  {}: {:.1} of {:.1} ms in {function}",
            bucket.name(),
            named_ns as f64 / 1e6,
            all_ns as f64 / 1e6
        );
        assert!(all_ns > 0 && named_ns >= all_ns / 100 * 98, "{function}: also in {others:?}");
    }
}

#[test]
fn each_wait_of_a_coroutine_goes_to_its_bucket() {
    Python::all().iter().for_each(|python| check_coroutines(python, "asyncio"));
}

#[test]
fn each_wait_of_a_coroutine_on_uvloop_goes_to_its_bucket() {
    check_coroutines(&Python::system(), "uvloop");
}

fn check_coroutines(python: &Python, event_loop: &str) {
    let lab = Lab::start();
    let recording = Recording::start(&lab, "record", traced(waits_async(python, event_loop)));
    lab.drive(&["--requests", "1", "--concurrency", "1", "--prefix", "warm", "/mixed/{id}"]);
    lab.forget();
    let together = ["/sleep/{id}", "/executor/{id}", "/mixed/{id}"];
    lab.drive(&[&["--requests", "10", "--concurrency", "6"][..], &together].concat());
    lab.drive(&["--requests", "12", "--concurrency", "4", "--prefix", "lock", "/lock/{id}"]);
    let one_by_one = ["--requests", "10", "--concurrency", "1", "--prefix", "alone"];
    lab.drive(&[&one_by_one[..], &["/loop/{id}", "/alone/{id}"]].concat());
    let report = recording.interrupt();
    let title = format!("waits of a coroutine, {event_loop}, {}", python.name);
    Comparison::new(title, &report, &lab.truth()).check();
    let places =
        [(Bucket::WaitSleep, "sleep"), (Bucket::WaitLock, "lock"), (Bucket::WaitExecutor, "executor")];
    check_places(&report, "waits_async.py", &places);
}

/// Of a coroutine that waits in others, in generators and in other objects, all builds tell which.
#[test]
fn what_a_coroutine_awaits_is_named() {
    for python in Python::all().into_iter().chain(Python::builds()) {
        let lab = Lab::start();
        let (_, report) = Recording::start(&lab, "record", traced(awaited(&python))).finish();
        let [run] = report.requests.as_slice() else { panic!("{}: {:?}", python.name, report.requests) };
        let mut told_ms = BTreeMap::<String, f64>::new();
        for wait in run.waits.iter().filter(|wait| wait.bucket == Bucket::WaitSleep.name()) {
            let functions: Vec<&str> = wait.stack.iter().map(|frame| frame.function.as_str()).collect();
            let runs = functions.chunk_by(|a, b| a == b).map(|run| format!("{} x{}", run[0], run.len()));
            *told_ms.entry(runs.collect::<Vec<_>>().join(", ")).or_default() += wait.wait_ns as f64 / 1e6;
        }
        eprintln!("{}: {told_ms:?}", python.name);
        let expected = [
            ("sleep x1, main x1", 1000.0),
            ("sleep x1, deeper x1, main x1", 50.0),
            ("sleep x1, deeper x6, main x1", 50.0),
            // As many as are told.
            ("sleep x1, deeper x31", 50.0),
            ("sleep x1, doze x1", 150.0),
            ("sleep x1, numbers x1, main x1", 50.0),
            ("sleep x1, doze x1, main x1", 50.0),
            ("sleep x1, doze x1, Delegated.__await__ x1, main x1", 50.0),
        ];
        for (stack, ms) in expected {
            let told_ms = told_ms.get(stack).copied().unwrap_or_default();
            assert!((told_ms - ms).abs() <= 0.06 * ms, "{}: {told_ms} of {ms} ms in {stack}", python.name);
        }
    }
}

#[test]
fn a_sleep_that_is_woken_in_vain_is_one_sleep() {
    for python in Python::all() {
        let lab = Lab::start();
        let fifo = lab.dir().join("fifo");
        lab.run(lab.command("mkfifo").arg(&fifo), "mkfifo").expect_code(0);
        let mut wakes = lab.command(python.program("python"));
        let _wakes = lab.start_command(wakes.args(["in_vain.py", "wake"]).arg(&fifo), "wakes");
        let (_, report) = Recording::start(&lab, "record", traced(in_vain(&python, &fifo))).finish();
        Comparison::new(format!("woken in vain, {}", python.name), &report, &lab.truth()).check();
    }
}
