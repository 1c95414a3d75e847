//! Stories of pools, whose threads get their work from a queue.

use super::*;

const POOL: u32 = PID + 1;

/// A request whose step puts an item into a pool's queue at 20, by a loop that waits until 900.
fn submitted() -> Story {
    let mut story = Story::new();
    story.request_begun().at(20, Body::QueuePut { item: 0x5 }).exit(30).idle(30, 900, 900).on(POOL);
    story
}

fn answered(mut story: Story) -> Report {
    story.on(PID).enter(900, 0xa).answer_sent(910);
    story.report(1_000)
}

#[test]
fn a_pool_thread_works_for_whom_its_item_is_for() {
    let mut story = submitted();
    story
        .at(0, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        // Somebody else's work, until it asks for more.
        .at(100, Body::QueueGet)
        .at(110, Body::QueueGot { item: 0x5 })
        .out(150, Wait::Sleep)
        .back(650, 660)
        .at(700, Body::QueueGet)
        .at(800, Body::Exit);
    let report = answered(story);
    assert_eq!(
        buckets(&report, 0),
        [
            ("python.cpu", 20 + 40 + 40 + 10),
            ("wait.executor", 80),
            ("wait.runqueue", 10),
            ("wait.sleep", 500),
            ("unattributed", 200)
        ]
    );
}

#[test]
fn the_wait_of_an_idle_pool_thread_for_its_cpu_is_not_the_pools() {
    let mut story = submitted();
    story
        .at(0, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .at(5, Body::QueueGet)
        .out(6, Wait::Futex { address: 0x9000 })
        .back(25, 125)
        .at(130, Body::QueueGot { item: 0x5 })
        .at(830, Body::QueueGet);
    let report = answered(story);
    assert_eq!(
        buckets(&report, 0),
        [
            ("python.cpu", 20 + 700 + 10),
            ("wait.executor", 5),
            // The first of it while the request's own step still ran.
            ("wait.runqueue", 100 - 5),
            ("unattributed", 70)
        ]
    );
}

#[test]
fn who_reads_an_answer_from_a_queue_still_works_for_its_own_request() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .at(5, Body::QueuePut { item: 0x6 })
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::QueueGet)
        .at(25, Body::QueueGot { item: 0x6 })
        .answer_sent(40);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 30)]);
}

#[test]
fn a_thread_that_another_ones_lock_held_up_goes_on_for_its_request() {
    let (mine, other) = (POOL, POOL + 1);
    let mut story = Story::new();
    story
        .request_begun()
        .at(20, Body::Fork { child_tgid: PID, child_tid: mine })
        .at(20, Body::Fork { child_tgid: PID, child_tid: other })
        .exit(30)
        .idle(30, 900, 900)
        .on(mine)
        .at(100, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .out(200, Wait::Futex { address: 0x9000 })
        .at(500, Body::SwitchIn { wake_ns: 490 * US, waker_tid: other })
        .at(800, Body::Exit);
    let report = answered(story);
    let buckets = buckets(&report, 0);
    assert!(buckets.contains(&("python.cpu", 20 + 100 + 300 + 10)), "{buckets:?}");
    assert!(buckets.contains(&("wait.lock", 290)), "{buckets:?}");
}

/// As anyio, which runs a context on the loop's thread before it gives it to one of its own.
#[test]
fn a_context_that_goes_to_another_thread_waits_for_that() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .at(0, Body::Fork { child_tgid: PID, child_tid: POOL })
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .enter(22, 0xb)
        .exit(24)
        .exit(30)
        .idle(30, 900, 900)
        .on(POOL)
        .at(5, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .enter(230, 0xb)
        .exit(800);
    let report = answered(story);
    let buckets = buckets(&report, 0);
    assert!(buckets.contains(&("wait.executor", 200)), "{buckets:?}");
}

#[test]
fn work_handed_to_a_pool_thread_waits_for_an_executor() {
    let pool = PID + 1;
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .at(0, Body::Fork { child_tgid: PID, child_tid: pool })
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(20)
        .enter(20, 0xb)
        .at(25, Body::ContextCopy { context: 0xc })
        .exit(30)
        .idle(30, 400, 400);
    story.on(pool).back(40, 50).enter(60, 0xc).exit(300).on(PID).enter(410, 0xb).answer_sent(420);
    let report = story.report(1_000);
    let buckets = buckets(&report, 0);
    assert!(buckets.contains(&("wait.executor", 30)), "{buckets:?}");
    assert!(buckets.contains(&("python.cpu", 20 + 240 + 10)), "{buckets:?}");
}

/// From 3.14 on a thread runs in a context of its own: the pool's thread is in one when it gets work.
#[test]
fn the_context_that_a_thread_lives_in_is_no_step() {
    let mut story = Story::new();
    let facts = ProcessFacts {
        runtime: Some((0x1000, 0x1100)),
        python: Some("3.14.10".to_owned()),
        ..ProcessFacts::default()
    };
    story.at(0, Body::Process(Box::new(facts)));
    // The first request's step starts the thread, which goes on to the second one's work.
    let second = ConnectionId(3);
    let head = RequestHead { method: "GET".into(), path: "/second".into(), ..RequestHead::default() };
    story
        .opened(0, CALLER, Role::Accepted)
        .opened(0, second, Role::Accepted)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::Fork { child_tgid: PID, child_tid: POOL })
        .exit(30)
        .enter(40, 0xb)
        .transfer((40, 41), second, Direction::Received, 100, vec![Mark::RequestHead { at: 0, head }])
        .at(50, Body::QueuePut { item: 0x5 })
        .exit(60)
        .on(POOL)
        .at(70, Body::SwitchIn { wake_ns: 70 * US, waker_tid: PID })
        .enter(80, 0xc)
        .at(90, Body::QueueGet)
        .at(100, Body::QueueGot { item: 0x5 })
        .tls_opened(110)
        .call_sent(121)
        .exit(900)
        .at(910, Body::Exit);
    let report = story.report(1_000);
    let calls: Vec<usize> = report.requests.iter().map(|request| request.calls.len()).collect();
    assert_eq!(calls, [0, 1]);
}
