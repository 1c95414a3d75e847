//! From requests as the model followed them to the report.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    event::{ProcessFacts, Unknown},
    model::{Outcome, process::KnownProcess},
    report::{
        bucket::Bucket,
        delays, functions,
        route::Templates,
        sampled::divide,
        stacks::Stacks,
        types::{self, Background, Buckets, End, Import, Kind, Report, Segment, Step, UnknownBucket},
        waits,
    },
    request::{
        self,
        call::{HungUp, Span},
    },
    vendor::{VendorTable, model_of_path},
};

/// Imports that are reported of a request.
const IMPORTS: usize = 20;

/// The clocks and the machine of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The same instant on both clocks.
    pub start_ns: u64,
    pub start_unix_ns: u64,
    /// `uname -r`.
    pub kernel: String,
}

impl Origin {
    /// An instant on the clock of events, since the epoch.
    pub fn unix_ns(&self, at_ns: u64) -> u64 {
        self.start_unix_ns.saturating_add(at_ns).saturating_sub(self.start_ns)
    }
}

/// The report of a capture that ended at `end_ns`.
pub fn build(origin: &Origin, end_ns: u64, outcome: &Outcome, vendors: &VendorTable) -> Report {
    let mut report = assemble(origin, end_ns, outcome, vendors);
    route(&mut report.requests);
    delays::fill_in(&mut report.requests, &[]);
    report.findings = crate::finding::find(&report);
    report
}

/// The same without what can be said of a request only beside others: its route, its delays, findings.
pub fn assemble(origin: &Origin, end_ns: u64, outcome: &Outcome, vendors: &VendorTable) -> Report {
    let unseen = |of: fn(&ProcessFacts) -> &[Unknown]| -> Vec<UnknownBucket> {
        let unseen = outcome.facts.iter().flat_map(|(&pid, process)| {
            of(&process.facts).iter().cloned().map(move |Unknown { bucket, reason }| UnknownBucket {
                pid,
                bucket,
                reason,
            })
        });
        unseen.collect()
    };
    let mut report = Report {
        schema: 1,
        capture: types::Capture {
            start_unix_ns: origin.start_unix_ns,
            duration_ns: end_ns.saturating_sub(origin.start_ns),
            kernel: origin.kernel.clone(),
            samples_per_second: outcome.samples_per_second,
            lost_events: outcome.lost_events.clone(),
            unknown: unseen(|facts| &facts.unknown),
            sampled: unseen(|facts| &facts.sampled),
        },
        processes: outcome
            .facts
            .iter()
            .map(|(&pid, KnownProcess { facts, forked_ns })| {
                let container = facts.container_id.as_deref().and_then(|id| outcome.containers.get(id));
                types::Process {
                    pid,
                    start_unix_ns: forked_ns
                        .map_or(facts.start_unix_ns, |forked_ns| origin.unix_ns(forked_ns)),
                    exe: facts.exe.clone(),
                    cmdline: facts.cmdline.clone(),
                    python: facts.python.clone(),
                    container_id: facts.container_id.clone(),
                    image: container.and_then(|container| container.image.clone()),
                    pod: container.and_then(|container| container.pod.clone()),
                }
            })
            .collect(),
        requests: Vec::new(),
        findings: Vec::new(),
        function_counts: None,
    };
    report.requests = outcome
        .requests
        .iter()
        .map(|request| build_request(origin, &report, request, outcome, vendors))
        .collect();
    report.capture.unknown.extend(hidden_backoff(&report));
    report
}

/// Groups requests by what their paths have in common.
fn route(requests: &mut [types::Request]) {
    let templates = Templates::learn(requests.iter().filter_map(|request| request.path.as_deref()));
    for request in requests {
        request.route = request.path.as_deref().map(|path| templates.of(path));
    }
}

fn build_request(
    origin: &Origin,
    report: &Report,
    request: &request::Request,
    outcome: &Outcome,
    vendors: &VendorTable,
) -> types::Request {
    let sample_ns = functions::sample_ns(outcome.samples_per_second);
    let ran = functions::of(request, &outcome.functions, sample_ns);
    let end_ns = request.end_ns.unwrap_or(request.start_ns);
    let from_start = |at_ns: u64| at_ns.saturating_sub(request.start_ns);
    let sampled: Vec<Bucket> = buckets_of(&report.capture.sampled, request).collect();
    let timeline = divide(request, &sampled, sample_ns, request.timeline(request.start_ns, end_ns));
    let (waits, waited) = waits::of(request, &outcome.functions, &timeline);
    let timeline: Vec<Segment> = timeline
        .into_iter()
        .map(|segment| Segment {
            start_ns: from_start(segment.start_ns),
            end_ns: from_start(segment.end_ns),
            bucket: segment.bucket,
        })
        .collect();
    let wall_ns = from_start(end_ns);
    let unseen = unseen_buckets(report, request);
    let buckets = sum_up(&timeline, &unseen);
    debug_assert_eq!(buckets.sum(), wall_ns, "buckets of request {} sum to its wall time", request.id.0);

    let is_http = !request.is_run();
    let path = is_http.then(|| request.head.path.clone());
    let mut calls: Vec<types::Call> = request
        .calls
        .iter()
        .filter(|call| call.is_http)
        .map(|call| {
            let stack = functions::stack(call, &outcome.functions);
            types::Call { stack, ..build_call(origin, request, call, vendors) }
        })
        .collect();
    calls.sort_by_key(|call| call.start_ns);
    for (index, call) in calls.iter_mut().enumerate() {
        call.id = format!("{}.{}", request.id.0, index + 1);
    }
    let (calls, later): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| !is_http || call.start_ns < wall_ns);
    let mut steps: Vec<Step> = request
        .steps
        .iter()
        .filter(|step| step.start_ns < end_ns)
        .map(|step| Step {
            start_ns: from_start(step.start_ns),
            end_ns: from_start(step.end_ns.min(end_ns)),
            context: step.context,
            tid: step.tid,
            function: step.function.and_then(|function| ran.index(function)),
        })
        .collect();
    steps.sort_by_key(|step| (step.start_ns, step.end_ns));
    types::Request {
        id: request.id.0.to_string(),
        pid: request.tgid,
        kind: if is_http { Kind::Http } else { Kind::Run },
        method: is_http.then(|| request.head.method.clone()),
        route: None,
        path,
        status: request.status,
        start_unix_ns: origin.unix_ns(request.start_ns),
        wall_ns,
        first_byte_ns: request.first_byte_ns.map(from_start),
        complete: request.complete,
        traceparent: request.head.traceparent.clone(),
        buckets,
        cpu_ns: request.cpu_ns,
        contexts: request.contexts(),
        calls,
        delays: Vec::new(),
        background: background(request, end_ns, later, &unseen),
        gil_waits: functions::gil_waits(request, &outcome.functions),
        imports: imports(&request.imports_ns),
        functions: ran.list,
        waits,
        waited,
        stacks: Stacks::new(request, &outcome.functions, sample_ns),
        timeline,
        steps,
    }
}

/// Those that took longest.
fn imports(imports_ns: &BTreeMap<String, u64>) -> Vec<Import> {
    let import =
        |(module, import_ns): (&String, &u64)| Import { module: module.clone(), import_ns: *import_ns };
    let mut imports: Vec<Import> = imports_ns.iter().map(import).collect();
    imports.sort_by_key(|import| Reverse(import.import_ns));
    imports.truncate(IMPORTS);
    imports
}

/// What its tasks went on with after it was answered. Less than [`LEAST_BACKGROUND_CPU_NS`] without a call is how
/// every request ends: its task returns.
fn background(
    request: &request::Request,
    end_ns: u64,
    calls: Vec<types::Call>,
    unseen: &[Bucket],
) -> Option<Background> {
    let request::Background { cpu_ns, until_ns } = request.background;
    if calls.is_empty() && cpu_ns < LEAST_BACKGROUND_CPU_NS {
        return None;
    }
    let wall_ns = until_ns.saturating_sub(end_ns);
    Some(Background { wall_ns, buckets: sum_up(&request.timeline(end_ns, until_ns), unseen), cpu_ns, calls })
}

const LEAST_BACKGROUND_CPU_NS: u64 = 5_000_000;

/// The time by bucket; one that could not be seen and got none is unknown.
fn sum_up(timeline: &[Segment], unseen: &[Bucket]) -> Buckets {
    let mut buckets = Buckets::zero();
    for segment in timeline {
        buckets.add(segment.bucket, segment.end_ns - segment.start_ns);
    }
    for bucket in unseen.iter().filter(|bucket| **bucket != Bucket::Unattributed) {
        if buckets.get(*bucket) == Some(0) {
            buckets.set(*bucket, None);
        }
    }
    buckets
}

/// The processes whose backoff can't be seen, because their answers are encrypted.
fn hidden_backoff(report: &Report) -> Vec<UnknownBucket> {
    let hidden = |request: &&types::Request| request.buckets.get(Bucket::LlmBackoff).is_none();
    let pids: std::collections::BTreeSet<u32> =
        report.requests.iter().filter(hidden).map(|request| request.pid).collect();
    let unknown = |pid| UnknownBucket {
        pid,
        bucket: Bucket::LlmBackoff.name().to_owned(),
        reason:
            "the plaintext of a call over TLS was not seen, so a sleep before another attempt is wait.sleep"
                .to_owned(),
    };
    pids.into_iter().map(unknown).collect()
}

/// Buckets that no probe could see for this request: those of its process, and the backoff between calls whose
/// status is encrypted.
fn unseen_buckets(report: &Report, request: &request::Request) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = buckets_of(&report.capture.unknown, request).collect();
    if request.calls.iter().any(|call| call.to_llm && call.request.is_none() && call.response.is_none()) {
        buckets.push(Bucket::LlmBackoff);
    }
    buckets
}

fn buckets_of<'a>(
    unseen: &'a [UnknownBucket],
    request: &request::Request,
) -> impl Iterator<Item = Bucket> + 'a {
    let tgid = request.tgid;
    let of_process = unseen.iter().filter(move |unseen| unseen.pid == tgid);
    of_process.filter_map(|unseen| Bucket::from_name(&unseen.bucket))
}

fn build_call(
    origin: &Origin,
    request: &request::Request,
    call: &request::Call,
    vendors: &VendorTable,
) -> types::Call {
    let path = call.request.as_ref().map(|head| head.path.as_str());
    let vendor = vendors.of_call(call.host.as_deref(), call.port, path);
    let start_ns = call.start_ns();
    let response = call.response.as_ref();
    let stream = response.map(|head| head.stream).or(call.asked.stream);
    let asked = call.asked.model.clone().or_else(|| path.and_then(model_of_path));
    let model = asked.or_else(|| call.told.model.clone()).filter(|_| call.to_llm);
    types::Call {
        id: String::new(),
        vendor: vendor.map(|vendor| vendor.provider.clone()),
        host: call.host.clone(),
        port: call.port,
        operation: path.and_then(|path| vendors.operation(vendor, path)).map(str::to_owned),
        model,
        stream,
        status: response.map(|head| head.status),
        attempt: call.attempt,
        start_unix_ns: origin.unix_ns(start_ns),
        wall_ns: call.end_ns().saturating_sub(start_ns),
        dns_ns: call.dns.map(Span::length_ns),
        connect_ns: call.connect.map(Span::length_ns),
        tls_ns: call.tls.map(Span::length_ns),
        send_ns: Some(call.send.length_ns()),
        first_byte_ns: call.first_byte_ns.map(|at_ns| at_ns.saturating_sub(call.send.end_ns)),
        first_content_ns: call
            .first_content_ns
            .filter(|_| stream == Some(true))
            .map(|at_ns| at_ns.saturating_sub(call.send.end_ns)),
        stream_ns: call.first_byte_ns.zip(call.last_byte_ns).map(|(first, last)| last.saturating_sub(first)),
        read_delay_ns: call.first_byte_ns.map(|_| call.read_delay_ns),
        longest_gap_ns: call.first_byte_ns.map(|_| call.longest_gap_ns),
        longest_read_gap_ns: call.first_byte_ns.map(|_| call.longest_read_gap_ns),
        rtt_ns: call.rtt_ns,
        chunks: call.chunks,
        bytes_in: call.bytes_in,
        bytes_out: call.bytes_out,
        input_tokens: call.told.input_tokens,
        output_tokens: call.told.output_tokens,
        connection_reused: call.connection_reused,
        vendor_request_id: response.and_then(|head| head.vendor_request_id.clone()),
        vendor_reported_ns: response.and_then(|head| head.vendor_reported_ns),
        traceparent: call.request.as_ref().and_then(|head| head.traceparent.clone()),
        end: end(call),
        rate_limit: call.limits.clone(),
        stack: Vec::new(),
        context: call.context,
        start_ns: start_ns.saturating_sub(request.start_ns),
        phases: phases(request, call),
    }
}

/// Clients close a connection when the model is done, whether or not the message is.
fn end(call: &request::Call) -> Option<End> {
    match (call.told.is_failed, call.answered || call.told.is_ended, call.hung_up) {
        (true, ..) => Some(End::Failed),
        (_, true, _) => Some(End::Complete),
        (_, _, Some(HungUp::Peer)) => Some(End::Cut),
        // What was encrypted may have been whole.
        (_, _, Some(HungUp::Client)) if call.request.is_some() => Some(End::GivenUp),
        _ => None,
    }
}

/// The phases of a call. One that was not answered waits for its first byte until it ends.
fn phases(request: &request::Request, call: &request::Call) -> Vec<Segment> {
    let (sent_ns, end_ns) = (call.send.end_ns, call.end_ns());
    let first_byte_ns = call.first_byte_ns.unwrap_or(end_ns);
    let last_byte_ns = call.last_byte_ns.unwrap_or(first_byte_ns);
    let phases = [
        (call.dns, Bucket::LlmDns),
        (call.connect, Bucket::LlmConnect),
        (call.tls, Bucket::LlmTls),
        (Some(call.send), Bucket::LlmSend),
        (Some(Span { start_ns: sent_ns, end_ns: first_byte_ns }), Bucket::LlmFirstByte),
        (Some(Span { start_ns: first_byte_ns, end_ns: last_byte_ns }), Bucket::LlmStream),
    ];
    let from_start = |at_ns: u64| at_ns.saturating_sub(request.start_ns);
    phases
        .into_iter()
        .filter_map(|(span, bucket)| span.map(|span| (span, bucket)))
        .filter(|(span, _)| span.end_ns > span.start_ns)
        .map(|(span, bucket)| Segment {
            start_ns: from_start(span.start_ns),
            end_ns: from_start(span.end_ns),
            bucket,
        })
        .collect()
}
