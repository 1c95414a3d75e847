//! Whole stories in events: what a server, a loop or a script does, and the buckets that must come of it.
//! Times are in microseconds here, to be readable.

mod greenlets;
mod lifecycle;
mod queue;

use std::sync::Arc;

use super::*;
use crate::{
    event::{
        Connection, ConnectionId, Direction, Mark, OffState, ProcessFacts, RequestHead, ResponseHead, Role,
        Transport, Unknown, Wait,
    },
    report::{
        bucket::Bucket,
        build::{Origin, build},
        types::Report,
    },
};

const US: u64 = 1_000;
const PID: u32 = 100;
const CALLER: ConnectionId = ConnectionId(1);
const VENDOR: ConnectionId = ConnectionId(2);

/// Events of one thread of one process, written as a story.
struct Story {
    model: Model,
    pid: u32,
    tid: u32,
}

impl Story {
    fn new() -> Self {
        let mut story = Story { model: Model::new(Arc::new(VendorTable::builtin())), pid: PID, tid: PID };
        let facts = ProcessFacts { runtime: Some((0x1000, 0x1100)), ..ProcessFacts::default() };
        story.at(0, Body::Process(facts)).at(0, Body::SwitchIn { wake_ns: 0, waker_tid: 0 });
        story
    }

    fn at(&mut self, at_us: u64, body: Body) -> &mut Self {
        self.model.apply(&Event { ts_ns: at_us * US, tgid: self.pid, tid: self.tid, body });
        self
    }

    fn on(&mut self, tid: u32) -> &mut Self {
        self.tid = tid;
        self
    }

    fn out(&mut self, at_us: u64, wait: Wait) -> &mut Self {
        self.at(at_us, Body::SwitchOut { state: OffState::Sleeping, wait, cpu_ns: 0 })
    }

    fn back(&mut self, wake_us: u64, in_us: u64) -> &mut Self {
        self.at(in_us, Body::SwitchIn { wake_ns: wake_us * US, waker_tid: 0 })
    }

    fn idle(&mut self, at_us: u64, wake_us: u64, in_us: u64) -> &mut Self {
        self.out(at_us, Wait::Epoll { timeout_ns: None }).back(wake_us, in_us)
    }

    fn opened(&mut self, at_us: u64, id: ConnectionId, role: Role) -> &mut Self {
        let remote = Some(([127, 0, 0, 1].into(), 443));
        self.at(
            at_us,
            Body::Connection(Connection {
                id,
                role,
                transport: Transport::Tcp,
                local: None,
                remote,
                first_data_ns: None,
                copied_seq: 1,
            }),
        )
    }

    fn arrival(&mut self, at_us: u64, connection: ConnectionId, position: u32) -> &mut Self {
        self.at(at_us, Body::Arrival { connection, rcv_nxt: 1 + position, rtt_ns: 0 })
    }

    fn transfer(
        &mut self,
        (enter_us, exit_us): (u64, u64),
        connection: ConnectionId,
        direction: Direction,
        result: i64,
        marks: Vec<Mark>,
    ) -> &mut Self {
        self.at(exit_us, Body::Transfer { connection, direction, enter_ns: enter_us * US, result, marks })
    }

    /// The caller's request is read, 100 bytes.
    fn request_read(&mut self, enter_us: u64) -> &mut Self {
        let head = RequestHead { method: "GET".into(), path: "/chat".into(), ..RequestHead::default() };
        let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
        self.transfer((enter_us, enter_us + 1), CALLER, Direction::Received, 100, marks)
    }

    fn answer_sent(&mut self, exit_us: u64) -> &mut Self {
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        let marks = vec![Mark::ResponseHead { at: 0, head }, Mark::ResponseEnd];
        self.transfer((exit_us - 1, exit_us), CALLER, Direction::Sent, 100, marks)
    }

    fn call_sent(&mut self, exit_us: u64) -> &mut Self {
        self.transfer((exit_us - 1, exit_us), VENDOR, Direction::Sent, 300, vec![Mark::Ciphertext { at: 0 }])
    }

    fn answer_read(&mut self, enter_us: u64, bytes: i64) -> &mut Self {
        let marks = vec![Mark::Ciphertext { at: 0 }];
        self.transfer((enter_us, enter_us + 1), VENDOR, Direction::Received, bytes, marks)
    }

    fn tls_opened(&mut self, at_us: u64) -> &mut Self {
        let sni = Some("api.openai.com".to_owned());
        self.opened(at_us, VENDOR, Role::Connected)
            .at(at_us, Body::Connect { connection: VENDOR, enter_ns: at_us * US, result: 0 })
            .transfer(
                (at_us, at_us),
                VENDOR,
                Direction::Sent,
                517,
                vec![Mark::ClientHello { sni, alpn: None }],
            )
            .transfer((at_us, at_us), VENDOR, Direction::Sent, 80, vec![Mark::HandshakeDone])
    }

    fn enter(&mut self, at_us: u64, context: u64) -> &mut Self {
        self.at(at_us, Body::ContextEnter { context })
    }

    fn exit(&mut self, at_us: u64) -> &mut Self {
        self.at(at_us, Body::ContextExit { context: 0 })
    }

    fn report(self, end_us: u64) -> Report {
        let outcome = self.model.finish(end_us * US);
        build(&Origin::default(), end_us * US, &outcome, &VendorTable::builtin())
    }
}

/// Buckets of a request that are not zero, in microseconds.
fn buckets(report: &Report, index: usize) -> Vec<(&'static str, u64)> {
    let buckets = &report.requests[index].buckets;
    buckets
        .iter()
        .filter_map(|(bucket, ns)| Some((bucket.name(), ns? / US)))
        .filter(|(_, us)| *us > 0)
        .collect()
}

#[test]
fn a_worker_that_accepts_late_waits_for_itself_then_for_the_vendor() {
    let mut story = Story::new();
    story
        .at(
            300,
            Body::Connection(Connection {
                id: CALLER,
                role: Role::Accepted,
                transport: Transport::Tcp,
                local: None,
                remote: None,
                first_data_ns: Some(100 * US),
                copied_seq: 1,
            }),
        )
        .request_read(310)
        .tls_opened(320)
        .call_sent(331)
        .out(340, Wait::Receive { connection: VENDOR })
        .arrival(800, VENDOR, 50)
        .back(800, 850)
        .answer_read(860, 50)
        .answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(report.requests.len(), 1);
    assert_eq!(
        buckets(&report, 0),
        [("llm.first_byte", 460), ("python.cpu", 80), ("wait.loop", 210), ("wait.runqueue", 50)]
    );
    let call = &report.requests[0].calls[0];
    assert_eq!(call.vendor.as_deref(), Some("openai"));
    assert_eq!(call.first_byte_ns, Some(469 * US));
    assert!(!call.connection_reused);
}

/// Request 1 waits for the vendor; its answer arrives while the loop runs a step of somebody else.
#[test]
fn an_answer_that_lies_in_the_kernel_while_the_loop_is_busy_is_ours() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(20)
        .enter(25, 0xb)
        .tls_opened(30)
        .call_sent(41)
        .exit(50)
        .idle(50, 100, 100)
        // A step of nobody's keeps the loop busy from 100 to 700; the answer arrives at 300.
        .enter(100, 0xc)
        .arrival(300, VENDOR, 50)
        .exit(700)
        .enter(710, 0xd)
        .answer_read(710, 50)
        .exit(720)
        .enter(730, 0xb)
        .answer_sent(750)
        .exit(760)
        .idle(760, 900, 900);
    let report = story.report(1_000);
    assert_eq!(report.requests.len(), 1);
    assert_eq!(
        buckets(&report, 0),
        [("llm.first_byte", 250), ("python.cpu", 65), ("wait.loop", 425)],
        "{:?}",
        report.requests[0].timeline
    );
    assert_eq!(report.requests[0].calls[0].read_delay_ns, Some(411 * US));
}

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

#[test]
fn a_timer_is_a_sleep() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(30)
        .out(30, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(5_030, 5_040)
        .enter(5_050, 0xb)
        .answer_sent(5_060);
    let report = story.report(6_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 30), ("wait.loop", 10), ("wait.runqueue", 10), ("wait.sleep", 5_000)]
    );
}

#[test]
fn a_sleep_ends_also_where_other_things_woke_the_loop() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(30)
        // The sleep is over at 5030, but data for somebody else wake the loop before, and keep it until 5050.
        .out(30, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(4_000, 4_000)
        .enter(4_000, 0xc)
        .exit(5_050)
        .enter(5_050, 0xb)
        .at(5_050, Body::SleepEnded)
        .answer_sent(5_060);
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 30), ("wait.loop", 20), ("wait.sleep", 5_000)]);
}

#[test]
fn an_answer_is_no_timer_also_when_the_loops_last_sleep_timed_out() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .tls_opened(11)
        .call_sent(12)
        // The handle that will read the answer.
        .at(15, Body::ContextCopy { context: 0xb })
        .exit(20)
        .out(20, Wait::Epoll { timeout_ns: Some(5_000 * US) })
        .back(5_020, 5_020)
        // Somebody else keeps the loop.
        .enter(5_020, 0xc)
        .arrival(7_020, VENDOR, 200)
        .exit(9_020)
        .enter(9_020, 0xb)
        .answer_read(9_020, 200)
        .answer_sent(9_040);
    let report = story.report(10_000);
    assert_eq!(buckets(&report, 0), [("llm.first_byte", 7_000), ("python.cpu", 30), ("wait.loop", 2_000)]);
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
fn what_a_process_can_not_see_its_forked_workers_can_not_either() {
    let worker = PID + 1;
    let unknown = Unknown { bucket: "python.gc".into(), reason: "no probe".into() };
    let facts = ProcessFacts { unknown: vec![unknown], ..ProcessFacts::default() };
    let mut story = Story::new();
    story.at(0, Body::Process(facts)).at(5, Body::Fork { child_tgid: worker, child_tid: worker });
    story.tid = worker;
    story.pid = worker;
    story.opened(6, CALLER, Role::Accepted).arrival(10, CALLER, 100).request_read(10).answer_sent(40);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].buckets.get(Bucket::PythonGc), None);
    let process = report.processes.iter().find(|process| process.pid == worker).expect("it is told");
    assert_eq!(process.start_unix_ns, 5 * US);
}

#[test]
fn loss_marks_the_requests_it_may_touch() {
    let mut story = Story::new();
    story.opened(0, CALLER, Role::Accepted).request_read(10).answer_sent(20);
    story.request_read(100).answer_sent(120);
    story.at(150, Body::Loss { kind: "transfer".into(), count: 3, since_ns: 50 * US });
    let report = story.report(1_000);
    assert_eq!(report.capture.lost_events["transfer"], 3);
    assert_eq!(report.requests.iter().map(|request| request.complete).collect::<Vec<_>>(), [true, false]);
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
fn a_lookup_in_a_pool_thread_is_joined_by_host() {
    let (pool, resolver) = (PID + 1, ConnectionId(9));
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .out(20, Wait::Futex { address: 0x9000 });
    story
        .on(pool)
        .back(22, 22)
        .at(
            100,
            Body::Connection(Connection {
                id: resolver,
                role: Role::Connected,
                transport: Transport::Udp,
                local: None,
                remote: Some(([127, 0, 0, 53].into(), 53)),
                first_data_ns: None,
                copied_seq: 0,
            }),
        )
        .at(100, Body::Connect { connection: resolver, enter_ns: 100 * US, result: 0 });
    let name = || "api.openai.com".to_owned();
    let query = Mark::DnsQuery { id: 7, name: name() };
    let answer = Mark::DnsAnswer { id: 7, name: name(), addresses: vec![[127, 0, 0, 1].into()] };
    story
        .transfer((100, 101), resolver, Direction::Sent, 32, vec![query])
        .transfer((390, 400), resolver, Direction::Received, 48, vec![answer])
        .on(PID)
        .back(400, 400)
        .tls_opened(410)
        .call_sent(420)
        .answer_sent(450);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls[0].dns_ns, Some(300 * US));
    assert_eq!(report.requests[0].buckets.get(Bucket::NetOther), Some(0));
}

#[test]
fn tickets_that_are_read_before_the_answer_are_not_its_first_byte() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .tls_opened(20)
        .call_sent(31)
        .arrival(40, VENDOR, 500)
        .transfer((50, 51), VENDOR, Direction::Received, 500, vec![Mark::Ticket { at: 0 }])
        .out(60, Wait::Poll { connection: Some(VENDOR), timeout_ns: None })
        .arrival(900, VENDOR, 600)
        .back(900, 910)
        .answer_read(920, 100)
        .answer_sent(950);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls[0].first_byte_ns, Some(869 * US));
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

#[test]
fn stolen_time_is_no_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story.at(1_000, out(5_000)).back(0, 1_010).at(4_010, out(7_000)).back(0, 4_020).at(5_020, Body::Exit);
    let report = story.report(6_000);
    assert_eq!(
        buckets(&report, 0),
        [("python.cpu", 1_000 + 2_000 + 1_000), ("wait.runqueue", 10 + 1_000 + 10)]
    );
    assert_eq!(report.requests[0].cpu_ns, 4_000 * US);
}

#[test]
fn a_switch_in_that_was_not_seen_is_inferred_from_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story.at(1_000, out(5_000)).at(4_000, out(7_500)).back(0, 4_100).at(5_000, Body::Exit);
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 1_000 + 2_500 + 900), ("wait.runqueue", 500 + 100)]);
}

#[test]
fn a_request_that_was_answered_before_its_switch_in_shows_still_gets_its_cpu_time() {
    let mut story = Story::new();
    let out =
        |cpu_us: u64| Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: cpu_us * US };
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        // Back on CPU since 2000, which nothing shows before the answer at 5000.
        .at(1_000, out(5_000))
        .answer_sent(5_000)
        .exit(5_100)
        .at(5_200, out(8_200));
    let report = story.report(6_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 990 + 3_000), ("wait.runqueue", 1_000)]);
    assert_eq!(report.requests[0].cpu_ns, (990 + 3_000) * US);
}

/// The step that keeps the loop busy is preempted: whoever waits for the loop still waits for that step.
#[test]
fn a_busy_loop_without_a_cpu_is_still_a_busy_loop() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .enter(0, 0xc)
        .arrival(100, CALLER, 100)
        .at(200, Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: 0 })
        .back(0, 500)
        .exit(700)
        .at(700, Body::SwitchOut { state: OffState::Runnable, wait: Wait::None, cpu_ns: 0 })
        .back(0, 800)
        .enter(800, 0xa)
        .request_read(800)
        .answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0), [("python.cpu", 100), ("wait.loop", 600), ("wait.runqueue", 100)]);
}
