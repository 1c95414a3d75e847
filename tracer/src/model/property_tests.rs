//! Whatever events come, in whatever order: no panic, and buckets that sum to the wall time.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::Model;
use crate::{
    event::{
        Body, Connection, ConnectionId, Direction, Event, Function, Mark, OffState, Place, ProcessFacts,
        RequestHead, ResponseHead, Role, Stream, Transport, Wait,
    },
    report::{
        bucket::Bucket,
        build::{Origin, build},
    },
    vendor::VendorTable,
};

static VENDORS: LazyLock<Arc<VendorTable>> = LazyLock::new(|| Arc::new(VendorTable::builtin()));

fn time_ns() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..2_000, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// Few, so that events meet.
fn id() -> impl Strategy<Value = u32> {
    1u32..5
}

fn connection_id() -> impl Strategy<Value = ConnectionId> {
    (1u64..5).prop_map(ConnectionId)
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        Just(Wait::None),
        (0u64..3).prop_map(|address| Wait::Futex { address }),
        Just(Wait::Sleep),
        (proptest::option::of(connection_id()), proptest::option::of(time_ns()))
            .prop_map(|(connection, timeout_ns)| Wait::Poll { connection, timeout_ns }),
        proptest::option::of(time_ns()).prop_map(|timeout_ns| Wait::Epoll { timeout_ns }),
        connection_id().prop_map(|connection| Wait::Receive { connection }),
        Just(Wait::File),
        Just(Wait::Child),
        (0u64..60).prop_map(|syscall| Wait::Other { syscall }),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    let at = || prop_oneof![0u64..50, any::<u64>()];
    prop_oneof![
        at().prop_map(|at| Mark::Ciphertext { at }),
        at().prop_map(|at| Mark::Ticket { at }),
        at().prop_map(|at| Mark::Body { at }),
        at().prop_map(|at| Mark::RequestHead { at, head: RequestHead::default() }),
        at().prop_map(|at| Mark::ResponseHead {
            at,
            head: ResponseHead { status: 429, ..Default::default() }
        }),
        Just(Mark::RequestEnd),
        Just(Mark::ResponseEnd),
        Just(Mark::Upgraded),
        Just(Mark::HandshakeDone),
        Just(Mark::ClientHello { sni: Some("api.openai.com".to_owned()), alpn: None }),
        Just(Mark::Tunnel { host: "proxy".to_owned(), port: 1 }),
        Just(Mark::Unparsed),
        Just(Mark::Http2),
        (0u32..3, any::<u64>()).prop_map(|(id, bytes)| Mark::Stream { id, bytes }),
        Just(Mark::StreamReset),
        (0u16..2).prop_map(|id| Mark::DnsQuery { id, name: "api.openai.com".to_owned() }),
        (0u16..2).prop_map(|id| Mark::DnsAnswer { id, name: "api.openai.com".to_owned(), addresses: vec![] }),
    ]
}

fn opened() -> impl Strategy<Value = Connection> {
    let role = prop_oneof![Just(Role::Unknown), Just(Role::Connected), Just(Role::Accepted)];
    let port = prop_oneof![Just(53u16), Just(443)];
    (connection_id(), role, port, proptest::option::of(time_ns()), any::<u32>(), any::<bool>()).prop_map(
        |(id, role, port, first_data_ns, copied_seq, is_udp)| Connection {
            id,
            role,
            transport: if is_udp { Transport::Udp } else { Transport::Tcp },
            local: None,
            remote: Some(([127, 0, 0, 1].into(), port)),
            first_data_ns,
            copied_seq,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let state = prop_oneof![Just(OffState::Runnable), Just(OffState::Sleeping), Just(OffState::Blocked)];
    let direction = prop_oneof![Just(Direction::Received), Just(Direction::Sent)];
    let context = || 0u64..4;
    let session = || 1u64..3;
    let result = prop_oneof![Just(-32i64), 0i64..100, Just(i64::MAX)];
    let facts = ProcessFacts { runtime: Some((0, 2)), ..ProcessFacts::default() };
    prop_oneof![
        Just(Body::Process(Box::new(facts))),
        (id(), id()).prop_map(|(child_tgid, child_tid)| Body::Fork { child_tgid, child_tid }),
        Just(Body::Exec),
        Just(Body::Exit),
        (state, wait(), time_ns()).prop_map(|(state, wait, cpu_ns)| Body::SwitchOut { state, wait, cpu_ns }),
        (time_ns(), id()).prop_map(|(wake_ns, waker_tid)| Body::SwitchIn { wake_ns, waker_tid }),
        (time_ns(), id()).prop_map(|(wake_ns, waker_tid)| Body::OnCpu { wake_ns, waker_tid }),
        opened().prop_map(|connection| Body::Connection(Box::new(connection))),
        (connection_id(), time_ns(), -115i64..1).prop_map(|(connection, enter_ns, result)| Body::Connect {
            connection,
            enter_ns,
            result
        }),
        (connection_id(), any::<u32>())
            .prop_map(|(connection, rcv_nxt)| Body::Established { connection, rcv_nxt }),
        (connection_id(), any::<u32>(), time_ns()).prop_map(|(connection, rcv_nxt, rtt_ns)| Body::Arrival {
            connection,
            rcv_nxt,
            rtt_ns
        }),
        (connection_id(), direction, time_ns(), result, prop::collection::vec(mark(), 0..3)).prop_map(
            |(connection, direction, enter_ns, result, marks)| Body::Transfer {
                connection,
                direction,
                enter_ns,
                result,
                marks
            }
        ),
        connection_id().prop_map(|connection| Body::Close { connection }),
        connection_id().prop_map(|connection| Body::Reset { connection }),
        session().prop_map(|session| Body::TlsStart { session }),
        session().prop_map(|session| Body::TlsEnd { session }),
        (session(), any::<bool>(), time_ns(), any::<u64>(), prop::collection::vec(mark(), 0..6)).prop_map(
            |(session, is_sent, enter_ns, bytes, marks)| Body::Plain {
                session,
                direction: if is_sent { Direction::Sent } else { Direction::Received },
                enter_ns,
                bytes,
                marks
            }
        ),
        prop::collection::vec(1u64..6, 0..3).prop_map(|codes| Body::Asking {
            places: codes.into_iter().map(|code| Place { code, line: None }).collect()
        }),
        context().prop_map(|context| Body::ContextEnter { context }),
        context().prop_map(|context| Body::ContextExit { context }),
        Just(Body::SleepEnded),
        Just(Body::ProcessEnd),
        (1u64..4).prop_map(|item| Body::QueuePut { item }),
        Just(Body::QueueGet),
        (1u64..4).prop_map(|item| Body::QueueGot { item }),
        context().prop_map(|context| Body::ContextCopy { context }),
        context().prop_map(|context| Body::ContextEnd { context }),
        (1u64..5).prop_map(|address| {
            let function = Function { name: address.to_string(), ..Function::default() };
            Body::Code { address, function }
        }),
        prop::collection::vec(1u64..6, 0..6).prop_map(|frames| Body::Sample { frames }),
        prop::collection::vec(1u64..6, 0..6).prop_map(|frames| Body::Collecting { frames }),
        any::<u32>().prop_map(|per_second| Body::Sampling { per_second }),
        prop::sample::select(&Bucket::ALL[..])
            .prop_map(|bucket| Body::Sampled { bucket: bucket.name().to_owned() }),
        prop::collection::vec(1u64..6, 0..3).prop_map(|frames| Body::Waiting { frames }),
        prop::collection::vec(1u64..6, 0..3).prop_map(|frames| Body::Creating { frames }),
        prop::collection::vec(1u64..6, 0..3).prop_map(|frames| Body::Setting { frames }),
        (context(), prop::collection::vec(1u64..6, 0..3))
            .prop_map(|(context, frames)| Body::Awaited { context, frames }),
        (1u64..6, prop::option::of(1u32..6))
            .prop_map(|(client, number)| Body::OnStream(Stream { client, number })),
        context().prop_map(|context| Body::ContextReady { context }),
        context().prop_map(|context| Body::ContextCurrent { context }),
        context().prop_map(|greenlet| Body::GreenletSwitch { greenlet }),
        Just(Body::Mapped),
        Just(Body::Unfollowed),
        Just(Body::GcStart),
        Just(Body::GcDone),
        Just(Body::ImportStart { module: String::new() }),
        Just(Body::ImportDone),
        (any::<u64>(), time_ns()).prop_map(|(count, since_ns)| Body::Loss {
            kind: "context_exit".to_owned(),
            count,
            since_ns
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (time_ns(), id(), id(), body()).prop_map(|(ts_ns, tgid, tid, body)| Event { ts_ns, tgid, tid, body })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_events_make_a_report_that_sums(
        mut events in prop::collection::vec(event(), 0..80),
        in_order: bool,
        end_ns in time_ns(),
    ) {
        if in_order {
            events.sort_by_key(|event| event.ts_ns);
        }
        let vendors = VENDORS.clone();
        let mut model = Model::new(vendors.clone());
        events.iter().for_each(|event| model.apply(event));
        let report = build(&Origin::default(), end_ns, &model.finish(end_ns), &vendors);
        for request in &report.requests {
            prop_assert_eq!(request.buckets.sum(), request.wall_ns);
            if let Some(background) = &request.background {
                prop_assert_eq!(background.buckets.sum(), background.wall_ns);
            }
        }
    }
}
