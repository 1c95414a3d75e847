//! A comparison as data; its JSON form is schema 1 of `tracer/data/diff.schema.json`. Times in ns; keys never vanish, absent is
//! `null`.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::report::bucket::Bucket;

#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Always 1.
    pub schema: u32,
    pub base: Side,
    pub new: Side,
    /// Share of the intervals that hold the true difference.
    pub confidence: f64,
    /// The probability that a comparison of two captures of the same calls any change real.
    pub false_alarms: f64,
    /// How many figures were compared.
    pub comparisons: usize,
    /// The one with the largest real change first.
    pub routes: Vec<Route>,
}

/// What is compared with what.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub file: String,
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub kernel: String,
    pub requests: usize,
    /// Requests that are left out, as a part of them was not seen.
    pub incomplete: usize,
    pub lost_events: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Method and route, `(run)` for processes that served no requests.
    pub route: String,
    pub presence: Presence,
    /// Requests that are compared.
    pub base_requests: usize,
    pub new_requests: usize,
    /// Those of them that were answered by a status of 500 or above.
    pub base_errors: usize,
    pub new_errors: usize,
    pub wall: Quantiles,
    /// Wall time less what the request waited for a CPU, which is the host's: what is judged, where it is known.
    pub wall_without_runqueue: Quantiles,
    pub buckets: Buckets,
    /// Functions that take a hundredth of the route's time on one side, those with the largest real change first.
    pub functions: Vec<Function>,
}

impl Route {
    /// The wall time that says whether the program became slower, be the host busy or not.
    pub fn judged(&self) -> &Quantiles {
        let is_known = self.wall_without_runqueue.p50.verdict != Verdict::Unknown;
        if is_known { &self.wall_without_runqueue } else { &self.wall }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Both,
    /// Only the new capture has it.
    New,
    /// Only the base has it.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50: Comparison,
    pub p95: Comparison,
}

impl Quantiles {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, &Comparison); 2] {
        [("p50", &self.p50), ("p95", &self.p95)]
    }
}

/// Every bucket, in the order of reports.
#[derive(Clone, Debug)]
pub struct Buckets(pub Vec<(Bucket, Quantiles)>);

impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (bucket, quantiles) in &self.0 {
            map.serialize_entry(bucket.name(), quantiles)?;
        }
        map.end()
    }
}

/// One function, wherever in its file it stands. Times are means of all requests of the route, as samples tell.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    pub function: String,
    pub file: String,
    pub base_line: Option<u32>,
    pub new_line: Option<u32>,
    pub base_samples: u64,
    pub new_samples: u64,
    /// Without what it calls.
    #[serde(rename = "self")]
    pub own: Comparison,
    pub total: Comparison,
}

impl Function {
    /// By real change of its own time, then of its total, then by what it takes: for the largest first.
    pub fn weight(&self) -> [f64; 3] {
        let taken_ns = self.own.new_ns.or(self.own.base_ns).unwrap_or_default();
        [self.own.real_ns(), self.total.real_ns(), taken_ns]
    }
}

/// One figure on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub base_ns: Option<f64>,
    pub new_ns: Option<f64>,
    /// New less base.
    pub difference_ns: Option<f64>,
    /// The true difference is within, with the confidence of the whole.
    pub interval_ns: Option<[f64; 2]>,
    /// The difference as a share of the base; `None` where that is 0.
    pub ratio: Option<f64>,
    /// Corrected for the number of comparisons; `None` where nothing was tested.
    pub p_value: Option<f64>,
    pub verdict: Verdict,
}

impl Comparison {
    /// Nothing to compare.
    pub fn without(verdict: Verdict, base_ns: Option<f64>, new_ns: Option<f64>) -> Comparison {
        Comparison {
            base_ns,
            new_ns,
            difference_ns: None,
            interval_ns: None,
            ratio: None,
            p_value: None,
            verdict,
        }
    }

    pub fn is_real(&self) -> bool {
        matches!(self.verdict, Verdict::Grew | Verdict::Shrank)
    }

    /// Takes a change back that is, for the greater part, not in `without_runqueue`, the same figure less the host's part.
    pub fn leave_to_host(&mut self, without_runqueue: &Comparison) {
        let remains =
            without_runqueue.verdict == self.verdict && without_runqueue.real_ns() >= self.real_ns() / 2.0;
        if self.is_real() && without_runqueue.verdict != Verdict::Unknown && !remains {
            self.verdict = Verdict::Host;
        }
    }

    /// How large a real change is; 0 for any other.
    pub fn real_ns(&self) -> f64 {
        if self.is_real() { self.difference_ns.unwrap_or_default().abs() } else { 0.0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Grew,
    Shrank,
    /// It differs by what requests waited for a CPU, for the greater part: the host was busier on one side.
    Host,
    /// The difference is no larger than chance makes it, or too small to be told from the moods of a host.
    NoChangeSeen,
    /// Too few requests or samples for any change to be told.
    TooFew,
    /// Less than a hundredth of the route's time on both sides.
    Negligible,
    /// It could not be seen on one side, at least in some requests.
    Unknown,
    /// One side does not have it.
    OneSided,
}
