//! Stories of what samples tell.

use super::*;
use crate::event::Function;

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
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
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
    // The step is named by what of the application was at work.
    assert_eq!(request.steps[0].function, Some(0));
}

#[test]
fn a_wait_for_the_gil_names_what_ran_meanwhile() {
    let mut story = with_code();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
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
