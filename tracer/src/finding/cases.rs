//! Requests and calls to hold the checks against.

use crate::report::{
    bucket::Bucket,
    stacks::Stacks,
    types::{Buckets, Call, Kind, Report, Request, Segment, Step},
};

pub const MS: u64 = 1_000_000;

/// When the requests of cases start at the earliest.
const START_UNIX_NS: u64 = 1_700_000_000_000_000_000;

/// A report of the given requests.
pub fn report(requests: impl IntoIterator<Item = Request>) -> Report {
    Report { schema: 1, requests: requests.into_iter().collect(), ..Report::default() }
}

/// `GET route` of process 1, begun `at_ms` into the capture, its time in the given buckets in that order, in
/// one step of context 0 on thread 1 that covers the whole.
pub fn request(route: &str, at_ms: u64, pieces: &[(Bucket, u64)]) -> Request {
    let mut buckets = Buckets::zero();
    let mut timeline = Vec::new();
    let mut at_ns = 0;
    for (bucket, ms) in pieces {
        buckets.add(*bucket, ms * MS);
        timeline.push(Segment { start_ns: at_ns, end_ns: at_ns + ms * MS, bucket: *bucket });
        at_ns += ms * MS;
    }
    Request {
        id: format!("{route}@{at_ms}"),
        pid: 1,
        kind: Kind::Http,
        method: Some("GET".to_owned()),
        path: Some(route.to_owned()),
        route: Some(route.to_owned()),
        status: Some(200),
        start_unix_ns: START_UNIX_NS + at_ms * MS,
        wall_ns: at_ns,
        first_byte_ns: None,
        complete: true,
        traceparent: None,
        cpu_ns: buckets.get(Bucket::PythonCpu).unwrap_or_default(),
        buckets,
        contexts: 1,
        calls: Vec::new(),
        delays: Vec::new(),
        background: None,
        gil_waits: Vec::new(),
        imports: Vec::new(),
        functions: Vec::new(),
        waits: Vec::new(),
        waited: Vec::new(),
        stacks: Stacks::default(),
        timeline,
        steps: vec![Step { start_ns: 0, end_ns: at_ns, context: 0, tid: 1, function: None }],
    }
}

/// A call to `host`, from `at_ms` to `at_ms + wall_ms` of its request, on a kept connection.
pub fn call(host: &str, request: &Request, at_ms: u64, wall_ms: u64) -> Call {
    Call {
        host: Some(host.to_owned()),
        port: Some(443),
        vendor: Some("openai".to_owned()),
        attempt: 1,
        start_unix_ns: request.start_unix_ns + at_ms * MS,
        start_ns: at_ms * MS,
        wall_ns: wall_ms * MS,
        first_byte_ns: Some(wall_ms * MS),
        connection_reused: true,
        ..Call::default()
    }
}
