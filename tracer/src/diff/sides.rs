//! The requests of both sides, by route, and the figures of each that are compared.

use std::collections::{BTreeMap, HashMap};

use crate::{
    diff::types::Presence,
    report::{
        bucket::Bucket,
        functions::{LIMIT, sample_ns},
        group,
        types::{Function, Report, Request},
    },
};

/// Requests of one route that can be compared, in order of their start.
#[derive(Clone, Debug, Default)]
pub struct Requests<'a>(Vec<&'a Request>);

/// What both captures have of a route, the base first.
#[derive(Clone, Debug)]
pub struct Sides<'a> {
    pub presence: Presence,
    pub requests: [Requests<'a>; 2],
    /// What a sample stands for, where they are fewer.
    pub sample_ns: u64,
}

/// By method and route, what base and new have of it. Incomplete requests are left out: a part of their time is missing.
pub fn by_route<'a>(base: &'a Report, new: &'a Report) -> BTreeMap<String, Sides<'a>> {
    let mut routes = BTreeMap::<String, [Option<Requests>; 2]>::new();
    for (side, report) in [base, new].into_iter().enumerate() {
        for request in &report.requests {
            let requests = routes.entry(group::label(request)).or_default()[side].get_or_insert_default();
            if request.complete {
                requests.0.push(request);
            }
        }
    }
    let sample_ns = [base, new].map(|report| sample_ns(report.capture.samples_per_second));
    let sample_ns = sample_ns[0].max(sample_ns[1]);
    let of_both = |(route, sides): (String, [Option<Requests<'a>>; 2])| {
        let presence = match &sides {
            [None, _] => Presence::New,
            [_, None] => Presence::Gone,
            _ => Presence::Both,
        };
        let mut sides = sides.map(Option::unwrap_or_default);
        sides.iter_mut().for_each(|side| side.0.sort_by_key(|request| request.start_unix_ns));
        (route, Sides { presence, requests: sides, sample_ns })
    };
    routes.into_iter().map(of_both).collect()
}

impl Requests<'_> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Requests that failed on the application's side.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|request| request.status.is_some_and(|status| status >= 500)).count()
    }

    pub fn walls_ns(&self) -> Vec<u64> {
        self.0.iter().map(|request| request.wall_ns).collect()
    }

    /// Wall times less what the requests waited for a CPU; `None` where that could not be seen.
    pub fn walls_without_runqueue_ns(&self) -> Option<Vec<u64>> {
        let queued_ns = self.bucket_ns(Bucket::WaitRunqueue)?;
        Some(self.0.iter().zip(queued_ns).map(|(request, ns)| request.wall_ns.saturating_sub(ns)).collect())
    }

    /// `None` where the bucket could not be seen in one of them.
    pub fn bucket_ns(&self, bucket: Bucket) -> Option<Vec<u64>> {
        self.0.iter().map(|request| request.buckets.get(bucket)).collect()
    }

    /// What samples say of each function that any of them ran.
    pub fn functions(&self) -> HashMap<FunctionKey, Sampled> {
        let mut functions = HashMap::<FunctionKey, Sampled>::new();
        for (index, request) in self.0.iter().enumerate() {
            for function in &request.functions {
                let key = FunctionKey { function: function.function.clone(), file: function.file.clone() };
                let sampled = functions.entry(key).or_insert_with(|| self.without_samples());
                sampled.line = Some(function.line);
                sampled.samples += function.samples;
                sampled.own.ns[index] += function.self_ns as f64;
                sampled.total.ns[index] += function.total_ns as f64;
                if !std::mem::replace(&mut sampled.is_listed[index], true) {
                    let (own_ns, total_ns) = unlisted_ns(request);
                    sampled.own.unlisted_ns -= own_ns;
                    sampled.total.unlisted_ns -= total_ns;
                }
            }
        }
        functions
    }

    /// Of a function that none of them ran, as far as they tell.
    pub fn without_samples(&self) -> Sampled {
        let (own_ns, total_ns) = self
            .0
            .iter()
            .map(|request| unlisted_ns(request))
            .fold((0.0, 0.0), |(own_ns, total_ns), request| (own_ns + request.0, total_ns + request.1));
        let none = |unlisted_ns| Times { ns: vec![0.0; self.len()], unlisted_ns };
        let is_listed = vec![false; self.len()];
        Sampled { line: None, samples: 0, own: none(own_ns), total: none(total_ns), is_listed }
    }
}

/// The own and total time that a function may have that a request does not list: no more than the last of those that are listed
/// for theirs.
fn unlisted_ns(request: &Request) -> (f64, f64) {
    let last_ns = |time: fn(&Function) -> u64| {
        let sampled = request.functions.iter().filter(|function| function.samples > 0);
        let mut times_ns: Vec<u64> = sampled.map(time).collect();
        times_ns.sort_unstable_by(|a, b| b.cmp(a));
        times_ns.get(LIMIT - 1).map_or(0.0, |ns| *ns as f64)
    };
    (last_ns(|function| function.self_ns), last_ns(|function| function.total_ns))
}

/// A function is the same one wherever in its file it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey {
    pub function: String,
    pub file: String,
}

/// What samples say of a function, for each request.
#[derive(Clone, Debug)]
pub struct Sampled {
    pub line: Option<u32>,
    pub samples: u64,
    pub own: Times,
    pub total: Times,
    is_listed: Vec<bool>,
}

#[derive(Clone, Debug)]
pub struct Times {
    /// By request.
    pub ns: Vec<f64>,
    /// What there may be beside, in the requests that do not list the function.
    pub unlisted_ns: f64,
}

impl Times {
    /// `None` of no requests.
    pub fn mean_ns(&self) -> Option<f64> {
        (!self.ns.is_empty()).then(|| self.ns.iter().sum::<f64>() / self.ns.len() as f64)
    }
}
