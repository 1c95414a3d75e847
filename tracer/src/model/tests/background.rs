//! Stories of tasks that outlive the answer.

use super::*;
use crate::event::Function;

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
        .request_begun()
        .answer_sent(100)
        .tls_opened(200)
        .call_sent(231)
        .exit(3_000)
        .idle(3_000, 9_000, 9_000);
    let report = story.report(10_000);
    assert!(report.requests[0].background.is_none());
}

const SECOND: ConnectionId = ConnectionId(77);

impl Story {
    /// A step (0x1a) that reads a request on another connection, and makes the context (0x1b) of a task.
    fn second_begun(&mut self, at_us: u64) -> &mut Self {
        let marks = vec![Mark::RequestHead { at: 0, head: RequestHead::default() }, Mark::RequestEnd];
        self.opened(at_us, SECOND, Role::Accepted)
            .arrival(at_us, SECOND, 100)
            .enter(at_us, 0x1a)
            .transfer((at_us, at_us + 1), SECOND, Direction::Received, 100, marks)
            .at(at_us + 2, Body::ContextCopy { context: 0x1b })
            .exit(at_us + 3)
    }

    fn ready(&mut self, at_us: u64, context: u64) -> &mut Self {
        self.at(at_us, Body::ContextReady { context })
    }
}

#[test]
fn a_job_that_a_task_took_up_before_the_answer_is_found_out_by_whom_its_result_is_for() {
    let mut story = Story::new();
    // The task has the result of its own request, and goes on with another one's job at once.
    story
        .request_begun()
        .at(15, Body::ContextCopy { context: 0xc })
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(30)
        .second_begun(31)
        .enter(40, 0xb)
        .ready(50, 0xc)
        .tls_opened(51)
        .call_sent(55)
        .exit(56)
        .enter(60, 0xc)
        .answer_sent(100)
        .exit(110)
        .idle(110, 500, 500)
        .arrival(500, VENDOR, 50)
        .enter(500, 0xb)
        .answer_read(500, 50)
        .ready(510, 0x1b)
        .exit(511);
    let report = story.report(1_000);
    assert!(report.requests.iter().all(|request| request.calls.is_empty()), "{:?}", report.requests);
}

/// The function at 0xc0de is one of a library.
fn library(name: &str, file: &str) -> Body {
    let function = Function { name: name.to_owned(), file: format!("/usr/lib/python3.12{file}"), line: 1 };
    Body::Code { address: 0xc0de, function }
}

/// A background task that gives something to a task of another request, by a function of a library, and then calls.
fn gives(name: &str, file: &str) -> Report {
    let mut story = Story::new();
    story
        .task_begun()
        .answer_sent(25)
        .exit(30)
        .second_begun(31)
        .at(39, library(name, file))
        .enter(40, 0xb)
        .at(50, Body::Setting { frames: vec![0xc0de] })
        .ready(50, 0x1b)
        .tls_opened(51)
        .call_sent(55)
        .exit(56)
        .idle(56, 500, 500)
        .arrival(500, VENDOR, 50)
        .enter(500, 0xb)
        .answer_read(500, 50)
        .exit(511);
    story.report(1_000)
}

#[test]
fn a_lock_that_is_released_says_nothing_of_whom_a_task_works_for() {
    let calls = |report: Report| report.requests[0].background.as_ref().map_or(0, |after| after.calls.len());
    assert_eq!(calls(gives("Lock._wake_up_first", "/asyncio/locks.py")), 1);
    assert_eq!(calls(gives("Lock.release", "/site-packages/anyio/_backends/_asyncio.py")), 1);
    assert_eq!(calls(gives("Queue._wakeup_next", "/asyncio/queues.py")), 1);
    assert_eq!(calls(gives("Worker.done", "/site-packages/workers.py")), 0);
}

#[test]
fn what_takes_jobs_from_a_queue_is_nobodys_unless_they_are_of_its_own_request() {
    let calls = |is_answered: bool, by: u64| {
        let mut story = Story::new();
        story.task_begun().exit(24);
        if is_answered {
            story.enter(25, 0xa).answer_sent(25).exit(30);
        }
        story
            .second_begun(31)
            .at(39, library("Queue._wakeup_next", "/asyncio/queues.py"))
            .enter(40, by)
            .at(41, Body::Setting { frames: vec![0xc0de] })
            .ready(41, 0xb)
            .exit(42)
            .enter(50, 0xb)
            .tls_opened(51)
            .call_sent(55)
            .exit(56);
        let first = &story.report(1_000).requests[0];
        first.calls.len() + first.background.as_ref().map_or(0, |after| after.calls.len())
    };
    let (own, others) = (0xa, 0x1b);
    assert_eq!(calls(false, own), 1);
    assert_eq!(calls(true, own), 0);
    assert_eq!(calls(false, others), 0);
}

#[test]
fn what_answers_a_request_works_for_that_alone() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .enter(30, 0xb)
        .tls_opened(40)
        .call_sent(51)
        .idle(51, 60, 60)
        .arrival(60, VENDOR, 50)
        .answer_read(60, 50)
        .answer_sent(100)
        .exit(110)
        .second_begun(200)
        .enter(210, 0xb)
        .ready(220, 0x1b)
        .exit(230);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls.len(), 1);
}
