//! The Firefox Profiler's processed format: a track for each request with what it ran and waited for in order of time, and its
//! calls as markers.

use std::{collections::BTreeMap, time::Duration};

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, MarkerFieldFlags,
    MarkerFieldFormat, MarkerTiming, Profile, ReferenceTimestamp, SamplingInterval, StaticSchemaMarker,
    StaticSchemaMarkerField, StringHandle, ThreadHandle, Timestamp, WeightType,
};
use serde_json::{Value, json};

use super::{
    by_process,
    sequence::{Piece, pieces},
    stack::Stack,
};
use crate::report::{
    filter::Filter,
    functions::sample_ns,
    group::{self, Side, side_of},
    text::format::printable,
    types::{Call, Report, Request},
};

/// The profile as JSON. A sample's weight is its wall time in ms.
pub fn render(report: &Report, filter: &Filter) -> String {
    let start_unix_ns = report.capture.start_unix_ns;
    let reference = ReferenceTimestamp::from_duration_since_unix_epoch(Duration::from_nanos(start_unix_ns));
    let mut profile = Profile::new(
        "tracer",
        reference,
        SamplingInterval::from_nanos(sample_ns(report.capture.samples_per_second)),
    );
    profile.set_os_name(&format!("Linux {}", report.capture.kernel));
    // There is nothing left to look up.
    profile.set_symbolicated(true);
    let categories = Categories::new(&mut profile);
    let mut weights = BTreeMap::new();
    for (pid, (process, requests)) in by_process(report, filter.select(report)) {
        let first_ns = requests.iter().map(|request| request.start_unix_ns).min().unwrap_or_default();
        let cmdline = process.map_or_else(String::new, |process| printable(&process.cmdline));
        let since = at(first_ns.saturating_sub(start_unix_ns));
        let handle = profile.add_process(&cmdline, pid, since);
        for request in requests {
            let start_ns = request.start_unix_ns.saturating_sub(start_unix_ns);
            // Requests are no threads: their numbers only have to differ.
            let tid = weights.len() as u32 + 1;
            let thread = profile.add_thread(handle, tid, at(start_ns), false);
            profile.set_thread_name(thread, &name(request));
            profile.set_thread_end_time(thread, at(start_ns.saturating_add(request.wall_ns)));
            profile.set_thread_samples_weight_type(thread, WeightType::TracingMs);
            profile.set_thread_show_markers_in_timeline(thread, true);
            let of_thread = add_pieces(&mut profile, thread, &categories, request, start_ns);
            weights.insert(tid.to_string(), of_thread);
            for call in &request.calls {
                add_call(&mut profile, thread, &categories, call, start_ns);
            }
        }
    }
    let mut json = serde_json::to_value(&profile).expect("the profile has string keys");
    set_weights(&mut json, weights);
    json.to_string() + "\n"
}

fn name(request: &Request) -> String {
    printable(&format!("{}, request {}", group::label(request), request.id))
}

fn at(since_start_ns: u64) -> Timestamp {
    Timestamp::from_nanos_since_reference(since_start_ns)
}

/// Adds what a request ran and waited for; gives the length of each piece in ms.
fn add_pieces(
    profile: &mut Profile,
    thread: ThreadHandle,
    categories: &Categories,
    request: &Request,
    start_ns: u64,
) -> Vec<f64> {
    let mut weights = Vec::new();
    let mut cpu_ns = 0;
    for Piece { start_ns: from_ns, end_ns, stack } in pieces(request) {
        let frames: Vec<FrameInfo> = frames(profile, categories, &group::label(request), &stack);
        let stack_handle = profile.intern_stack_frames(thread, frames.into_iter());
        let delta = CpuDelta::from_nanos(cpu_ns);
        profile.add_sample(thread, at(start_ns.saturating_add(from_ns)), stack_handle, delta, 1);
        weights.push((end_ns - from_ns) as f64 / 1e6);
        cpu_ns = if stack.bucket.name().starts_with("python.") { end_ns - from_ns } else { 0 };
    }
    let end = at(start_ns.saturating_add(request.wall_ns));
    profile.add_sample(thread, end, None, CpuDelta::from_nanos(cpu_ns), 1);
    weights.push(0.0);
    weights
}

fn frames(profile: &mut Profile, categories: &Categories, route: &str, stack: &Stack) -> Vec<FrameInfo> {
    let leaf = categories.of_bucket(stack);
    let places = stack.frames.iter().map(|place| {
        let category = if place.is_of_application() { categories.application } else { categories.library };
        (place.label(), category)
    });
    let named = std::iter::once((printable(route), CategoryHandle::OTHER))
        .chain(places)
        .chain(stack.leaf().map(|name| (name, leaf)));
    named
        .map(|(name, category)| FrameInfo {
            frame: Frame::Label(profile.intern_string(&name)),
            category_pair: category.into(),
            flags: FrameFlags::empty(),
        })
        .collect()
}

fn add_call(
    profile: &mut Profile,
    thread: ThreadHandle,
    categories: &Categories,
    call: &Call,
    start_ns: u64,
) {
    let model = call.model.as_deref().or(call.operation.as_deref()).unwrap_or_default();
    let peer = call.vendor.as_deref().or(call.host.as_deref()).unwrap_or("?");
    let title = printable(format!("{peer} {model}").trim());
    let from_ns = start_ns.saturating_add(call.start_ns);
    let marker = |profile: &mut Profile, name: &str, what: &str| CallMarker {
        name: profile.intern_string(name),
        what: profile.intern_string(what),
        category: categories.vendor,
    };
    let whole = marker(profile, "call", &title);
    profile.add_marker(thread, interval(from_ns, from_ns.saturating_add(call.wall_ns)), whole);
    for phase in &call.phases {
        let named = marker(profile, phase.bucket.name(), &title);
        let timing = interval(start_ns.saturating_add(phase.start_ns), start_ns.saturating_add(phase.end_ns));
        profile.add_marker(thread, timing, named);
    }
}

fn interval(start_ns: u64, end_ns: u64) -> MarkerTiming {
    MarkerTiming::Interval(at(start_ns), at(end_ns))
}

/// The crate takes whole numbers alone, in which most waits of an event loop would be nothing.
fn set_weights(profile: &mut Value, mut weights: BTreeMap<String, Vec<f64>>) {
    let threads = profile.get_mut("threads").and_then(Value::as_array_mut);
    for thread in threads.into_iter().flatten() {
        if let Some(weights) = thread["tid"].as_str().and_then(|tid| weights.remove(tid)) {
            thread["samples"]["weight"] = json!(weights);
        }
    }
}

struct Categories {
    application: CategoryHandle,
    library: CategoryHandle,
    vendor: CategoryHandle,
    own: CategoryHandle,
}

impl Categories {
    fn new(profile: &mut Profile) -> Self {
        Categories {
            application: profile.add_category("application", CategoryColor::Green),
            library: profile.add_category("library", CategoryColor::LightGreen),
            vendor: profile.add_category("vendor", CategoryColor::Blue),
            own: profile.add_category("own wait", CategoryColor::Orange),
        }
    }

    fn of_bucket(&self, stack: &Stack) -> CategoryHandle {
        match side_of(stack.bucket) {
            Side::Vendor => self.vendor,
            Side::Own => self.own,
            Side::Other => CategoryHandle::OTHER,
        }
    }
}

/// A call, or a phase of it.
struct CallMarker {
    name: StringHandle,
    what: StringHandle,
    category: CategoryHandle,
}

impl StaticSchemaMarker for CallMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "call";
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.what}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.name} {marker.data.what}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "what",
        label: "Call",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _field_index: u32) -> StringHandle {
        self.what
    }

    fn number_field_value(&self, _field_index: u32) -> f64 {
        // There is no such field.
        0.0
    }
}
