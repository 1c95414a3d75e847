//! Figures for Prometheus. Labels are bounded: routes by the configuration, and for their causes here; vendors and models here;
//! all else by lists.

pub mod exposition;
mod families;
mod histograms;
pub mod own;

use std::collections::{BTreeMap, HashMap, HashSet};

use exposition::Format;
use families::{BucketOf, Container, Families, Kind, Peer, Route, SetTo as _, Tokens};
use tracer_ebpf::limits;

use crate::{
    attach::fill::{Fill, LIMITS},
    event::Pod,
    record::hand_out::Vitals,
    report::{
        group,
        types::{Call, Request},
    },
    serve::{
        batch::Batch,
        history::{self, is_call_error, is_error},
        otlp::{self, receiver::Signal, state::Lost},
        routes,
        web::States,
    },
};

/// Vendors and models that are told apart; calls to further ones are `other`.
const PEERS: usize = 100;

/// Containers of pods, likewise: pods come and go.
const CONTAINERS: usize = 1_000;

/// Routes whose causes are told apart; what the requests of further ones waited for is that of `{other}`. With all 21 buckets on
/// each of them these are 18,900 series of the text format, 2.2 MB, and 0.5 MB of the protobuf; routes have four to ten.
const ROUTES_BY_CAUSE: usize = 100;

/// Methods that have names of their own (RFC 9110, section 9, and RFC 5789).
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

const OTHER: &str = "other";

/// What was counted since the start.
#[derive(Default)]
pub struct Metrics {
    families: Families,
    routes_by_cause: HashSet<Route>,
    peers: HashSet<Peer>,
    containers: HashSet<Container>,
    lost: BTreeMap<String, u64>,
}

impl Metrics {
    /// Takes in a batch, before which so many requests were missed.
    pub fn apply(&mut self, batch: &Batch, missed: u64) {
        let pods: HashMap<u32, &Pod> =
            batch.processes.iter().filter_map(|process| Some((process.pid, process.pod.as_ref()?))).collect();
        for request in &batch.requests {
            self.add_request(request);
            if let Some(pod) = pods.get(&request.pid) {
                self.add_request_of(pod, request);
            }
        }
        for (kind, count) in batch.lost.iter().chain([(&"metrics".to_owned(), &missed)]) {
            if *count > 0 {
                *self.lost.entry(kind.clone()).or_default() += count;
                self.families.lost.get_or_create(&Kind { kind: kind.clone() }).inc_by(*count);
            }
        }
        for finding in batch.findings.iter().flat_map(|found| &found.findings) {
            let kind = Kind { kind: finding.kind.clone() };
            self.families.findings.get_or_create(&kind).inc();
            self.families.finding_cost.get_or_create(&kind).inc_by(seconds(finding.cost_ns));
        }
    }

    /// Losses by kind, with those of the history and of what is sent.
    pub fn lost(&self, states: &States) -> BTreeMap<String, u64> {
        let mut lost = self.lost.clone();
        let of_states =
            [(history::LOST, states.history.lost_requests()), (otlp::LOST, states.otlp.all_lost_requests())];
        let of_states = of_states.into_iter().filter(|(_, requests)| *requests > 0);
        lost.extend(of_states.map(|(kind, requests)| (kind.to_owned(), requests)));
        lost
    }

    /// The page.
    pub fn render(
        &self,
        format: Format,
        vitals: &Vitals,
        States { history, otlp, maps }: &States,
    ) -> Vec<u8> {
        let own = own::Own::read();
        let gauges = &self.families;
        gauges.cpu.set_to(seconds(own.cpu_ns));
        gauges.resident.set(own.resident_bytes as i64);
        gauges.open_files.set(own.open_files as i64);
        gauges.start.set(own.start_unix_ns as f64 / 1e9);
        gauges.ring_lag.set(seconds(vitals.ring_lag_ns));
        gauges.waiting_events.set(vitals.waiting_events as i64);
        gauges.events.set_to(vitals.events);
        gauges.late_events.set_to(vitals.late_events);
        gauges.history_bytes.set(history.bytes() as i64);
        gauges.history_lost.set_to(history.lost_requests());
        gauges.otlp_requests.set_to(otlp.sent_requests());
        gauges.otlp_spans.set_to(otlp.sent_spans());
        gauges.otlp_left_out.set_to(otlp.left_out_requests());
        gauges.otlp_rejected.set_to(otlp.rejected(Signal::Traces));
        gauges.otlp_retries.set_to(otlp.retries());
        gauges.otlp_queued.set(otlp.queued_bytes() as i64);
        for why in Lost::ALL {
            let reason = families::Reason { reason: why.name() };
            gauges.otlp_lost.get_or_create(&reason).set_to(otlp.lost_requests(why));
        }
        let held = &vitals.held;
        for (table, entries, limit) in [
            ("processes", held.processes, Some(limits::PROCESSES)),
            ("threads", held.threads, Some(limits::THREADS)),
            ("connections", held.connections, Some(limits::SOCKETS)),
            ("functions", held.functions, None),
            ("open_requests", held.open_requests, None),
            ("answered_requests", held.answered_requests, None),
        ] {
            let table = families::Table { table };
            gauges.entries.get_or_create(&table).set(entries as i64);
            if let Some(limit) = limit {
                gauges.limits.get_or_create(&table).set(i64::from(limit));
            }
        }
        for Fill { map, entries } in maps.get() {
            gauges.map_entries.get_or_create(&families::Map { map }).set(i64::from(entries));
        }
        for (map, limit) in LIMITS {
            gauges.map_limits.get_or_create(&families::Map { map }).set(i64::from(limit));
        }
        format.render(&self.families.registry)
    }

    fn add_request(&mut self, request: &Request) {
        let label = group::label(request);
        let (method, route) = label.split_once(' ').unwrap_or(("", &label));
        let method = if method.is_empty() || METHODS.contains(&method) { method } else { OTHER };
        let route = Route { method: method.to_owned(), route: route.to_owned() };
        self.families.duration.get_or_create(&route).observe(seconds(request.wall_ns));
        self.families.errors.get_or_create(&route).inc_by(u64::from(is_error(request)));
        self.families.incomplete.get_or_create(&route).inc_by(u64::from(!request.complete));
        self.add_causes(route, request);
        for call in request.all_calls().filter(|call| call.vendor.is_some()) {
            self.add_call(call);
        }
    }

    fn add_causes(&mut self, mut route: Route, request: &Request) {
        if !self.routes_by_cause.contains(&route) && self.routes_by_cause.len() >= ROUTES_BY_CAUSE {
            route = Route { method: OTHER.to_owned(), route: routes::OTHER.to_owned() };
        } else {
            self.routes_by_cause.insert(route.clone());
        }
        for (bucket, ns) in request.buckets.iter() {
            let Some(ns) = ns.filter(|ns| *ns > 0) else { continue };
            let Route { method, route } = route.clone();
            let of = BucketOf { method, route, bucket: bucket.name() };
            self.families.buckets.get_or_create(&of).observe(seconds(ns));
        }
    }

    fn add_request_of(&mut self, pod: &Pod, request: &Request) {
        let Pod { namespace, name, container, .. } = pod.clone();
        let mut container = Container { namespace, pod: name, container };
        if !self.containers.contains(&container) && self.containers.len() >= CONTAINERS {
            let other = || OTHER.to_owned();
            container = Container { namespace: other(), pod: other(), container: other() };
        } else {
            self.containers.insert(container.clone());
        }
        self.families.pod_requests.get_or_create(&container).inc();
        self.families.pod_errors.get_or_create(&container).inc_by(u64::from(is_error(request)));
        self.families.pod_seconds.get_or_create(&container).inc_by(seconds(request.wall_ns));
    }

    fn add_call(&mut self, call: &Call) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut peer = Peer { vendor: text(&call.vendor), model: text(&call.model) };
        if !self.peers.contains(&peer) && self.peers.len() >= PEERS {
            peer = Peer { vendor: OTHER.to_owned(), model: OTHER.to_owned() };
        } else {
            self.peers.insert(peer.clone());
        }
        let families = &self.families;
        families.call_duration.get_or_create(&peer).observe(seconds(call.wall_ns));
        if let Some(ns) = call.first_byte_ns {
            families.first_byte.get_or_create(&peer).observe(seconds(ns));
        }
        if let Some(ns) = call.first_content_ns {
            families.first_content.get_or_create(&peer).observe(seconds(ns));
        }
        families.call_errors.get_or_create(&peer).inc_by(u64::from(is_call_error(call)));
        families.retries.get_or_create(&peer).inc_by(u64::from(call.attempt > 1));
        for (direction, tokens) in [("input", call.input_tokens), ("output", call.output_tokens)] {
            let Some(tokens) = tokens else { continue };
            let Peer { vendor, model } = peer.clone();
            families.tokens.get_or_create(&Tokens { vendor, model, direction }).inc_by(tokens);
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        finding::cases::{call, request},
        report::{bucket::Bucket, types::Process},
    };

    fn page(metrics: &Metrics) -> String {
        let page = metrics.render(Format::Text, &Vitals::default(), &States::default());
        String::from_utf8(page).expect("text")
    }

    fn batch(requests: impl IntoIterator<Item = Request>) -> Batch {
        Batch { requests: requests.into_iter().map(Arc::new).collect(), ..Batch::default() }
    }

    #[test]
    fn requests_and_calls_are_counted() {
        let mut chat = request("/chat", 0, &[(Bucket::LlmFirstByte, 400), (Bucket::PythonCpu, 100)]);
        let answered = Call {
            model: Some("gpt".to_owned()),
            output_tokens: Some(20),
            attempt: 2,
            status: Some(429),
            ..call("api.openai.com", &chat, 0, 400)
        };
        chat.calls.push(answered);
        chat.status = Some(502);
        let mut batch = batch([chat]);
        batch.lost.insert("sample".to_owned(), 3);
        let mut metrics = Metrics::default();
        metrics.apply(&batch, 2);
        let page = page(&metrics);
        for line in [
            r#"tracer_request_duration_seconds_count{method="GET",route="/chat"} 1"#,
            r#"tracer_request_duration_seconds_bucket{method="GET",route="/chat",le="0.64"} 1"#,
            r#"tracer_request_errors_total{method="GET",route="/chat"} 1"#,
            r#"tracer_request_bucket_seconds_sum{method="GET",route="/chat",bucket="llm.first_byte"} 0.4"#,
            r#"tracer_request_bucket_seconds_bucket{method="GET",route="/chat",bucket="llm.first_byte",le="0.1"} 0"#,
            r#"tracer_request_bucket_seconds_bucket{method="GET",route="/chat",bucket="llm.first_byte",le="0.5"} 1"#,
            r#"tracer_call_duration_seconds_count{vendor="openai",model="gpt"} 1"#,
            r#"tracer_call_errors_total{vendor="openai",model="gpt"} 1"#,
            r#"tracer_call_retries_total{vendor="openai",model="gpt"} 1"#,
            r#"tracer_tokens_total{vendor="openai",model="gpt",direction="output"} 20"#,
            r#"tracer_lost_total{kind="sample"} 3"#,
            r#"tracer_lost_total{kind="metrics"} 2"#,
            r#"tracer_table_limit{table="connections"} 32768"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn maps_have_their_fill_where_it_is_known() {
        let states = States::default();
        states.maps.set(vec![Fill { map: "TRACED", entries: 7 }]);
        let page = Metrics::default().render(Format::Text, &Vitals::default(), &states);
        let page = String::from_utf8(page).expect("text");
        for line in [
            r#"tracer_map_entries{map="TRACED"} 7"#,
            r#"tracer_map_limit{map="TRACED"} 8192"#,
            r#"tracer_map_limit{map="SOCKETS"} 32768"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains(r#"tracer_map_entries{map="SOCKETS"}"#));
    }

    #[test]
    fn requests_of_pods_have_their_names() {
        let mut of_pod = batch([request("/chat", 0, &[(Bucket::PythonCpu, 100)])]);
        let pod = |number: usize| Pod {
            namespace: "llm".to_owned(),
            name: format!("chat-{number}"),
            container: "app".to_owned(),
            ..Pod::default()
        };
        let mut metrics = Metrics::default();
        for number in 0..CONTAINERS + 10 {
            of_pod.processes = vec![Process { pid: 1, pod: Some(pod(number)), ..Process::default() }];
            metrics.apply(&of_pod, 0);
        }
        let page = page(&metrics);
        for line in [
            r#"tracer_pod_requests_total{namespace="llm",pod="chat-7",container="app"} 1"#,
            r#"tracer_pod_request_seconds_total{namespace="llm",pod="chat-7",container="app"} 0.1"#,
            r#"tracer_pod_requests_total{namespace="other",pod="other",container="other"} 10"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn labels_are_bounded() {
        let mut metrics = Metrics::default();
        for number in 0..3 * PEERS {
            let mut request = request("/chat", 0, &[(Bucket::LlmFirstByte, 400)]);
            request.method = Some(format!("M{number}"));
            let called = call("api.openai.com", &request, 0, 400);
            request.calls.push(Call { model: Some(format!("m{number}")), ..called });
            metrics.apply(&batch([request]), 0);
        }
        let page = page(&metrics);
        let count = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("tracer_request_duration_seconds_count"), 1);
        assert_eq!(count("tracer_call_duration_seconds_count"), PEERS + 1);
    }

    #[test]
    fn the_page_is_bounded() {
        let mut metrics = Metrics::default();
        let causes: Vec<(Bucket, u64)> = Bucket::ALL.iter().map(|bucket| (*bucket, 10)).collect();
        for number in 0..2 * ROUTES_BY_CAUSE {
            metrics.apply(&batch([request(&format!("/api/v1/conversations/{number}"), 0, &causes)]), 0);
        }
        let page = page(&metrics);
        let count = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("tracer_request_duration_seconds_count"), 2 * ROUTES_BY_CAUSE);
        assert_eq!(count("tracer_request_bucket_seconds_sum"), (ROUTES_BY_CAUSE + 1) * Bucket::ALL.len());
        let other = format!(
            r#"tracer_request_bucket_seconds_count{{method="other",route="{{other}}",bucket="wait.gil"}} {ROUTES_BY_CAUSE}"#
        );
        assert!(page.lines().any(|line| line == other), "{page}");
        assert!(page.len() < 4 << 20, "{} bytes", page.len());
    }

    #[test]
    fn native_histograms_are_in_the_protobuf() {
        let mut metrics = Metrics::default();
        metrics.apply(&batch([request("/chat", 0, &[(Bucket::PythonCpu, 100)])]), 0);
        let families = prometheus_client::encoding::prometheus_protobuf::encode(&metrics.families.registry);
        let families = families.expect("it is encoded");
        for name in ["tracer_request_duration_seconds", "tracer_request_bucket_seconds"] {
            let family = families.iter().find(|family| family.name == name).expect(name);
            let histogram = family.metric[0].histogram.as_ref().expect("it is one");
            assert_eq!((histogram.sample_count, histogram.positive_delta.as_slice()), (1, &[1][..]));
            // The bucket's upper bound, 2^(index / 2^schema), is the next one above what was observed.
            let [span] = histogram.positive_span.as_slice() else { panic!("{histogram:?}") };
            let width = f64::exp2(f64::from(-histogram.schema));
            let bound = f64::exp2(f64::from(span.offset) * width);
            assert!(bound >= 0.1 && bound / f64::exp2(width) < 0.1, "{histogram:?}");
            assert!(!histogram.bucket.is_empty());
        }
    }
}
