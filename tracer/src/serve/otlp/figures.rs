//! Figures of the requests and calls of each service, as OTLP has them: histograms and sums since the start.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric::Data, number_data_point,
    },
};

use super::{
    attributes::Attributes,
    names::{self, gen_ai, http, metric},
    resource::{Resources, scope},
    span::{error_type, is_llm, method, route, time_to_first_chunk_s},
};
use crate::{
    report::types::{Call, Kind, Request},
    serve::{batch::Batch, history::is_error},
};

/// Series of one figure; what more there are is in one that says so. The conventions' limit, with which a message of all that
/// there are is below what gRPC receivers take.
const SERIES: usize = 2_000;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    RequestDuration,
    RequestBucketTime,
    CallDuration,
    CallTimeToFirstChunk,
    CallTokens,
}

/// Whose a series is, and what tells it apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    service: String,
    figure: Figure,
    labels: Labels,
}

type Labels = Vec<(&'static str, Label)>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Text(String),
    Number(u64),
    Flag(bool),
}

/// What was counted since a time.
#[derive(Clone, Debug)]
struct Series {
    start_unix_ns: u64,
    sum: f64,
    /// By bound, one more for what is above the last; of a sum none.
    counts: Vec<u64>,
}

/// All that was counted.
#[derive(Debug, Default)]
pub struct Figures {
    series: BTreeMap<Key, Series>,
    n_series: BTreeMap<Figure, usize>,
    /// The start of series that begin now.
    begun_unix_ns: u64,
    at_unix_ns: u64,
}

impl Figures {
    /// Takes in a batch.
    pub fn add(&mut self, batch: &Batch, resources: &Resources) {
        // What a batch tells happened after the one before.
        self.begun_unix_ns = if self.at_unix_ns == 0 { batch.at_unix_ns } else { self.at_unix_ns };
        self.at_unix_ns = batch.at_unix_ns;
        for request in &batch.requests {
            let service = resources.service(request.pid);
            self.add_request(&service, request);
            for call in request.all_calls().filter(|call| is_llm(call)) {
                self.add_call(&service, call);
            }
        }
    }

    /// The message with all of them; `None` where there is nothing yet.
    pub fn message(&self, resources: &Resources) -> Option<ExportMetricsServiceRequest> {
        let mut services = BTreeMap::<&str, BTreeMap<Figure, Vec<(&Labels, &Series)>>>::new();
        for (Key { service, figure, labels }, series) in &self.series {
            services.entry(service).or_default().entry(*figure).or_default().push((labels, series));
        }
        let resource_metrics = services.into_iter().map(|(service, figures)| {
            let metrics = figures.into_iter().map(|(figure, series)| self.metric(figure, &series)).collect();
            ResourceMetrics {
                resource: Some(resources.of_service(service)),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics,
                    schema_url: String::new(),
                }],
                schema_url: names::SCHEMA_URL.to_owned(),
            }
        });
        let resource_metrics: Vec<ResourceMetrics> = resource_metrics.collect();
        (!resource_metrics.is_empty()).then_some(ExportMetricsServiceRequest { resource_metrics })
    }

    fn add_request(&mut self, service: &str, request: &Request) {
        let mut labels = Labels::new();
        if request.kind == Kind::Http {
            labels.push((http::REQUEST_METHOD, Label::Text(method(request).to_owned())));
            labels.extend(route(request).map(|route| (http::ROUTE, Label::Text(route.to_owned()))));
            let mut labels = labels.clone();
            labels.push((http::URL_SCHEME, Label::Text("http".to_owned())));
            if let Some(status) = request.status {
                labels.push((http::RESPONSE_STATUS_CODE, Label::Number(status.into())));
                if is_error(request) {
                    labels.push((http::ERROR_TYPE, Label::Text(status.to_string())));
                }
            }
            self.observe(service, Figure::RequestDuration, labels, seconds(request.wall_ns));
        }
        for (bucket, ns) in request.buckets.iter() {
            if let Some(ns) = ns.filter(|ns| *ns > 0) {
                let mut labels = labels.clone();
                labels.push((metric::BUCKET, Label::Text(bucket.name().to_owned())));
                self.observe(service, Figure::RequestBucketTime, labels, seconds(ns));
            }
        }
    }

    fn add_call(&mut self, service: &str, call: &Call) {
        let text = |key, value: &Option<String>| value.clone().map(|value| (key, Label::Text(value)));
        let provider = call.vendor.as_deref().unwrap_or(http::OTHER);
        let mut labels: Labels = vec![(gen_ai::PROVIDER_NAME, Label::Text(provider.to_owned()))];
        labels.extend(text(gen_ai::OPERATION_NAME, &call.operation));
        labels.extend(text(gen_ai::REQUEST_MODEL, &call.model));
        labels.extend(text(http::SERVER_ADDRESS, &call.host));
        labels.extend(call.port.map(|port| (http::SERVER_PORT, Label::Number(port.into()))));
        for (kind, tokens) in [("input", call.input_tokens), ("output", call.output_tokens)] {
            if let Some(tokens) = tokens {
                let mut labels = labels.clone();
                labels.push((metric::TOKEN_TYPE, Label::Text(kind.to_owned())));
                self.observe(service, Figure::CallTokens, labels, tokens as f64);
            }
        }
        if let Some(first_chunk_s) = time_to_first_chunk_s(call) {
            self.observe(service, Figure::CallTimeToFirstChunk, labels.clone(), first_chunk_s);
        }
        labels.extend(text(http::ERROR_TYPE, &error_type(call)));
        self.observe(service, Figure::CallDuration, labels, seconds(call.wall_ns));
    }

    fn observe(&mut self, service: &str, figure: Figure, labels: Labels, value: f64) {
        let mut key = Key { service: service.to_owned(), figure, labels };
        if !self.series.contains_key(&key) {
            let n_series = self.n_series.entry(figure).or_default();
            if *n_series >= SERIES {
                key.labels = vec![(metric::OVERFLOW, Label::Flag(true))];
            } else {
                *n_series += 1;
            }
        }
        let bounds = figure.bounds();
        let new = || Series {
            start_unix_ns: self.begun_unix_ns,
            sum: 0.0,
            counts: vec![0; if bounds.is_empty() { 0 } else { bounds.len() + 1 }],
        };
        let series = self.series.entry(key).or_insert_with(new);
        series.sum += value;
        // A bound belongs to what is below it.
        if let Some(count) = series.counts.get_mut(bounds.partition_point(|bound| *bound < value)) {
            *count += 1;
        }
    }

    fn metric(&self, figure: Figure, series: &[(&Labels, &Series)]) -> Metric {
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let data = if figure.bounds().is_empty() {
            let points = series.iter().map(|(labels, series)| self.sum(labels, series));
            Data::Sum(Sum { data_points: points.collect(), aggregation_temporality, is_monotonic: true })
        } else {
            let points = series.iter().map(|(labels, series)| self.histogram(figure, labels, series));
            Data::Histogram(Histogram { data_points: points.collect(), aggregation_temporality })
        };
        let (name, unit, description) = figure.described();
        Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            description: description.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn sum(&self, labels: &Labels, series: &Series) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: series.start_unix_ns,
            time_unix_nano: self.at_unix_ns,
            value: Some(number_data_point::Value::AsDouble(series.sum)),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&self, figure: Figure, labels: &Labels, series: &Series) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: series.start_unix_ns,
            time_unix_nano: self.at_unix_ns,
            count: series.counts.iter().sum(),
            sum: Some(series.sum),
            bucket_counts: series.counts.clone(),
            explicit_bounds: figure.bounds().to_vec(),
            ..HistogramDataPoint::default()
        }
    }
}

impl Figure {
    /// The conventions' bounds; of a sum none.
    fn bounds(self) -> &'static [f64] {
        match self {
            Figure::RequestDuration => &metric::HTTP_SECONDS,
            Figure::RequestBucketTime => &[],
            Figure::CallDuration | Figure::CallTimeToFirstChunk => &metric::GEN_AI_SECONDS,
            Figure::CallTokens => &metric::GEN_AI_TOKENS,
        }
    }

    /// Name, unit and what it is.
    fn described(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Figure::RequestDuration => (metric::HTTP_SERVER_REQUEST_DURATION, "s", "Wall time of requests"),
            Figure::RequestBucketTime => (metric::REQUEST_BUCKET_TIME, "s", "Wall time of requests by cause"),
            Figure::CallDuration => {
                (metric::GEN_AI_OPERATION_DURATION, "s", "Time of calls to models, with connecting")
            }
            Figure::CallTimeToFirstChunk => (
                metric::GEN_AI_TIME_TO_FIRST_CHUNK,
                "s",
                "From the beginning of a streamed call to the arrival of the first output",
            ),
            Figure::CallTokens => {
                (metric::GEN_AI_TOKEN_USAGE, "{token}", "Tokens that vendors counted for a call")
            }
        }
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let mut attributes = Attributes::default();
    for (key, label) in labels {
        match label {
            Label::Text(text) => attributes.set(*key, text),
            Label::Number(number) => attributes.set(*key, *number),
            Label::Flag(flag) => attributes.set(*key, *flag),
        };
    }
    attributes.take()
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
        report::bucket::Bucket,
        serve::otlp::resource::Host,
    };

    fn batch(requests: impl IntoIterator<Item = Request>) -> Batch {
        Batch { at_unix_ns: 7, requests: requests.into_iter().map(Arc::new).collect(), ..Batch::default() }
    }

    fn metrics(figures: &Figures) -> BTreeMap<String, Metric> {
        let resources = Resources::new(Host::default(), |_| Default::default());
        let message = figures.message(&resources).expect("there are some");
        let metrics =
            message.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics);
        metrics.map(|metric| (metric.name.clone(), metric)).collect()
    }

    fn histogram(metric: &Metric) -> &[HistogramDataPoint] {
        match metric.data.as_ref() {
            Some(Data::Histogram(histogram)) => &histogram.data_points,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn figures_have_the_conventions_names_and_bounds() {
        let resources = Resources::new(Host::default(), |_| Default::default());
        let mut figures = Figures::default();
        assert!(figures.message(&resources).is_none());
        let mut chat = request("/chat", 0, &[(Bucket::LlmFirstByte, 500), (Bucket::PythonCpu, 100)]);
        let asked =
            Call { operation: Some("chat".to_owned()), output_tokens: Some(64), ..call("x", &chat, 0, 640) };
        chat.calls.push(asked);
        figures.add(&batch([chat.clone(), chat]), &resources);
        let metrics = metrics(&figures);
        let duration = &histogram(&metrics["http.server.request.duration"])[0];
        assert_eq!((duration.count, duration.sum), (2, Some(1.2)));
        assert_eq!(duration.bucket_counts[duration.explicit_bounds.partition_point(|bound| *bound < 0.6)], 2);
        let of_call = &histogram(&metrics["gen_ai.client.operation.duration"])[0];
        assert_eq!(of_call.bucket_counts[6], 2, "0.64 s is not above the bound of 0.64 s");
        assert_eq!(histogram(&metrics["gen_ai.client.token.usage"])[0].bucket_counts[3], 2);
        let Some(Data::Sum(sum)) = &metrics["tracer.request.bucket.time"].data else { panic!("it is a sum") };
        assert!(sum.is_monotonic && sum.data_points.len() == 2);
    }

    #[test]
    fn series_are_bounded() {
        let resources = Resources::new(Host::default(), |_| Default::default());
        let mut figures = Figures::default();
        for number in 0..SERIES + 10 {
            figures.add(&batch([request(&format!("/{number}"), 0, &[])]), &resources);
        }
        let metrics = metrics(&figures);
        let points = histogram(&metrics["http.server.request.duration"]);
        assert_eq!(points.len(), SERIES + 1);
        assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), SERIES as u64 + 10);
    }
}
