//! Stories of threads that serve several requests by turns.

use super::*;

const OTHER: ConnectionId = ConnectionId(3);

/// One request is under way when another one is read, without contexts, after the loop has slept.
fn two_by_turns(story: &mut Story) {
    let head = RequestHead { method: "GET".into(), path: "/other".into(), ..RequestHead::default() };
    let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
    story
        .opened(0, CALLER, Role::Accepted)
        .opened(0, OTHER, Role::Accepted)
        .idle(1, 10, 10)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .idle(20, 100, 100)
        .arrival(100, OTHER, 100)
        .transfer((100, 101), OTHER, Direction::Received, 100, marks);
}

#[test]
fn what_greenlets_do_is_unknown_and_never_somebody_elses() {
    let mut story = Story::new();
    two_by_turns(&mut story);
    // The first one goes on, for all that can be seen.
    story.tls_opened(200).call_sent(210).idle(220, 400, 400).answer_sent(410);
    let report = story.report(1_000);
    assert!(report.requests.iter().all(|request| request.calls.is_empty()));
    assert_eq!(report.requests[0].buckets.get(Bucket::LlmFirstByte), None);
    assert_eq!(report.requests[1].buckets.get(Bucket::LlmFirstByte), None);
    assert!(report.capture.unknown.iter().any(|unknown| unknown.reason.contains("gevent")));
}

/// As uvloop, which reads between its steps.
#[test]
fn a_loop_that_reads_between_its_steps_is_known() {
    let mut story = Story::new();
    story.enter(0, 0x1).exit(1);
    two_by_turns(&mut story);
    story.answer_sent(410);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0)[0].0, "python.cpu");
    assert_eq!(report.capture.unknown, []);
}

#[test]
fn a_process_whose_steps_are_too_many_gives_its_requests_and_nothing_else() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .at(5, Body::Unfollowed)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .tls_opened(20)
        .call_sent(31)
        .answer_sent(500);
    let report = story.report(1_000);
    let request = &report.requests[0];
    assert_eq!((request.wall_ns, request.status, request.calls.len()), (490 * US, Some(200), 0));
    assert_eq!(request.buckets.get(Bucket::PythonCpu), None);
    assert!(
        report.capture.unknown.iter().any(|unknown| unknown.reason.contains("no longer followed")),
        "{:?}",
        report.capture
    );
}
