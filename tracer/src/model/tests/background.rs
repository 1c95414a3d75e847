//! Stories of tasks that outlive the answer.

use super::*;

/// A request that starts a task (0xb), and is answered at 100.
fn answered_with_a_task() -> Story {
    let mut story = Story::new();
    story.task_begun().answer_sent(100).exit(150);
    story
}

#[test]
fn a_task_that_goes_on_after_the_answer_is_background() {
    let mut story = answered_with_a_task();
    story
        .idle(150, 1_000, 1_000)
        .enter(1_000, 0xb)
        .tls_opened(1_010)
        .call_sent(1_021)
        .exit(2_000)
        .idle(2_000, 5_000, 5_000)
        .arrival(5_000, VENDOR, 50)
        .enter(5_000, 0xb)
        .answer_read(5_000, 50)
        .exit(6_000)
        .idle(6_000, 9_000, 9_000);
    let report = story.report(10_000);
    let request = &report.requests[0];
    assert_eq!((request.wall_ns, request.cpu_ns, request.calls.len()), (90 * US, 90 * US, 0));
    let background = request.background.as_ref().expect("it is reported");
    assert_eq!((background.wall_ns, background.cpu_ns), (5_900 * US, 2_000 * US));
    assert_eq!(background.buckets.sum(), background.wall_ns);
    assert_eq!(background.buckets.get(Bucket::LlmFirstByte), Some(3_000 * US));
    assert_eq!(background.calls.len(), 1);
    assert_eq!(background.calls[0].first_byte_ns, Some(3_979 * US));
}

#[test]
fn the_end_of_the_serving_step_is_not_worth_a_word() {
    let mut story = answered_with_a_task();
    story.idle(150, 9_000, 9_000);
    assert!(story.report(10_000).requests[0].background.is_none());
}

#[test]
fn a_call_that_began_before_the_answer_is_the_requests_and_goes_on_to_its_end() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .enter(30, 0xb)
        .tls_opened(40)
        .call_sent(51)
        .answer_sent(100)
        .exit(110)
        .idle(110, 500, 500)
        .arrival(500, VENDOR, 50)
        .enter(500, 0xb)
        .answer_read(500, 50)
        .exit(510)
        .idle(510, 900, 900);
    let report = story.report(1_000);
    let request = &report.requests[0];
    assert_eq!(buckets(&report, 0), [("python.cpu", 90)]);
    assert_eq!((request.calls.len(), request.calls[0].first_byte_ns), (1, Some(449 * US)));
    assert!(request.background.is_none());
}

#[test]
fn what_serves_the_connection_goes_on_with_its_next_request() {
    let mut story = Story::new();
    // One task reads both requests, in a context that was there before.
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .answer_sent(100)
        .tls_opened(200)
        .call_sent(231)
        .exit(3_000)
        .idle(3_000, 9_000, 9_000);
    let report = story.report(10_000);
    assert!(report.requests[0].background.is_none());
}
