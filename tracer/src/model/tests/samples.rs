//! Stories of what samples tell.

use super::*;
use crate::{
    event::{Function, Place},
    report::{functions::SAMPLE_NS, types::Native},
};

const WORKER: u32 = PID + 1;

fn function(name: &str, file: &str) -> Function {
    Function { name: name.into(), file: file.into(), line: 7 }
}

/// Code objects at 0x10 (a library's), 0x20 and 0x30 (the application's).
fn with_code() -> Story {
    let mut story = Story::new();
    story
        .at(
            0,
            Body::Code { address: 0x10, function: function("dumps", "/usr/lib/python3.12/json/__init__.py") },
        )
        .at(0, Body::Code { address: 0x20, function: function("answer", "/srv/app.py") })
        .at(0, Body::Code { address: 0x30, function: function("main", "/srv/app.py") });
    story
}

#[test]
fn samples_are_the_requests_whose_step_ran() {
    let mut story = with_code();
    story
        .request_begun()
        .at(5_000, Body::Sample { frames: vec![0x10, 0x20, 0x30] })
        // A frame that is no code is left out, and a recursion counts once.
        .at(10_000, Body::Sample { frames: vec![0x20, 0x99, 0x20, 0x30] })
        .answer_sent(12_000)
        .exit(12_000)
        .at(15_000, Body::Sample { frames: vec![0x30] });
    let report = story.report(20_000);
    let request = &report.requests[0];
    let ran: Vec<_> = request
        .functions
        .iter()
        .map(|function| (function.function.as_str(), function.samples, function.self_ns > 0))
        .collect();
    assert_eq!(ran, [("answer", 2, true), ("dumps", 1, true), ("main", 2, false)]);
    let stacks: Vec<(String, u64)> = request
        .stacks
        .iter()
        .map(|(stack, own)| {
            (stack.iter().map(|function| function.name.as_str()).collect::<Vec<_>>().join(";"), own.sum())
        })
        .collect();
    assert_eq!(stacks, [("main;answer;dumps".to_owned(), 1), ("main;answer;answer".to_owned(), 1)]);
    let times_us: Vec<u64> = request.stacks.timed().iter().map(|sample| sample.at_ns / US).collect();
    assert_eq!(times_us, [4_990, 9_990]);
    // The step is named by what of the application was at work.
    assert_eq!(request.steps[0].function, Some(0));
}

#[test]
fn a_step_that_waits_longer_than_it_runs_is_named_by_what_waits() {
    let mut story = with_code();
    story
        .request_begun()
        .at(5_000, Body::Sample { frames: vec![0x30] })
        .at(6_000, Body::Waiting { frames: vec![0x10, 0x20] })
        .out(6_000, Wait::Sleep)
        .back(206_000, 206_000)
        .at(207_000, Body::Sample { frames: vec![0x30] })
        .answer_sent(208_000)
        .exit(208_000);
    let report = story.report(300_000);
    let request = &report.requests[0];
    let named = request.steps[0].function.and_then(|index| request.functions.get(index));
    assert_eq!(named.map(|function| (function.function.as_str(), function.samples)), Some(("answer", 0)));
    // It took no CPU time.
    assert_eq!(request.stacks.iter().count(), 1);
}

#[test]
fn sleeps_are_told_with_what_slept() {
    let mut story = with_code();
    story
        .request_begun()
        .at(6_000, Body::Waiting { frames: vec![0x10, 0x20] })
        .out(6_000, Wait::Sleep)
        .back(206_000, 206_000)
        .at(210_000, Body::Waiting { frames: vec![0x10, 0x20] })
        .out(210_000, Wait::Sleep)
        .back(310_000, 311_000)
        // Of this sleep it was not told.
        .out(320_000, Wait::Sleep)
        .back(330_000, 330_000)
        .answer_sent(340_000)
        .exit(340_000);
    let report = story.report(400_000);
    let request = &report.requests[0];
    let [wait] = request.waits.as_slice() else { panic!("{:?}", request.waits) };
    let stack: Vec<&str> = wait.stack.iter().map(|caller| caller.function.as_str()).collect();
    assert_eq!((wait.bucket.as_str(), stack), ("wait.sleep", vec!["dumps", "answer"]));
    assert_eq!((wait.wait_ns, wait.times), (300_000 * US, 2));
    assert_eq!(request.buckets.get(Bucket::WaitSleep), Some(310_000 * US));
    let pieces = crate::export::sequence::waits(request);
    let slept = pieces.filter(|part| part.segment.bucket == Bucket::WaitSleep).map(|part| part.stack());
    let innermost: Vec<_> = slept.map(|stack| stack.frames.last().map(|place| place.function)).collect();
    assert_eq!(innermost, [Some("dumps"), Some("dumps"), None]);
}

#[test]
fn a_wait_for_the_gil_names_what_ran_meanwhile() {
    let mut story = with_code();
    story
        .request_begun()
        .out(1_000, Wait::Futex { address: 0x1010 })
        .on(WORKER)
        .at(3_000, Body::Sample { frames: vec![0x10, 0x30] })
        .on(PID)
        .back(6_000, 6_000)
        .answer_sent(7_000)
        .exit(7_000);
    let report = story.report(10_000);
    let waits = &report.requests[0].gil_waits;
    assert_eq!(waits.len(), 1);
    assert_eq!((waits[0].function.function.as_str(), waits[0].tid), ("main", WORKER));
    assert_eq!(waits[0].wait_ns, 5_000 * US);
}

/// A request starts a thread in `creating`, which sleeps in a futex at `waiting`, is woken by a step of another request, and
/// calls.
fn calls_after_a_futex(creating: &[u64], state: OffState, waiting: &[u64]) -> Vec<usize> {
    let mut story = with_code();
    let other = ConnectionId(3);
    let head = RequestHead { method: "GET".into(), path: "/other".into(), ..RequestHead::default() };
    let wait_code = function("Condition.wait", "/usr/lib/python3.12/threading.py");
    story
        .at(0, Body::Code { address: 0x40, function: wait_code })
        .at(
            0,
            Body::Code {
                address: 0x50,
                function: function("Thread.start", "/usr/lib/python3.12/threading.py"),
            },
        )
        .opened(0, CALLER, Role::Accepted)
        .opened(0, other, Role::Accepted)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::Creating { frames: creating.to_vec() })
        .at(20, Body::Fork { child_tgid: PID, child_tid: WORKER })
        .exit(30)
        .on(WORKER)
        .back(30, 30);
    if !waiting.is_empty() {
        story.at(100, Body::Waiting { frames: waiting.to_vec() });
    }
    story
        .at(100, Body::SwitchOut { state, wait: Wait::Futex { address: 0x9000 }, cpu_ns: 0 })
        .on(PID)
        .enter(150, 0xb)
        .transfer((150, 151), other, Direction::Received, 100, vec![Mark::RequestHead { at: 0, head }])
        .on(WORKER)
        .at(200, Body::SwitchIn { wake_ns: 200 * US, waker_tid: PID })
        .tls_opened(210)
        .call_sent(221);
    let report = story.report(1_000);
    report.requests.iter().map(|request| request.calls.len()).collect()
}

#[test]
fn a_thread_that_waits_for_a_lock_goes_on_for_its_request() {
    assert_eq!(calls_after_a_futex(&[], OffState::Sleeping, &[0x10]), [1, 0]);
    // It was only preempted on its way.
    assert_eq!(calls_after_a_futex(&[], OffState::Runnable, &[]), [1, 0]);
    // It has no frames yet: the lock is one of the C library's.
    assert_eq!(calls_after_a_futex(&[0x50, 0x20], OffState::Sleeping, &[]), [1, 0]);
}

#[test]
fn a_thread_that_waits_for_work_may_get_anybodys() {
    for creating in [&[][..], &[0x50, 0x20]] {
        assert_eq!(calls_after_a_futex(creating, OffState::Sleeping, &[0x40, 0x30]), [0, 0]);
    }
    // What is not seen may be either, in a thread of a library.
    assert_eq!(calls_after_a_futex(&[0x10, 0x20], OffState::Sleeping, &[]), [0, 0]);
}

#[test]
fn a_call_has_the_stack_of_who_sends_the_head_of_its_request() {
    let places = [0x10, 0x99, 0x20].map(|code| Place { code, line: Some(code as u32 + 1) });
    let head = Mark::RequestHead { at: 0, head: RequestHead::default() };
    let mut story = with_code();
    story
        .request_begun()
        .opened(20, VENDOR, Role::Connected)
        .at(30, Body::Asking { places: places.to_vec() })
        .transfer((30, 31), VENDOR, Direction::Sent, 100, vec![head.clone()])
        // A body that is sent later, and a call of which nothing was seen.
        .transfer((40, 41), VENDOR, Direction::Sent, 100, vec![Mark::Body { at: 0 }])
        .arrival(50, VENDOR, 50)
        .answer_read(50, 50)
        .transfer((60, 61), VENDOR, Direction::Sent, 100, vec![head])
        .answer_sent(70)
        .exit(70);
    let report = story.report(100);
    let [first, second] = report.requests[0].calls.as_slice() else {
        panic!("{:?}", report.requests[0].calls);
    };
    let told: Vec<_> = first.stack.iter().map(|caller| (caller.label(), caller.application)).collect();
    assert_eq!(
        told,
        [("dumps (json/__init__.py:17)".to_owned(), false), ("answer (app.py:33)".to_owned(), true)]
    );
    assert_eq!(second.stack, []);
}

#[test]
fn what_no_probe_tells_apart_samples_do() {
    let unknown = |bucket: Bucket| Unknown { bucket: bucket.name().into(), reason: "no probe".into() };
    let facts = ProcessFacts {
        unknown: [Bucket::PythonGc, Bucket::PythonImport, Bucket::WaitExecutor].map(unknown).to_vec(),
        ..ProcessFacts::default()
    };
    let frozen = |name| function(name, "<frozen importlib._bootstrap>");
    let mut story = with_code();
    story
        .at(0, Body::Process(Box::new(facts)))
        .at(0, Body::Code { address: 0x40, function: frozen("_find_and_load") })
        .at(
            0,
            Body::Code {
                address: 0x50,
                function: function("BaseEventLoop._run_once", "/lib/asyncio/base_events.py"),
            },
        )
        .at(0, Body::Sampled { bucket: Bucket::PythonGc.name().into() })
        .at(0, Body::Sampled { bucket: Bucket::PythonImport.name().into() })
        .request_begun()
        .at(20_000, Body::Collecting { frames: vec![0x20, 0x50] })
        .at(40_000, Body::Sample { frames: vec![0x30, 0x40, 0x20, 0x50] })
        .at(60_000, Body::Sample { frames: vec![0x40, 0x20, 0x50] })
        // The loop itself was started within an import.
        .at(80_000, Body::Sample { frames: vec![0x20, 0x50, 0x40] })
        .answer_sent(100_000)
        .exit(100_000);
    let report = story.report(200_000);
    let request = &report.requests[0];
    assert_eq!(request.buckets.get(Bucket::PythonGc), Some(SAMPLE_NS));
    assert_eq!(request.buckets.get(Bucket::PythonImport), Some(2 * SAMPLE_NS));
    assert_eq!(request.buckets.get(Bucket::WaitExecutor), None);
    let sampled: Vec<&str> = report.capture.sampled.iter().map(|sampled| sampled.bucket.as_str()).collect();
    assert_eq!(sampled, ["python.gc", "python.import"]);
    assert_eq!(report.capture.unknown.len(), 1);
}

/// A probe tells of the `import` within what `importlib.import_module()` loads, not of that.
#[test]
fn samples_tell_of_imports_that_probes_miss() {
    let mut story = with_code();
    let find_and_load = function("_find_and_load", "<frozen importlib._bootstrap>");
    story
        .at(0, Body::Process(Box::default()))
        .at(0, Body::Code { address: 0x40, function: find_and_load })
        .request_begun()
        .at(10_000, Body::Sample { frames: vec![0x40, 0x20] })
        .at(20_000, Body::ImportStart { module: "json".into() })
        .at(25_000, Body::Sample { frames: vec![0x40, 0x20] })
        .at(30_000, Body::ImportDone)
        .at(35_000, Body::Sample { frames: vec![0x20] })
        .answer_sent(40_000)
        .exit(40_000);
    let report = story.report(50_000);
    let request = &report.requests[0];
    assert_eq!(request.buckets.get(Bucket::PythonImport), Some(10_000 * US + SAMPLE_NS));
    assert_eq!(report.capture.sampled, []);
}

#[test]
fn native_code_is_told_with_the_function_that_called_it() {
    let mut story = with_code();
    story
        .at(0, Body::Code { address: 0x9000, function: Function::native("libcrypto.so.3".into()) })
        .request_begun()
        .at(5_000, Body::Sample { frames: vec![0x9000, 0x20, 0x30] })
        .at(10_000, Body::Sample { frames: vec![0x20, 0x30] })
        .answer_sent(20_000)
        .exit(20_000);
    let report = story.report(30_000);
    let functions = &report.requests[0].functions;
    let native: Vec<_> = functions.iter().map(|of| (of.self_ns, of.total_ns, of.native.clone())).collect();
    let libcrypto = Native { library: "libcrypto.so.3".into(), self_ns: SAMPLE_NS };
    assert_eq!(native, [(2 * SAMPLE_NS, 2 * SAMPLE_NS, vec![libcrypto]), (0, 2 * SAMPLE_NS, vec![])]);
}

#[test]
fn a_sample_stands_for_as_much_as_was_asked_for() {
    let mut story = with_code();
    story
        .at(0, Body::Sampling { per_second: 1_000 })
        .request_begun()
        .at(5_000, Body::Sample { frames: vec![0x20] })
        .at(6_000, Body::Sample { frames: vec![0x20] })
        .answer_sent(12_000)
        .exit(12_000);
    let report = story.report(20_000);
    assert_eq!(report.capture.samples_per_second, 1_000);
    assert_eq!(report.requests[0].functions[0].self_ns, 2_000_000);
    assert_eq!(report.requests[0].stacks.sample_ns(), 1_000_000);
}
