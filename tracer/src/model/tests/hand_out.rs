//! Requests that are handed out while the model goes on.

use super::*;
use crate::{event::Function, model::Patience, report::build::assemble};

const SECOND: u64 = 1_000_000;
const PATIENCE: Patience =
    Patience { quiet_ns: SECOND * US, longest_ns: 10 * SECOND * US, run_ns: 60 * SECOND * US };

impl Story {
    fn hand_out(&mut self, at_us: u64) -> Report {
        let outcome = self.model.hand_out(at_us * US, &PATIENCE);
        assemble(&Origin::default(), at_us * US, &outcome, &VendorTable::builtin())
    }
}

#[test]
fn an_answered_request_is_handed_out_once_as_it_would_be_at_the_end() {
    let story = || {
        let mut story = Story::new();
        story.task_begun().answer_sent(100).exit(150).idle(150, 5 * SECOND, 5 * SECOND);
        story
    };
    let mut handing = story();
    assert_eq!(handing.hand_out(SECOND).requests.len(), 0);
    let handed = handing.hand_out(SECOND + 200);
    let whole = story().report(6 * SECOND);
    assert_eq!((handed.requests.len(), whole.requests.len()), (1, 1));
    assert_eq!(handed.requests[0].buckets, whole.requests[0].buckets);
    assert_eq!(handed.requests[0].cpu_ns, whole.requests[0].cpu_ns);
    assert_eq!(handed.processes.len(), 1);
    assert_eq!(handing.hand_out(9 * SECOND).requests.len(), 0);
    assert_eq!(handing.report(10 * SECOND).requests.len(), 0);
}

#[test]
fn a_call_in_the_background_is_waited_for_but_not_for_ever() {
    let mut story = Story::new();
    story.task_begun().answer_sent(100).exit(150).idle(150, 1_000, 1_000).enter(1_000, 0xb);
    story.tls_opened(1_010).call_sent(1_021).exit(2_000);
    assert_eq!(story.hand_out(9 * SECOND).requests.len(), 0);
    let handed = story.hand_out(10 * SECOND + 100);
    assert_eq!(handed.requests[0].background.as_ref().map(|background| background.calls.len()), Some(1));
    // Its answer belongs to nobody any more.
    story.arrival(11 * SECOND, VENDOR, 50).enter(11 * SECOND, 0xb).answer_read(11 * SECOND, 50);
    assert_eq!(story.report(12 * SECOND).requests.len(), 0);
}

#[test]
fn a_run_is_handed_out_in_pieces_without_a_gap_or_a_call_that_is_cut() {
    let mut story = Story::new();
    story.tls_opened(59 * SECOND).call_sent(59 * SECOND + 20);
    story.out(59 * SECOND + 30, Wait::Receive { connection: VENDOR }).back(70 * SECOND, 70 * SECOND);
    assert_eq!(story.hand_out(61 * SECOND).requests.len(), 0, "a call is under way");
    story.arrival(70 * SECOND, VENDOR, 50).answer_read(70 * SECOND, 50);
    assert_eq!(story.hand_out(72 * SECOND).requests.len(), 0, "it was cut just now, and may have background");
    let first = story.hand_out(74 * SECOND).requests.remove(0);
    assert_eq!((first.wall_ns, first.calls.len(), first.complete), (72 * SECOND * US, 1, true));
    let rest = story.report(80 * SECOND).requests.remove(0);
    assert_eq!((rest.start_unix_ns, rest.wall_ns), (72 * SECOND * US, 8 * SECOND * US));
    assert!(rest.id != first.id);
    assert_eq!(rest.buckets.get(Bucket::PythonCpu), Some(8 * SECOND * US));
}

#[test]
fn what_is_forgotten_of_a_process_is_told_with_its_last_request() {
    let mut story = Story::new();
    story.at(10, Body::Loss { kind: "sample".to_owned(), count: 3, since_ns: 0 });
    story.at(20, Body::ProcessEnd);
    let report = story.hand_out(2 * SECOND);
    assert_eq!((report.requests.len(), report.processes.len()), (1, 1));
    assert_eq!(report.capture.lost_events.get("sample"), Some(&3));
    let report = story.hand_out(3 * SECOND);
    assert_eq!((report.processes.len(), report.capture.lost_events.len()), (0, 0));
    assert_eq!(story.model.held(), Held::default());
}

#[test]
fn numbers_of_functions_are_used_again() {
    let mut story = Story::new();
    let name = |number: u64| Function { name: format!("f{number}"), file: "/srv/app.py".into(), line: 1 };
    let code = |number: u64| Body::Code { address: 0x1000 + number % 10, function: name(number) };
    for round in 0..20 {
        for number in 0..10 {
            story.at(round, code(10 * round + number));
        }
        story.model.forget_functions();
    }
    assert_eq!(
        story.model.held().functions,
        30,
        "those of a process, and those of it before the last two times"
    );
    story.at(100, Body::Sample { frames: vec![0x1003] });
    let request = story.report(SECOND).requests.remove(0);
    assert_eq!(request.functions[0].function, "f193");
}
