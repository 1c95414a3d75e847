//! Which requests are sent: a share of the ordinary ones, and all that failed or were slow.

use std::collections::HashMap;

use super::place::{Place, TraceId};
use crate::{
    report::{group, types::Request},
    serve::{
        config::Slow,
        history::{histogram::Histogram, is_call_error, is_error},
    },
};

/// A route's percentile is of its latest requests: of so many at least, and at most twice that.
const WINDOW: u64 = 500;
/// With fewer it says nothing.
const LEAST: u64 = 100;
/// It is looked at anew after so many.
const EVERY: u64 = 50;
const PERCENT: f64 = 95.0;

/// Bits of a trace id that are taken as random (W3C Trace Context, level 2).
const RANDOM_BITS: u32 = 56;

/// Decides for one request after the other.
#[derive(Debug)]
pub struct Sampler {
    /// A trace is kept whose random part is below.
    limit: u64,
    slow: Slow,
    routes: HashMap<String, Walls>,
}

/// Wall times of a route's latest requests, the older and the newer half.
#[derive(Debug, Default)]
struct Walls {
    older: Histogram,
    newer: Histogram,
    bound_ns: Option<u64>,
}

impl Sampler {
    /// `ratio` of the ordinary requests is kept, from 0 to 1.
    pub fn new(ratio: f64, slow: Slow) -> Sampler {
        Sampler { limit: (ratio * (1_u64 << RANDOM_BITS) as f64) as u64, slow, routes: HashMap::new() }
    }

    /// Whether it is sent. A request of a trace that its caller does not keep is none of the ordinary.
    pub fn keeps(&mut self, request: &Request, place: &Place) -> bool {
        let is_slow = self.is_slow(request);
        let is_ordinary = place.is_sampled != Some(false) && random(&place.trace) < self.limit;
        is_ordinary || is_slow || has_failed(request)
    }

    fn is_slow(&mut self, request: &Request) -> bool {
        match self.slow {
            Slow::Never => false,
            Slow::From(bound) => u128::from(request.wall_ns) >= bound.as_nanos(),
            // Routes are bounded where they are learned.
            Slow::ByRoute => self.routes.entry(group::label(request)).or_default().is_above(request.wall_ns),
        }
    }
}

impl Walls {
    /// Whether it is above the percentile of those before.
    fn is_above(&mut self, wall_ns: u64) -> bool {
        let is_above = self.bound_ns.is_some_and(|bound_ns| wall_ns > bound_ns);
        self.newer.add(wall_ns);
        if self.newer.count().is_multiple_of(EVERY) {
            let mut all = self.older.clone();
            all.merge(&self.newer);
            self.bound_ns = all.percentile(PERCENT).filter(|_| all.count() >= LEAST);
        }
        if self.newer.count() >= WINDOW {
            self.older = std::mem::take(&mut self.newer);
        }
        is_above
    }
}

fn random(trace: &TraceId) -> u64 {
    let mut low = [0; 8];
    low.copy_from_slice(&trace[8..]);
    u64::from_be_bytes(low) & ((1 << RANDOM_BITS) - 1)
}

/// It, or one of its calls.
fn has_failed(request: &Request) -> bool {
    is_error(request) || request.all_calls().any(is_call_error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        finding::cases::{MS, call, request},
        report::bucket::Bucket,
    };

    fn lasting(ms: u64, number: usize) -> Request {
        Request { id: number.to_string(), ..request("/chat", 0, &[(Bucket::LlmFirstByte, ms)]) }
    }

    fn keeps(sampler: &mut Sampler, request: &Request) -> bool {
        let place = Place::of(request, "host");
        sampler.keeps(request, &place)
    }

    #[test]
    fn a_share_of_the_ordinary_ones_is_kept() {
        for (ratio, expected) in [(0.0, 0..=0), (0.25, 200..=300), (1.0, 1_000..=1_000)] {
            let mut sampler = Sampler::new(ratio, Slow::Never);
            let kept = (0..1_000).filter(|number| keeps(&mut sampler, &lasting(10, *number))).count();
            assert!(expected.contains(&kept), "{kept} of 1000 at {ratio}");
        }
    }

    #[test]
    fn what_failed_is_kept() {
        let mut sampler = Sampler::new(0.0, Slow::Never);
        let failed = Request { status: Some(500), ..lasting(10, 0) };
        let mut refused = lasting(10, 1);
        refused.calls.push(crate::report::types::Call { status: Some(429), ..call("x", &refused, 0, 5) });
        assert!(keeps(&mut sampler, &failed) && keeps(&mut sampler, &refused));
    }

    #[test]
    fn what_is_slow_is_kept() {
        let mut sampler = Sampler::new(0.0, Slow::From(Duration::from_millis(20)));
        assert!(!keeps(&mut sampler, &lasting(19, 0)) && keeps(&mut sampler, &lasting(20, 0)));
        let mut sampler = Sampler::new(0.0, Slow::ByRoute);
        let kept: usize = (0..2_000)
            .map(|number| usize::from(keeps(&mut sampler, &lasting(1 + number as u64 % 100, number))))
            .sum();
        assert!((60..=140).contains(&kept), "{kept} of 2000 are above the 95th percentile");
        assert!(sampler.routes["GET /chat"].newer.count() < WINDOW);
        assert!(keeps(&mut sampler, &Request { wall_ns: 200 * MS, ..lasting(1, 0) }));
    }

    #[test]
    fn a_caller_that_keeps_nothing_is_followed() {
        let traceparent = |flags: &str| Some(format!("00-{}-{}-{flags}", "1".repeat(32), "2".repeat(16)));
        let mut sampler = Sampler::new(1.0, Slow::Never);
        assert!(!keeps(&mut sampler, &Request { traceparent: traceparent("00"), ..lasting(1, 0) }));
        assert!(keeps(&mut sampler, &Request { traceparent: traceparent("01"), ..lasting(1, 0) }));
    }
}
