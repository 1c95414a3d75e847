//! Stories of threads and processes that end.

use super::*;

const OTHER: u32 = PID + 1;

#[test]
fn a_thread_whose_end_was_not_seen_ends_with_its_process() {
    let mut story = Story::new();
    story
        .at(100, Body::Fork { child_tgid: PID, child_tid: OTHER })
        .on(OTHER)
        .at(200, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .on(PID)
        .out(250, Wait::Sleep)
        .at(300, Body::Exit)
        .at(310, Body::ProcessEnd)
        // What comes of it afterwards is of nobody's.
        .on(OTHER)
        .at(320, Body::SwitchOut { state: OffState::Dead, wait: Wait::None, cpu_ns: 0 });
    let report = story.report(10_000);
    assert_eq!(report.requests[0].wall_ns, 310 * US);
    assert_eq!(report.requests[0].cpu_ns, (250 + 110) * US);
}

#[test]
fn a_script_is_one_request_and_its_sleeps_are_seen() {
    let mut story = Story::new();
    story
        .out(100, Wait::Sleep)
        .back(300, 310)
        .out(400, Wait::Futex { address: 0x1010 })
        .back(450, 450)
        .out(500, Wait::Futex { address: 0x9999 })
        .back(600, 600)
        .at(700, Body::GcStart)
        .at(720, Body::GcDone)
        .at(800, Body::Exit);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].wall_ns, 800 * US);
    assert_eq!(
        buckets(&report, 0),
        [
            ("python.cpu", 420),
            ("python.gc", 20),
            ("wait.gil", 50),
            ("wait.runqueue", 10),
            ("wait.lock", 100),
            ("wait.sleep", 200)
        ]
    );
}

#[test]
fn what_a_process_can_not_see_its_forked_workers_can_not_either() {
    let worker = PID + 1;
    let unknown = Unknown { bucket: "python.gc".into(), reason: "no probe".into() };
    let facts = ProcessFacts { unknown: vec![unknown], ..ProcessFacts::default() };
    let mut story = Story::new();
    story.at(0, Body::Process(Box::new(facts))).at(5, Body::Fork { child_tgid: worker, child_tid: worker });
    story.tid = worker;
    story.pid = worker;
    story.opened(6, CALLER, Role::Accepted).arrival(10, CALLER, 100).request_read(10).answer_sent(40);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].buckets.get(Bucket::PythonGc), None);
    let process = report.processes.iter().find(|process| process.pid == worker).expect("it is told");
    assert_eq!(process.start_unix_ns, 5 * US);
}

/// As where a server makes its workers before it was looked at.
#[test]
fn the_run_of_a_worker_that_is_looked_at_itself_began_when_it_was_made() {
    let worker = PID + 1;
    let mut story = Story::new();
    story.opened(1, CALLER, Role::Accepted).at(5, Body::Fork { child_tgid: worker, child_tid: worker });
    story.tid = worker;
    story.pid = worker;
    story.at(20, Body::Process(Box::default())).at(500, Body::Exit);
    let report = story.report(1_000);
    let [run] = report.requests.as_slice() else { panic!("{:?}", report.requests) };
    assert_eq!((run.pid, run.wall_ns), (worker, 495 * US));
}

/// As a view that runs `asyncio.run`: the worker is no loop afterwards.
#[test]
fn a_worker_that_has_run_a_loop_works_for_its_next_request_to_the_end() {
    let mut story = Story::new();
    story
        .enter(0, 0x1)
        .exit(1)
        .idle(2, 10, 10)
        .opened(11, CALLER, Role::Accepted)
        .out(12, Wait::Poll { connection: None, timeout_ns: None })
        .back(100, 100)
        .arrival(100, CALLER, 100)
        .request_read(100)
        .enter(200, 0x2)
        .exit(300)
        .answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 800)]);
}

/// An event loop waits for a child process in epoll, as for everything else.
#[test]
fn a_request_waits_for_the_child_that_it_started() {
    let child = PID + 1;
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .enter(30, 0xb)
        .at(50, Body::Fork { child_tgid: child, child_tid: child })
        .exit(100)
        .out(100, Wait::Epoll { timeout_ns: None });
    story.pid = child;
    story.on(child).at(150, Body::Exec).at(800, Body::Exit).at(800, Body::ProcessEnd);
    story.pid = PID;
    story.on(PID).back(800, 810).enter(820, 0xb).answer_sent(900).exit(910);
    let report = story.report(1_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 170), ("wait.loop", 10), ("wait.runqueue", 10), ("wait.child", 700)],
        "{:?}",
        report.requests[0].timeline
    );
}

/// A shell starts the program that calls, which is not known to run Python when it does.
#[test]
fn the_calls_of_any_program_that_a_request_starts_are_its_own() {
    let (shell, program) = (PID + 1, PID + 2);
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .request_read(10)
        .at(50, Body::Fork { child_tgid: shell, child_tid: shell });
    story.pid = shell;
    story.on(shell).at(60, Body::Exec).at(70, Body::Fork { child_tgid: program, child_tid: program });
    story.pid = program;
    story.on(program).at(80, Body::Exec).tls_opened(100).call_sent(121).arrival(300, VENDOR, 50);
    story.answer_read(310, 50).at(400, Body::Exit).at(400, Body::ProcessEnd);
    story.pid = PID;
    story.on(PID).answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls.len(), 1);
    assert_eq!(report.requests[0].calls[0].vendor.as_deref(), Some("openai"));
}

/// As `Thread.join`, which goes on only after the thread has ended.
#[test]
fn a_wait_for_a_thread_of_the_same_request_hides_nothing_of_what_that_waits_for() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .at(20, Body::Fork { child_tgid: PID, child_tid: OTHER })
        .out(30, Wait::Futex { address: 0x9000 })
        .on(OTHER)
        .at(30, Body::SwitchIn { wake_ns: 0, waker_tid: 0 })
        .tls_opened(40)
        .call_sent(60)
        .out(70, Wait::Poll { connection: Some(VENDOR), timeout_ns: None })
        .arrival(500, VENDOR, 500)
        .back(500, 500)
        .answer_read(510, 100)
        .at(600, Body::Exit)
        .on(PID)
        .at(650, Body::SwitchIn { wake_ns: 590 * US, waker_tid: OTHER })
        .answer_sent(700);
    let report = story.report(1_000);
    let found = buckets(&report, 0);
    assert!(found.iter().all(|(name, _)| *name != "wait.lock"), "{found:?}");
    assert!(found.contains(&("llm.first_byte", 430)), "{found:?}");
}
