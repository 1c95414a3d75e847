//! Stories of connections that bring requests.

use super::*;

#[test]
fn a_kept_connections_inherited_context_does_not_decide() {
    let second = ConnectionId(3);
    let mut story = Story::new();
    // The first request opens the connection to the vendor, so the reader's context (0xd) is its child.
    story
        .opened(0, CALLER, Role::Accepted)
        .opened(0, second, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(20)
        .enter(20, 0xb)
        .tls_opened(30)
        .at(31, Body::ContextCopy { context: 0xd })
        .call_sent(41)
        .exit(50)
        .idle(50, 100, 100)
        .arrival(100, VENDOR, 50)
        .enter(100, 0xd)
        .answer_read(100, 50)
        .exit(110);
    // The second request uses it while the first is still open.
    let head = RequestHead { method: "GET".into(), path: "/second".into(), ..RequestHead::default() };
    story
        .arrival(110, second, 100)
        .enter(115, 0xe)
        .transfer(
            (115, 116),
            second,
            Direction::Received,
            100,
            vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd],
        )
        .at(118, Body::ContextCopy { context: 0xf })
        .exit(120)
        .enter(120, 0xf)
        .call_sent(130)
        .exit(140)
        .idle(140, 500, 500)
        .arrival(500, VENDOR, 100)
        .enter(500, 0xd)
        .answer_read(500, 50)
        .exit(600)
        .idle(600, 900, 900);
    let report = story.report(1_000);
    let calls: Vec<usize> = report.requests.iter().map(|request| request.calls.len()).collect();
    assert_eq!(calls, [1, 1]);
    assert!(report.requests[1].calls[0].connection_reused);
    // The step that reads for the second request, 100 us, is the second's.
    assert_eq!(report.requests[1].cpu_ns, 125 * US);
}

/// As asyncio accepts: the task that sets the connection up copies its context for the reader and for the task
/// that serves one request after the other.
#[test]
fn a_task_that_serves_a_connection_works_for_each_of_its_requests() {
    let copy = |context| Body::ContextCopy { context };
    let mut story = Story::new();
    story
        .enter(0, 0x1)
        .opened(1, CALLER, Role::Accepted)
        .at(2, copy(0xa))
        .exit(3)
        .enter(4, 0xa)
        .at(5, copy(0xb))
        .at(6, copy(0xc))
        .exit(7);
    for start_us in [100, 1_100] {
        story
            .arrival(start_us, CALLER, if start_us == 100 { 100 } else { 200 })
            .enter(start_us, 0xb)
            .request_read(start_us + 10)
            .exit(start_us + 20)
            .enter(start_us + 20, 0xc)
            .at(start_us + 30, copy(0xd + start_us))
            .exit(start_us + 50)
            .idle(start_us + 50, start_us + 250, start_us + 250)
            .enter(start_us + 250, 0xd + start_us)
            .exit(start_us + 300)
            .enter(start_us + 300, 0xc)
            .answer_sent(start_us + 350)
            .exit(start_us + 400);
    }
    let report = story.report(2_000);
    for request in 0..2 {
        assert_eq!(buckets(&report, request)[0], ("python.cpu", 10 + 40 + 100), "request {request}");
    }
}

#[test]
fn what_a_request_has_made_does_not_go_on_to_the_next_one_of_its_connection() {
    let mut story = Story::new();
    story
        .enter(0, 0x1)
        .opened(1, CALLER, Role::Accepted)
        .at(2, Body::ContextCopy { context: 0xb })
        .exit(3)
        .arrival(10, CALLER, 100)
        .enter(10, 0xb)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xc })
        .answer_sent(30)
        .exit(40)
        // It cleans up, and copies its context for that.
        .enter(50, 0xc)
        .at(60, Body::ContextCopy { context: 0xd })
        .exit(70)
        .arrival(100, CALLER, 200)
        .enter(100, 0xb)
        .request_read(100)
        .exit(120)
        .enter(120, 0xd)
        .exit(200)
        .enter(200, 0xb)
        .answer_sent(210);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 1)[0], ("python.cpu", 20 + 10));
}

#[test]
fn a_thread_that_sleeps_until_a_request_comes_waits_for_a_cpu_on_its_behalf() {
    let mut story = Story::new();
    let marks = vec![
        Mark::RequestHead { at: 0, head: RequestHead { method: "GET".into(), ..RequestHead::default() } },
        Mark::RequestEnd,
    ];
    story
        .opened(0, CALLER, Role::Accepted)
        .out(5, Wait::Receive { connection: CALLER })
        .arrival(10, CALLER, 100)
        .back(12, 62)
        .transfer((5, 65), CALLER, Direction::Received, 100, marks)
        .answer_sent(80);
    let report = story.report(100);
    assert_eq!(buckets(&report, 0), [("python.cpu", 18), ("wait.runqueue", 50), ("unattributed", 2)]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut story = Story::new();
    let head = |path: &str| RequestHead { method: "GET".into(), path: path.into(), ..RequestHead::default() };
    let marks = vec![
        Mark::RequestHead { at: 0, head: head("/1") },
        Mark::RequestEnd,
        Mark::RequestHead { at: 50, head: head("/2") },
        Mark::RequestEnd,
    ];
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .transfer((20, 21), CALLER, Direction::Received, 100, marks)
        .answer_sent(50)
        .answer_sent(80);
    let report = story.report(100);
    let requests: Vec<_> =
        report.requests.iter().map(|request| (request.path.clone().unwrap(), request.wall_ns / US)).collect();
    assert_eq!(requests, [("/1".to_owned(), 40), ("/2".to_owned(), 70)]);
    assert_eq!(report.requests[1].buckets.get(Bucket::PythonCpu).map(|ns| ns / US), Some(30));
}

#[test]
fn an_upgraded_connection_is_one_request_until_it_closes() {
    let mut story = Story::new();
    let head = ResponseHead { status: 101, ..ResponseHead::default() };
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .transfer(
            (20, 21),
            CALLER,
            Direction::Sent,
            80,
            vec![Mark::ResponseHead { at: 0, head }, Mark::Upgraded],
        )
        .arrival(300, CALLER, 120)
        .transfer((310, 311), CALLER, Direction::Received, 20, vec![])
        .at(700, Body::Close { connection: CALLER });
    let report = story.report(1_000);
    let requests: Vec<_> = report
        .requests
        .iter()
        .map(|request| (request.status, request.wall_ns / US, request.complete))
        .collect();
    assert_eq!(requests, [(Some(101), 690, true)]);
}

#[test]
fn a_caller_that_hangs_up_ends_its_request() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .out(50, Wait::Sleep)
        .at(400, Body::Close { connection: CALLER })
        .back(900, 900);
    let report = story.report(1_000);
    let requests: Vec<_> =
        report.requests.iter().map(|request| (request.status, request.wall_ns / US)).collect();
    assert_eq!(requests, [(None, 390)]);
    assert_eq!(report.requests[0].buckets.get(Bucket::WaitSleep), Some(350 * US));
}

/// Two requests, of which the second waits from 60 on, in the context 0xf.
fn one_waits() -> Story {
    let second = ConnectionId(3);
    let head = RequestHead { method: "GET".into(), path: "/second".into(), ..RequestHead::default() };
    let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .opened(0, second, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(20)
        .enter(20, 0xb)
        .exit(30)
        .arrival(30, second, 100)
        .enter(30, 0xe)
        .transfer((30, 31), second, Direction::Received, 100, marks)
        .at(40, Body::ContextCopy { context: 0xf })
        .exit(40)
        .enter(40, 0xf)
        // What is called once it is done.
        .at(50, Body::ContextCopy { context: 0x1f })
        .exit(60)
        .out(60, Wait::Epoll { timeout_ns: Some(440 * US) })
        .back(500, 500);
    story
}

#[test]
fn what_another_request_releases_was_a_wait_for_it_and_then_for_the_loop() {
    let mut story = one_waits();
    story
        .enter(500, 0xb)
        .at(520, Body::ContextReady { context: 0xf })
        .exit(600)
        .enter(600, 0xf)
        .exit(700)
        .idle(700, 900, 900);
    let report = story.report(1_000);
    let found = buckets(&report, 1);
    assert!(found.contains(&("wait.lock", 460)), "{found:?}");
    assert!(found.contains(&("wait.loop", 80)), "{found:?}");
    // Nobody waited for the first one, which nobody kept waiting.
    assert!(buckets(&report, 0).iter().all(|(name, _)| *name != "wait.lock"), "{:?}", buckets(&report, 0));
}

/// Also where the lock was given back once a sleep was over, and the loop's time was due.
#[test]
fn what_runs_once_a_task_is_done_is_no_timer() {
    let mut story = one_waits();
    story
        .enter(500, 0xb)
        .at(520, Body::ContextReady { context: 0xf })
        .exit(600)
        .enter(600, 0xf)
        .exit(700)
        .enter(700, 0x1f)
        .exit(710)
        .idle(710, 900, 900);
    let found = buckets(&story.report(1_000), 1);
    assert!(found.contains(&("wait.lock", 460)), "{found:?}");
    assert!(found.iter().all(|(name, _)| *name != "wait.sleep"), "{found:?}");
}

#[test]
fn what_a_task_awaits_is_named() {
    let name = |name: &str| Function { name: name.to_owned(), ..Function::default() };
    let mut story = one_waits();
    story
        .enter(500, 0xb)
        .at(520, Body::Code { address: 0x10, function: name("acquire") })
        .at(520, Body::Code { address: 0x20, function: name("answer") })
        .at(520, Body::Awaited { context: 0xf, frames: vec![0x10, 0x20] })
        .at(520, Body::ContextReady { context: 0xf })
        .exit(600)
        .enter(600, 0xf)
        .exit(700)
        .idle(700, 900, 900);
    let report = story.report(1_000);
    let [wait] = report.requests[1].waits.as_slice() else { panic!("{:?}", report.requests[1].waits) };
    let stack: Vec<&str> = wait.stack.iter().map(|frame| frame.function.as_str()).collect();
    // Not the loop, for which it waited from then on.
    assert_eq!(
        (wait.bucket.as_str(), wait.wait_ns, stack),
        ("wait.lock", 460 * US, vec!["acquire", "answer"])
    );
    assert!(report.requests[0].waits.is_empty());
}

#[test]
fn what_a_request_releases_itself_is_no_lock() {
    let mut story = one_waits();
    story.enter(500, 0xe).at(520, Body::ContextReady { context: 0xf }).exit(600).enter(600, 0xf).exit(700);
    let report = story.report(1_000);
    assert!(buckets(&report, 1).iter().all(|(name, _)| *name != "wait.lock"), "{:?}", buckets(&report, 1));
}

/// As anyio's limiter, and with a thread that works for the first request until 520.
#[test]
fn a_turn_in_a_pool_that_is_busy_is_waited_for() {
    let pool = PID + 1;
    let mut story = one_waits();
    story
        .on(pool)
        .at(50, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .enter(50, 0xb)
        .exit(520)
        .on(PID)
        .enter(530, 0xf)
        .at(540, Body::ContextCopy { context: 0x1f })
        .enter(541, 0x1f)
        .exit(542)
        .exit(550)
        .on(pool)
        .enter(560, 0x1f)
        .exit(700);
    let report = story.report(1_000);
    let found = buckets(&report, 1);
    assert!(found.contains(&("wait.executor", 440 + 10)), "{found:?}");
}

/// A step that reads a request and copies a context for its task, which runs from 30 on, inside of that step.
fn nested() -> Story {
    let mut story = Story::new();
    story.task_begun().enter(30, 0xb);
    story
}

#[test]
fn what_a_thread_runs_in_now_tells_what_it_has_left() {
    // The thread's own context, which it never entered: both steps are over. So what it does is nobody's.
    let mut story = nested();
    story
        .at(40, Body::ContextCurrent { context: 0xffff })
        .idle(40, 500, 510)
        .enter(520, 0xb)
        .answer_sent(600);
    let left_both = buckets(&story.report(1_000), 0);
    let mut story = nested();
    story.exit(40).exit(40).idle(40, 500, 510).enter(520, 0xb).answer_sent(600);
    assert_eq!(left_both, buckets(&story.report(1_000), 0));
    // The outer one: it goes on, for the request.
    let mut story = nested();
    story.at(40, Body::ContextCurrent { context: 0xa }).answer_sent(90);
    assert_eq!(buckets(&story.report(1_000), 0), [("python.cpu", 80)]);
}

#[test]
fn a_context_that_is_current_still_is_not_left() {
    let mut story = nested();
    story.at(40, Body::ContextCurrent { context: 0xb }).answer_sent(90);
    assert_eq!(buckets(&story.report(1_000), 0), [("python.cpu", 80)]);
}

/// The event with the head of the first answer was lost.
#[test]
fn an_answer_whose_beginning_is_lost_ends_before_the_next_request() {
    let mut story = Story::new();
    story
        .request_begun()
        .transfer((40, 50), CALLER, Direction::Sent, 19, vec![Mark::Unparsed])
        .transfer((90, 100), CALLER, Direction::Sent, 5, Vec::new())
        .exit(110)
        .idle(110, 200, 200)
        .arrival(200, CALLER, 200)
        .enter(210, 0xc)
        .request_read(210)
        .at(220, Body::ContextCopy { context: 0xd })
        .exit(230)
        .enter(230, 0xd)
        .tls_opened(240)
        .call_sent(251)
        .answer_sent(300)
        .exit(310);
    let report = story.report(1_000);
    let told: Vec<_> = report
        .requests
        .iter()
        .map(|request| (request.wall_ns, request.status, request.complete, request.calls.len()))
        .collect();
    assert_eq!(told, [(90 * US, None, false, 0), (100 * US, Some(200), true, 1)]);
}
