//! Stories of threads that serve several requests by turns.

use super::*;

const HUB: u64 = 0x100;
const FIRST: u64 = 0x200;
const SECOND: u64 = 0x300;

impl Story {
    fn turn(&mut self, at_us: u64, greenlet: u64) -> &mut Self {
        self.at(at_us, Body::GreenletSwitch { greenlet })
    }

    fn made(&mut self, at_us: u64, greenlet: u64) -> &mut Self {
        self.at(at_us, Body::ContextCopy { context: greenlet })
    }
}

/// A greenlet reads a request at 20, which arrived at 10, and turns to the hub at 30.
fn served() -> Story {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .made(1, HUB)
        .turn(2, HUB)
        .made(3, FIRST)
        .arrival(10, CALLER, 100)
        .turn(20, FIRST)
        .request_read(20)
        .turn(30, HUB);
    story
}

#[test]
fn a_greenlet_goes_on_for_the_request_that_it_read() {
    let mut story = served();
    story
        .idle(30, 530, 530)
        .turn(540, FIRST)
        .tls_opened(540)
        .call_sent(560)
        .turn(570, HUB)
        .idle(570, 700, 700)
        .arrival(700, VENDOR, 500)
        .turn(720, FIRST)
        .answer_read(720, 100)
        .answer_sent(800);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls.len(), 1);
    assert_eq!(buckets(&report, 0)[0], ("llm.first_byte", 130));
}

#[test]
fn who_makes_a_greenlet_owns_it_and_the_time_it_sleeps() {
    let mut story = served();
    story
        .turn(40, FIRST)
        .made(50, SECOND)
        .turn(60, HUB)
        .turn(70, SECOND)
        .turn(80, HUB)
        .out(80, Wait::Epoll { timeout_ns: Some(400 * US) })
        .back(480, 490)
        .turn(500, SECOND)
        .turn(600, HUB)
        .turn(600, FIRST)
        .answer_sent(610);
    let report = story.report(1_000);
    let found = buckets(&report, 0);
    assert!(found.contains(&("wait.sleep", 400)), "{found:?}");
    assert!(found.contains(&("python.cpu", 10 + 20 + 10 + 100 + 10)), "{found:?}");
}

/// As gevent's pool of threads does.
#[test]
fn a_greenlet_that_only_another_thread_runs_is_that_threads_own() {
    let mut story = served();
    story.turn(40, FIRST).made(50, SECOND).turn(55, HUB).on(PID + 1).turn(60, SECOND);
    story.tls_opened(70).call_sent(80).on(PID).turn(400, FIRST).answer_sent(410);
    let report = story.report(1_000);
    assert!(report.requests.iter().all(|request| request.calls.is_empty()));
}

#[test]
fn the_worker_of_a_pool_is_nobodys_until_it_takes_something_up() {
    let mut story = served();
    let function = Function {
        name: "ThreadPoolExecutor._adjust_thread_count".into(),
        file: "/usr/lib/python3.11/concurrent/futures/thread.py".into(),
        line: 1,
    };
    story
        .turn(40, FIRST)
        .at(41, Body::Code { address: 0x7, function })
        .at(41, Body::Creating { frames: vec![0x6, 0x7] })
        .made(41, SECOND)
        .turn(50, SECOND)
        .at(60, Body::QueueGet)
        .turn(61, FIRST)
        .at(70, Body::QueuePut { item: 0x5 })
        .turn(71, SECOND)
        .at(72, Body::QueueGot { item: 0x5 })
        .at(172, Body::QueueGet)
        .turn(272, FIRST)
        .answer_sent(282);
    let report = story.report(1_000);
    // 50 to 61 and 172 to 272 are the worker's.
    let found = buckets(&report, 0);
    assert!(found.contains(&("python.cpu", 10 + 10 + 10 + 100 + 10)), "{found:?}");
}

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
    assert!(report.capture.unknown.iter().any(|unknown| unknown.reason.contains("greenlet")));
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

#[test]
fn a_greenlet_goes_on_when_the_contexts_in_it_are_left() {
    let mut story = served();
    story
        .turn(40, FIRST)
        .made(41, 0xc)
        .enter(42, 0xc)
        .at(50, Body::ContextCurrent { context: 0xffff })
        .answer_sent(90);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].status, Some(200));
    assert!(buckets(&report, 0).contains(&("python.cpu", 60)), "{:?}", buckets(&report, 0));
}
