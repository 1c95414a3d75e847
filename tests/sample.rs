//! A report of an application with the four usual troubles, built by hand: what the reporters are held
//! against. Its figures are made up.

use tracer::report::{
    bucket::Bucket::{
        self, Client, LlmConnect, LlmDns, LlmFirstByte, LlmStream, LlmTls, NetOther, PythonCpu, WaitExecutor,
        WaitGil, WaitLoop, WaitSleep,
    },
    counts::{End, FunctionCount, FunctionCounts, LineCount, Told, Uncounted},
    stacks::Stacks,
    types::{
        Background, Buckets, Call, Caller, Capture, Delay, Frame, Function, Kind, Native, Process, Report,
        Request, Segment, Step, UnknownBucket,
    },
};

const MS: u64 = 1_000_000;
const START_UNIX_NS: u64 = 1_767_225_600_000_000_000;
const PID: u32 = 4711;

/// Thread of the event loop.
const LOOP_TID: u32 = 4711;

/// Two requests to `/chat/{id}`, one each to `/compute`, `/summary` (which blocks the loop) and `/compare`
/// (three calls at once), and what could not be seen; with its findings.
pub fn report() -> Report {
    let mut report = Report {
        schema: 1,
        capture: Capture {
            start_unix_ns: START_UNIX_NS,
            duration_ns: 5_200 * MS,
            kernel: "6.1.0-28-amd64".to_owned(),
            samples_per_second: 199,
            lost_events: [("switch_in".to_owned(), 34), ("transfer".to_owned(), 1_200)].into(),
            unknown: ["python.gc", "python.import"].map(unknown).into(),
            sampled: Vec::new(),
        },
        processes: vec![Process {
            pid: PID,
            start_unix_ns: START_UNIX_NS - 9_000 * MS,
            exe: "/usr/local/bin/python3.12".to_owned(),
            cmdline: "python -m uvicorn app:app".to_owned(),
            python: Some("3.12.1".to_owned()),
            ..Process::default()
        }],
        requests: vec![chat(), held_back(), compute(), summary(), compare()],
        findings: Vec::new(),
        function_counts: Some(function_counts()),
    };
    report.findings = tracer::finding::find(&report);
    report
}

fn function_counts() -> FunctionCounts {
    let count = |function: &str, file: &str, lines: &[(Option<u32>, u64)]| FunctionCount {
        pid: PID,
        function: function.to_owned(),
        file: file.to_owned(),
        count: lines.iter().map(|(_, count)| count).sum(),
        told: Told::Returns,
        lines: lines.iter().map(|&(line, count)| LineCount { line, count }).collect(),
    };
    FunctionCounts {
        pattern: "app/*:*".to_owned(),
        counted_ns: Some(5_000 * MS),
        end: End::Time,
        lost: 12,
        functions: vec![
            count("tokens", "/srv/app/text.py", &[(Some(21), 1_204_311), (Some(18), 17)]),
            count("chat", "/srv/app/__init__.py", &[(Some(40), 2)]),
            count("<module>", "/srv/app/late.py", &[(None, 1)]),
        ],
        uncounted: vec![Uncounted {
            pid: PID + 1,
            reason: "CPython 3.12.1 has no function probes: 3.12 to 3.14 are without them".to_owned(),
        }],
    }
}

fn unknown(bucket: &str) -> UnknownBucket {
    UnknownBucket { pid: PID, bucket: bucket.to_owned(), reason: "no USDT points in this Python".to_owned() }
}

/// Streams an answer over a new connection.
fn chat() -> Request {
    let pieces = [
        (PythonCpu, 4),
        (LlmDns, 3),
        (LlmConnect, 12),
        (LlmTls, 25),
        (PythonCpu, 2),
        (LlmFirstByte, 420),
        (LlmStream, 310),
        (WaitLoop, 6),
        (PythonCpu, 3),
        (Client, 1),
    ];
    let mut request = request("1", "/chat/42", "/chat/{id}", 0, &pieces);
    request.first_byte_ns = Some(470 * MS);
    request.steps =
        vec![step(0, 4, 0), step(44, 46, 0), step(466, 468, 0), step(600, 602, 0), step(782, 786, 0)];
    let phases = [
        (4, 7, LlmDns),
        (7, 19, LlmConnect),
        (19, 44, LlmTls),
        (46, 466, LlmFirstByte),
        (466, 776, LlmStream),
    ];
    request.calls = vec![Call {
        phases: phases.map(|(start_ms, end_ms, bucket)| phase(start_ms, end_ms, bucket)).into(),
        dns_ns: Some(3 * MS),
        connect_ns: Some(12 * MS),
        tls_ns: Some(25 * MS),
        send_ns: Some(MS / 5),
        first_byte_ns: Some(420 * MS),
        first_content_ns: Some(425 * MS),
        stream_ns: Some(310 * MS),
        read_delay_ns: Some(9 * MS),
        stream: Some(true),
        chunks: 24,
        connection_reused: false,
        ..call(&request, 0, 4, 772, 0)
    }];
    request
}

/// Its answer lies in the kernel while [`summary`] keeps the loop busy.
fn held_back() -> Request {
    let pieces = [(PythonCpu, 3), (LlmFirstByte, 300), (WaitLoop, 640), (PythonCpu, 4), (Client, 3)];
    let mut request = request("2", "/chat/43", "/chat/{id}", 2_000, &pieces);
    request.steps = vec![step(0, 3, 0), step(943, 950, 0)];
    request.calls = vec![Call {
        phases: vec![phase(3, 303, LlmFirstByte)],
        first_byte_ns: Some(300 * MS),
        read_delay_ns: Some(640 * MS),
        ..call(&request, 0, 3, 940, 0)
    }];
    request.complete = false;
    let function = Some(Frame { function: "summary".to_owned(), file: "/srv/app.py".to_owned(), line: 52 });
    request.delays = vec![Delay {
        request: "4".to_owned(),
        route: "POST /summary".to_owned(),
        function,
        wait_ns: 640 * MS,
    }];
    request
}

fn compute() -> Request {
    let pieces = [(PythonCpu, 180), (WaitGil, 25), (PythonCpu, 30)];
    let mut request = request("3", "/compute", "/compute", 1_000, &pieces);
    request.steps = vec![step(0, 235, 0)];
    request.functions = vec![Function {
        function: "fibonacci".to_owned(),
        file: "app.py".to_owned(),
        line: 41,
        self_ns: 190 * MS,
        total_ns: 205 * MS,
        native: vec![Native { library: "libm.so.6".to_owned(), self_ns: 120 * MS }],
        samples: 19,
    }];
    request
}

/// The blocking client on the loop: one long step.
fn summary() -> Request {
    let pieces = [(PythonCpu, 5), (LlmFirstByte, 700), (PythonCpu, 8), (Client, 2)];
    let mut request = request("4", "/summary", "/summary", 2_230, &pieces);
    request.steps = vec![step(0, 713, 0)];
    request.calls = vec![Call { first_byte_ns: Some(695 * MS), ..call(&request, 0, 6, 698, 0) }];
    request
}

/// Three calls at once, one of them from a thread pool.
fn compare() -> Request {
    let pieces =
        [(PythonCpu, 6), (WaitExecutor, 4), (LlmFirstByte, 260), (NetOther, 20), (PythonCpu, 6), (Client, 4)];
    let mut request = request("5", "/compare", "/compare", 4_000, &pieces);
    let pool = Step { tid: LOOP_TID + 5, ..step(10, 270, 3) };
    request.steps = vec![step(0, 6, 0), step(6, 7, 1), step(7, 8, 2), pool, step(290, 296, 0)];
    request.calls =
        vec![call(&request, 0, 7, 250, 1), call(&request, 1, 8, 210, 2), call(&request, 2, 11, 258, 3)];
    request.contexts = 4;
    request.background = Some(notes(&request));
    request
}

/// What a task did after the answer.
fn notes(request: &Request) -> Background {
    let mut buckets = Buckets::zero();
    buckets.set(Bucket::PythonGc, None);
    buckets.set(Bucket::PythonImport, None);
    for (bucket, ms) in [(WaitSleep, 200), (PythonCpu, 6), (LlmFirstByte, 410)] {
        buckets.add(bucket, ms * MS);
    }
    Background { wall_ns: buckets.sum(), buckets, cpu_ns: 6 * MS, calls: vec![call(request, 3, 506, 412, 1)] }
}

fn request(id: &str, path: &str, route: &str, at_ms: u64, pieces: &[(Bucket, u64)]) -> Request {
    let mut buckets = Buckets::zero();
    buckets.set(Bucket::PythonGc, None);
    buckets.set(Bucket::PythonImport, None);
    let mut timeline = Vec::new();
    let mut at_ns = 0;
    for (bucket, ms) in pieces {
        buckets.add(*bucket, ms * MS);
        timeline.push(Segment { start_ns: at_ns, end_ns: at_ns + ms * MS, bucket: *bucket });
        at_ns += ms * MS;
    }
    Request {
        id: id.to_owned(),
        pid: PID,
        kind: Kind::Http,
        method: Some("POST".to_owned()),
        path: Some(path.to_owned()),
        route: Some(route.to_owned()),
        status: Some(200),
        start_unix_ns: START_UNIX_NS + at_ms * MS,
        wall_ns: at_ns,
        first_byte_ns: Some(at_ns - MS),
        complete: true,
        traceparent: None,
        cpu_ns: buckets.get(PythonCpu).unwrap_or_default(),
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
        steps: Vec::new(),
    }
}

fn step(start_ms: u64, end_ms: u64, context: u32) -> Step {
    Step { start_ns: start_ms * MS, end_ns: end_ms * MS, context, tid: LOOP_TID, function: None }
}

fn phase(start_ms: u64, end_ms: u64, bucket: Bucket) -> Segment {
    Segment { start_ns: start_ms * MS, end_ns: end_ms * MS, bucket }
}

fn call(request: &Request, index: u32, at_ms: u64, wall_ms: u64, context: u32) -> Call {
    Call {
        id: format!("{}.{index}", request.id),
        vendor: Some("openai".to_owned()),
        host: Some("api.openai.com".to_owned()),
        port: Some(443),
        operation: Some("chat".to_owned()),
        model: Some("gpt-4o-mini".to_owned()),
        stream: Some(false),
        status: Some(200),
        attempt: 1,
        start_unix_ns: request.start_unix_ns + at_ms * MS,
        wall_ns: wall_ms * MS,
        send_ns: Some(MS / 5),
        first_byte_ns: Some(wall_ms.saturating_sub(1) * MS),
        rtt_ns: Some(11 * MS),
        chunks: 1,
        bytes_in: 4_100,
        bytes_out: 900,
        connection_reused: true,
        stack: vec![Caller {
            function: "ask".to_owned(),
            file: "app.py".to_owned(),
            line: Some(17),
            application: true,
            first_line: 12,
        }],
        context,
        start_ns: at_ms * MS,
        phases: vec![phase(at_ms, at_ms + wall_ms.saturating_sub(1), LlmFirstByte)],
        ..Call::default()
    }
}
