//! The names and labels of the figures.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::{Atomic as _, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use super::histograms::{Durations, Parts};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    /// Empty for the run of a process that serves no requests.
    pub method: String,
    pub route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BucketOf {
    pub method: String,
    pub route: String,
    pub bucket: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Peer {
    pub vendor: String,
    pub model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Container {
    pub namespace: String,
    pub pod: String,
    pub container: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Tokens {
    pub vendor: String,
    pub model: String,
    pub direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Map {
    pub map: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Table {
    pub table: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;
type Level = Gauge<f64, AtomicU64>;

/// A counter of what is counted elsewhere.
pub trait SetTo<N> {
    fn set_to(&self, value: N);
}

impl SetTo<u64> for Counter {
    fn set_to(&self, value: u64) {
        self.inc_by(value.saturating_sub(self.get()));
    }
}

impl SetTo<f64> for Seconds {
    fn set_to(&self, value: f64) {
        self.inner().inc_by((value - self.get()).max(0.0));
    }
}

macro_rules! families {
    ($($field:ident: $type:ty = $new:expr, $name:literal, $help:literal;)+) => {
        pub struct Families {
            pub registry: Registry,
            $(pub $field: $type,)+
        }

        impl Default for Families {
            fn default() -> Self {
                let mut registry = Registry::default();
                $(
                    let $field: $type = $new;
                    registry.register($name, $help, $field.clone());
                )+
                Families { registry, $($field,)+ }
            }
        }
    };
}

families! {
    duration: Family<Route, Histogram, Durations> = Family::new_with_constructor(Durations),
        "tracer_request_duration_seconds", "Wall time of requests";
    errors: Family<Route, Counter> = Family::default(),
        "tracer_request_errors", "Requests that were answered by 500 or more";
    incomplete: Family<Route, Counter> = Family::default(),
        "tracer_request_incomplete", "Requests of which events may have been lost, or that were not seen to end";
    buckets: Family<BucketOf, Histogram, Parts> = Family::new_with_constructor(Parts),
        "tracer_request_bucket_seconds", "Wall time of requests by cause, of those that had any of it";
    pod_requests: Family<Container, Counter> = Family::default(),
        "tracer_pod_requests", "Requests of pods";
    pod_errors: Family<Container, Counter> = Family::default(),
        "tracer_pod_request_errors", "Requests of pods that were answered by 500 or more";
    pod_seconds: Family<Container, Seconds> = Family::default(),
        "tracer_pod_request_seconds", "Wall time of the requests of pods";
    call_duration: Family<Peer, Histogram, Durations> = Family::new_with_constructor(Durations),
        "tracer_call_duration_seconds", "Time of calls to LLM vendors, with connecting";
    first_byte: Family<Peer, Histogram, Durations> = Family::new_with_constructor(Durations),
        "tracer_call_first_byte_seconds", "From the last byte of a call to the arrival of the first of its answer";
    first_content: Family<Peer, Histogram, Durations> = Family::new_with_constructor(Durations),
        "tracer_call_first_content_seconds", "From the last byte of a call to the arrival of the first output, of streams";
    call_errors: Family<Peer, Counter> = Family::default(),
        "tracer_call_errors", "Calls that were answered by 400 or more, or not to the end";
    retries: Family<Peer, Counter> = Family::default(),
        "tracer_call_retries", "Calls that were another attempt";
    tokens: Family<Tokens, Counter> = Family::default(),
        "tracer_tokens", "Tokens that vendors counted";
    findings: Family<Kind, Counter> = Family::default(),
        "tracer_findings", "Findings, each counted once in a minute, or in 250 requests where these come faster";
    finding_cost: Family<Kind, Seconds> = Family::default(),
        "tracer_finding_cost_seconds", "What the findings cost";
    lost: Family<Kind, Counter> = Family::default(),
        "tracer_lost", "Events, or requests, that were lost, by kind";
    history_lost: Counter = Counter::default(),
        "tracer_history_lost_requests", "Requests that could not be written into the history";
    history_bytes: Gauge = Gauge::default(),
        "tracer_history_bytes", "Size of the history without its log";
    otlp_requests: Counter = Counter::default(),
        "tracer_otlp_sent_requests", "Requests whose spans an OTLP receiver took";
    otlp_spans: Counter = Counter::default(),
        "tracer_otlp_sent_spans", "Spans that an OTLP receiver took";
    otlp_left_out: Counter = Counter::default(),
        "tracer_otlp_left_out_requests", "Requests whose spans were not to be sent, by the configuration";
    otlp_lost: Family<Reason, Counter> = Family::default(),
        "tracer_otlp_lost_requests", "Requests whose spans were to be sent and are lost, by reason";
    otlp_rejected: Counter = Counter::default(),
        "tracer_otlp_rejected_spans", "Spans that an OTLP receiver rejected of those that it took";
    otlp_retries: Counter = Counter::default(),
        "tracer_otlp_retries", "Attempts to send after one that failed";
    otlp_queued: Gauge = Gauge::default(),
        "tracer_otlp_queued_bytes", "Spans that wait to be sent";
    events: Counter = Counter::default(),
        "tracer_events", "Events read";
    late_events: Counter = Counter::default(),
        "tracer_late_events", "Events that came too late to be put into their order";
    waiting_events: Gauge = Gauge::default(),
        "tracer_waiting_events", "Events that wait to be put into order";
    ring_lag: Level = Level::default(),
        "tracer_ring_lag_seconds", "The longest that an event waited in the ring buffer in the last second";
    entries: Family<Table, Gauge> = Family::default(),
        "tracer_table_entries", "Entries of tables; of processes, threads and connections the maps of the probes hold as many";
    limits: Family<Table, Gauge> = Family::default(),
        "tracer_table_limit", "Entries that the map of the probes can hold";
    map_entries: Family<Map, Gauge> = Family::default(),
        "tracer_map_entries", "Entries of the maps of the probes that do not evict, counted every ten seconds; the others can't be counted at little cost";
    map_limits: Family<Map, Gauge> = Family::default(),
        "tracer_map_limit", "Entries that the maps of the probes can hold";
    cpu: Seconds = Seconds::default(),
        "process_cpu_seconds", "CPU time of the tracer, without its probes";
    resident: Gauge = Gauge::default(),
        "process_resident_memory_bytes", "Memory of the tracer";
    open_files: Gauge = Gauge::default(),
        "process_open_fds", "File descriptors of the tracer";
    start: Level = Level::default(),
        "process_start_time_seconds", "When the tracer started, since the epoch";
}
