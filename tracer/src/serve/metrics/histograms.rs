//! The bounds of histograms. Each has few that are fixed, and native buckets, which only the protobuf format has.

use prometheus_client::metrics::{
    family::MetricConstructor,
    histogram::{Histogram, NativeHistogramConfig},
};

/// Of requests and calls, in seconds: as the GenAI conventions of OpenTelemetry have them, from 10 ms on.
const DURATIONS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Of the parts of a request: with the sum and the count, nine series for each of its causes.
const PARTS: [f64; 6] = [0.001, 0.01, 0.1, 0.5, 2.5, 10.0];

/// Native buckets of one that are held at once; what would be more is held in wider ones.
const NATIVE: usize = 160;
const NATIVE_OF_PARTS: usize = 40;

/// Of requests and calls; native buckets are 9 % wide.
#[derive(Clone, Debug)]
pub struct Durations;

/// Of the parts of requests; native buckets are 41 % wide.
#[derive(Clone, Debug)]
pub struct Parts;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        let native = NativeHistogramConfig::with_schema(3).max_buckets(NATIVE);
        Histogram::new_classic_and_native(DURATIONS, native)
    }
}

impl MetricConstructor<Histogram> for Parts {
    fn new_metric(&self) -> Histogram {
        let native = NativeHistogramConfig::with_schema(1).max_buckets(NATIVE_OF_PARTS);
        Histogram::new_classic_and_native(PARTS, native)
    }
}
