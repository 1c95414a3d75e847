//! Perfetto's trace format: below each process its requests with their wall time in buckets, the contexts that made calls, those
//! calls with their phases, and whose steps its threads ran. Field numbers are those of
//! <https://github.com/google/perfetto/blob/main/protos/perfetto/trace/perfetto_trace.proto>. Times are in ns from where the
//! capture begins.

mod message;

use std::{cmp::Reverse, collections::BTreeMap};

use prost::Message as _;

use message::{
    DebugAnnotation, ProcessDescriptor, ThreadDescriptor, Trace, TracePacket, TrackDescriptor, TrackEvent,
    kind, value,
};

use super::by_process;
use crate::report::{
    filter::Filter,
    group,
    text::format::printable,
    types::{Call, Report, Request},
};

/// The trace of the requests.
pub fn render(report: &Report, filter: &Filter) -> Vec<u8> {
    let mut tracks = Tracks::default();
    for (pid, (process, requests)) in by_process(report, filter.select(report)) {
        let mut descriptor = ProcessDescriptor { pid: pid as i32, ..ProcessDescriptor::default() };
        if let Some(process) = process {
            descriptor.cmdline = process.cmdline.split(' ').map(printable).collect();
            descriptor.process_name = printable(&process.exe);
        }
        let parent = tracks.add(TrackDescriptor { process: Some(descriptor), ..TrackDescriptor::default() });
        let mut threads = BTreeMap::<u32, Vec<Slice>>::new();
        for request in requests {
            let start_ns = request.start_unix_ns.saturating_sub(report.capture.start_unix_ns);
            tracks.add_request(parent, request, start_ns);
            for step in &request.steps {
                let slice = step_slice(request, step, start_ns).named(name(request));
                threads.entry(step.tid).or_default().push(slice);
            }
        }
        for (tid, slices) in threads {
            let thread_name = if tid == pid { "main thread" } else { "thread" }.to_owned();
            let thread = ThreadDescriptor { pid: pid as i32, tid: tid as i32, thread_name };
            let track = tracks.add(TrackDescriptor { thread: Some(thread), ..TrackDescriptor::default() });
            tracks.fill(track, slices);
        }
    }
    Trace { packet: tracks.packets }.encode_to_vec()
}

fn name(request: &Request) -> String {
    printable(&format!("{}, request {}", group::label(request), request.id))
}

/// What is drawn on a track: what lies within another is drawn below it.
#[derive(Default)]
struct Slice {
    start_ns: u64,
    end_ns: u64,
    name: String,
    category: &'static str,
    facts: Vec<(&'static str, value::Kind)>,
    flow_ids: Vec<u64>,
    terminating_flow_ids: Vec<u64>,
}

impl Slice {
    fn named(self, name: String) -> Slice {
        Slice { name, ..self }
    }
}

fn step_slice(request: &Request, step: &crate::report::types::Step, start_ns: u64) -> Slice {
    let function = step.function.and_then(|index| request.functions.get(index));
    let ran = function.map_or_else(|| "step".to_owned(), |function| printable(&function.label()));
    let mut facts = vec![("context", value::Kind::Uint(step.context.into()))];
    facts.extend(function.map(|_| ("function", value::Kind::String(ran.clone()))));
    Slice {
        start_ns: start_ns.saturating_add(step.start_ns),
        end_ns: start_ns.saturating_add(step.end_ns),
        name: ran,
        category: "step",
        facts,
        ..Slice::default()
    }
}

/// Tracks by the packets that make them. Their numbers count from 1, as those of flows do.
#[derive(Default)]
struct Tracks {
    packets: Vec<TracePacket>,
    tracks: u64,
    flows: u64,
}

impl Tracks {
    fn add(&mut self, descriptor: TrackDescriptor) -> u64 {
        self.tracks += 1;
        let track_descriptor = Some(TrackDescriptor { uuid: self.tracks, ..descriptor });
        self.packets.push(TracePacket { track_descriptor, ..TracePacket::default() });
        self.tracks
    }

    fn add_below(&mut self, parent: u64, name: String) -> u64 {
        self.add(TrackDescriptor { parent_uuid: parent, name, ..TrackDescriptor::default() })
    }

    fn add_request(&mut self, process: u64, request: &Request, start_ns: u64) {
        let track = self.add_below(process, name(request));
        let flow_ids: Vec<u64> = request.calls.iter().zip(self.flows + 1..).map(|(_, id)| id).collect();
        self.flows += flow_ids.len() as u64;
        let whole = Slice {
            start_ns,
            end_ns: start_ns.saturating_add(request.wall_ns),
            name: group::label(request),
            category: "request",
            facts: facts_of_request(request),
            flow_ids: flow_ids.clone(),
            ..Slice::default()
        };
        let buckets = request.timeline.iter().map(|segment| Slice {
            start_ns: start_ns.saturating_add(segment.start_ns),
            end_ns: start_ns.saturating_add(segment.end_ns),
            name: segment.bucket.name().to_owned(),
            category: "bucket",
            ..Slice::default()
        });
        self.fill(track, std::iter::once(whole).chain(buckets).collect());
        let mut contexts = BTreeMap::<u32, Vec<(&Call, u64)>>::new();
        for (call, flow) in request.calls.iter().zip(flow_ids) {
            contexts.entry(call.context).or_default().push((call, flow));
        }
        for (context, calls) in contexts {
            self.add_context(track, request, context, calls, start_ns);
        }
    }

    /// The steps of a context, and its calls on as many tracks as there were at once.
    fn add_context(
        &mut self,
        request_track: u64,
        request: &Request,
        context: u32,
        calls: Vec<(&Call, u64)>,
        start_ns: u64,
    ) {
        let track = self.add_below(request_track, format!("context {context}"));
        let steps = request.steps.iter().filter(|step| step.context == context);
        self.fill(track, steps.map(|step| step_slice(request, step, start_ns)).collect());
        let mut lanes = Vec::<(u64, Vec<Slice>)>::new();
        for (call, flow) in calls {
            let end_ns = call.start_ns.saturating_add(call.wall_ns);
            let free = lanes.iter().position(|(until_ns, _)| *until_ns <= call.start_ns);
            let lane = free.unwrap_or(lanes.len());
            if lane == lanes.len() {
                lanes.push((0, Vec::new()));
            }
            lanes[lane].0 = end_ns;
            lanes[lane].1.extend(slices_of_call(call, flow, start_ns));
        }
        for (_, slices) in lanes {
            let track = self.add_below(track, "calls".to_owned());
            self.fill(track, slices);
        }
    }

    /// Draws slices on a track. One that begins within another ends with it at the latest.
    fn fill(&mut self, track: u64, mut slices: Vec<Slice>) {
        slices.sort_by_key(|slice| (slice.start_ns, Reverse(slice.end_ns)));
        let mut open = Vec::<u64>::new();
        for slice in slices {
            while let Some(end_ns) = open.pop_if(|end_ns| *end_ns <= slice.start_ns) {
                self.end(track, end_ns);
            }
            let until_ns = open.last().copied().unwrap_or(u64::MAX);
            open.push(slice.end_ns.clamp(slice.start_ns, until_ns));
            self.begin(track, slice);
        }
        while let Some(end_ns) = open.pop() {
            self.end(track, end_ns);
        }
    }

    fn begin(&mut self, track_uuid: u64, slice: Slice) {
        let annotation =
            |(name, kind): (&str, _)| DebugAnnotation { name: name.to_owned(), value: Some(kind) };
        let event = TrackEvent {
            kind: kind::SLICE_BEGIN,
            track_uuid,
            name: printable(&slice.name),
            categories: vec![slice.category.to_owned()],
            debug_annotations: slice.facts.into_iter().map(annotation).collect(),
            flow_ids: slice.flow_ids,
            terminating_flow_ids: slice.terminating_flow_ids,
        };
        self.packets.push(TracePacket::at(slice.start_ns, event));
    }

    fn end(&mut self, track_uuid: u64, at_ns: u64) {
        let event = TrackEvent { kind: kind::SLICE_END, track_uuid, ..TrackEvent::default() };
        self.packets.push(TracePacket::at(at_ns, event));
    }
}

fn facts_of_request(request: &Request) -> Vec<(&'static str, value::Kind)> {
    let mut facts = vec![
        ("request", value::Kind::String(request.id.clone())),
        ("cpu_ns", value::Kind::Uint(request.cpu_ns)),
    ];
    facts.extend(request.path.as_ref().map(|path| ("path", value::Kind::String(printable(path)))));
    facts.extend(request.status.map(|status| ("status", value::Kind::Uint(status.into()))));
    facts
}

fn slices_of_call(call: &Call, flow: u64, start_ns: u64) -> Vec<Slice> {
    let peer = call.vendor.as_deref().or(call.host.as_deref()).unwrap_or("?");
    let what = call.model.as_deref().or(call.operation.as_deref()).unwrap_or_default();
    let texts = [
        ("host", &call.host),
        ("vendor", &call.vendor),
        ("operation", &call.operation),
        ("model", &call.model),
    ];
    let numbers = [
        ("status", call.status.map(u64::from)),
        ("attempt", Some(call.attempt.into())),
        ("input_tokens", call.input_tokens),
        ("output_tokens", call.output_tokens),
        ("read_delay_ns", call.read_delay_ns),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, value::Kind::String(printable(text.as_ref()?)))));
    let numbers = numbers.into_iter().filter_map(|(key, number)| Some((key, value::Kind::Uint(number?))));
    let whole = Slice {
        start_ns: start_ns.saturating_add(call.start_ns),
        end_ns: start_ns.saturating_add(call.start_ns).saturating_add(call.wall_ns),
        name: format!("{peer} {what}").trim().to_owned(),
        category: "call",
        facts: texts.chain(numbers).collect(),
        terminating_flow_ids: vec![flow],
        ..Slice::default()
    };
    let phases = call.phases.iter().map(|phase| Slice {
        start_ns: start_ns.saturating_add(phase.start_ns),
        end_ns: start_ns.saturating_add(phase.end_ns),
        name: phase.bucket.name().to_owned(),
        category: "phase",
        ..Slice::default()
    });
    std::iter::once(whole).chain(phases).collect()
}
