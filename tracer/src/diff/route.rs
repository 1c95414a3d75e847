//! What of a route is compared, and how.

use std::collections::BTreeSet;

use super::{
    judge::{self, Family, Judge, Test, Verdicts},
    sides::{FunctionKey, Requests, Sampled, Sides, Times},
    statistics::{self, Blocks},
    types::{Buckets, Comparison, Function, Presence, Quantiles, Route, Verdict},
};
use crate::report::{bucket::Bucket, stats};

/// Buckets and functions below this share of their route's time on both sides are not compared.
const LEAST_SHARE: f64 = 0.01;

/// Fewer samples of a function than this, on the side that has more, tell nothing of it.
const LEAST_SAMPLES: u64 = 20;

/// Fewer requests than this tell nothing of a mean: a single odd one would decide it.
const LEAST_REQUESTS: usize = 10;

/// The quantiles that are compared, as percentages.
const PERCENTS: [f64; 2] = [50.0, 95.0];

/// A route whose comparisons wait for their verdicts.
pub struct Pending<'a> {
    label: &'a str,
    sides: &'a Sides<'a>,
    wall: [judge::Pending; 2],
    wall_without_runqueue: [judge::Pending; 2],
    buckets: Vec<(Bucket, [judge::Pending; 2])>,
    functions: Vec<PendingFunction>,
}

struct PendingFunction {
    key: FunctionKey,
    sides: [Sampled; 2],
    own: judge::Pending,
    total: judge::Pending,
}

impl<'a> Pending<'a> {
    pub fn new(label: &'a str, sides: &'a Sides, judge: &mut Judge) -> Self {
        let mut comparer = Comparer::new(sides, judge);
        let wall = comparer.wall();
        let wall_without_runqueue = comparer.wall_without_runqueue();
        let buckets = Bucket::ALL.into_iter().map(|bucket| (bucket, comparer.bucket(bucket))).collect();
        Pending { label, sides, wall, wall_without_runqueue, buckets, functions: comparer.functions() }
    }

    pub fn decide(self, verdicts: &Verdicts) -> Route {
        let quantiles = |pending: [judge::Pending; 2]| {
            let [p50, p95] = pending.map(|pending| verdicts.of(pending));
            Quantiles { p50, p95 }
        };
        let mut functions: Vec<Function> =
            self.functions.into_iter().map(|function| function.decide(verdicts)).collect();
        functions.sort_by(|a, b| b.weight().partial_cmp(&a.weight()).unwrap_or(std::cmp::Ordering::Equal));
        let mut wall = quantiles(self.wall);
        let wall_without_runqueue = quantiles(self.wall_without_runqueue);
        wall.p50.leave_to_host(&wall_without_runqueue.p50);
        wall.p95.leave_to_host(&wall_without_runqueue.p95);
        let [base, new] = &self.sides.requests;
        Route {
            route: self.label.to_owned(),
            presence: self.sides.presence,
            base_requests: base.len(),
            new_requests: new.len(),
            base_errors: base.errors(),
            new_errors: new.errors(),
            wall,
            wall_without_runqueue,
            buckets: Buckets(
                self.buckets.into_iter().map(|(bucket, pending)| (bucket, quantiles(pending))).collect(),
            ),
            functions,
        }
    }
}

impl PendingFunction {
    fn decide(self, verdicts: &Verdicts) -> Function {
        let [base, new] = &self.sides;
        Function {
            function: self.key.function,
            file: self.key.file,
            base_line: base.line,
            new_line: new.line,
            base_samples: base.samples,
            new_samples: new.samples,
            own: verdicts.of(self.own),
            total: verdicts.of(self.total),
        }
    }
}

/// Compares figures of one route.
struct Comparer<'a> {
    sides: &'a Sides<'a>,
    judge: &'a mut Judge,
    walls_ns: [Vec<u64>; 2],
    /// Of the base, without what its requests waited for a CPU, where that is known.
    base_walls_ns: Vec<u64>,
    blocks: [Blocks; 2],
    least_p_values: [f64; 2],
}

impl<'a> Comparer<'a> {
    fn new(sides: &'a Sides, judge: &'a mut Judge) -> Self {
        let [base, new] = &sides.requests;
        // Different seeds: what is drawn of one side has nothing to do with what is drawn of the other.
        let blocks = [Blocks::new(base.len(), 1), Blocks::new(new.len(), 2)];
        let least_p_values = PERCENTS.map(|percent| statistics::least_p_value(percent, blocks.each_ref()));
        let base_walls_ns = base.walls_without_runqueue_ns().unwrap_or_else(|| base.walls_ns());
        Comparer {
            base_walls_ns,
            sides,
            judge,
            walls_ns: sides.requests.each_ref().map(Requests::walls_ns),
            blocks,
            least_p_values,
        }
    }

    fn wall(&mut self) -> [judge::Pending; 2] {
        let walls_ns = self.walls_ns.clone().map(Some);
        self.quantiles(Family::Wall, &walls_ns)
    }

    fn wall_without_runqueue(&mut self) -> [judge::Pending; 2] {
        let values_ns = self.sides.requests.each_ref().map(Requests::walls_without_runqueue_ns);
        self.quantiles(Family::Wall, &values_ns)
    }

    fn bucket(&mut self, bucket: Bucket) -> [judge::Pending; 2] {
        let values_ns = self.sides.requests.each_ref().map(|requests| requests.bucket_ns(bucket));
        let family = if bucket == Bucket::WaitRunqueue { Family::Host } else { Family::Parts };
        self.quantiles(family, &values_ns)
    }

    /// `values_ns` of the base and the new side, in order of time; `None` where not known.
    fn quantiles(&mut self, family: Family, values_ns: &[Option<Vec<u64>>; 2]) -> [judge::Pending; 2] {
        let percentiles = |percent| {
            values_ns.each_ref().map(|values| Some(stats::percentile(values.as_ref()?, percent)? as f64))
        };
        // What requests waited for a CPU is not held against itself.
        let is_host = family == Family::Host;
        let at = |percent| move |ns: &[u64]| stats::percentile(ns, percent).unwrap_or_default() as f64;
        let undecided = match values_ns {
            [Some(base), Some(new)] if self.has_both() => {
                let least = [base, new].iter().zip(self.mean_walls_ns()).all(|(values, wall_ns)| {
                    (stats::sum(values.iter().copied()) as f64) < LEAST_SHARE * wall_ns * values.len() as f64
                });
                if least { Err(Verdict::Negligible) } else { Ok((base, new)) }
            }
            [Some(_), Some(_)] => Err(self.untestable()),
            _ if self.sides.presence != Presence::Both => Err(Verdict::OneSided),
            _ => Err(Verdict::Unknown),
        };
        [0, 1].map(|index| {
            let percent = PERCENTS[index];
            match undecided {
                Err(verdict) => {
                    let [base_ns, new_ns] = percentiles(percent);
                    judge::Pending::Decided(Comparison::without(verdict, base_ns, new_ns))
                }
                Ok((base, new)) => {
                    let test = Test {
                        change: statistics::quantile(base, new, percent, self.blocks.each_ref()),
                        least_p_value: self.least_p_values[index],
                        wall_ns: at(percent)(&self.base_walls_ns),
                        queued_ns: if is_host { 0.0 } else { self.queued_ns(at(percent)) },
                    };
                    self.judge.add(family, test)
                }
            }
        })
    }

    /// All functions that take enough time, by name.
    fn functions(&mut self) -> Vec<PendingFunction> {
        let [mut base, mut new] = self.sides.requests.each_ref().map(Requests::functions);
        let keys: BTreeSet<FunctionKey> = base.keys().chain(new.keys()).cloned().collect();
        let functions = keys.into_iter().filter_map(|key| {
            let sides = [
                base.remove(&key).unwrap_or_else(|| self.sides.requests[0].without_samples()),
                new.remove(&key).unwrap_or_else(|| self.sides.requests[1].without_samples()),
            ];
            if self.is_negligible(&sides, |side| &side.total) {
                return None;
            }
            let own = self.mean(Family::Parts, &sides, |side| &side.own);
            let total = self.mean(Family::Totals, &sides, |side| &side.total);
            Some(PendingFunction { key, sides, own, total })
        });
        functions.collect()
    }

    fn mean(&mut self, family: Family, sides: &[Sampled; 2], of: fn(&Sampled) -> &Times) -> judge::Pending {
        let samples = sides.iter().map(|side| side.samples).max().unwrap_or_default();
        let requests = self.sides.requests.iter().map(Requests::len).min().unwrap_or_default();
        let verdict = if !self.has_both() {
            self.untestable()
        } else if self.is_negligible(sides, of) {
            Verdict::Negligible
        } else if !self.is_known(sides, of) {
            Verdict::Unknown
        } else {
            let [base, new] = sides.each_ref().map(|side| of(side).ns.as_slice());
            let change = statistics::mean(base, new, self.blocks.each_ref(), self.sides.sample_ns as f64);
            let is_enough = samples >= LEAST_SAMPLES && requests >= LEAST_REQUESTS;
            let least_p_value = if is_enough { 0.0 } else { 1.0 };
            let wall_ns = mean_ns(&self.base_walls_ns);
            let queued_ns = self.queued_ns(mean_ns);
            return self.judge.add(family, Test { change, least_p_value, wall_ns, queued_ns });
        };
        let [base_ns, new_ns] = sides.each_ref().map(|side| of(side).mean_ns());
        judge::Pending::Decided(Comparison::without(verdict, base_ns, new_ns))
    }

    /// Whether what may be missing is negligible.
    fn is_known(&self, sides: &[Sampled; 2], of: fn(&Sampled) -> &Times) -> bool {
        let means_ns = sides.each_ref().map(|side| of(side).unlisted_ns / of(side).ns.len().max(1) as f64);
        means_ns
            .into_iter()
            .zip(self.mean_walls_ns())
            .all(|(mean_ns, wall_ns)| mean_ns <= LEAST_SHARE * wall_ns)
    }

    fn is_negligible(&self, sides: &[Sampled; 2], of: fn(&Sampled) -> &Times) -> bool {
        let means_ns = sides.each_ref().map(|side| of(side).mean_ns().unwrap_or_default());
        means_ns
            .into_iter()
            .zip(self.mean_walls_ns())
            .all(|(mean_ns, wall_ns)| mean_ns <= LEAST_SHARE * wall_ns)
    }

    fn mean_walls_ns(&self) -> [f64; 2] {
        self.walls_ns.each_ref().map(|walls_ns| mean_ns(walls_ns))
    }

    /// How much longer requests waited for a CPU, as far as that is known.
    fn queued_ns(&self, statistic: impl Fn(&[u64]) -> f64) -> f64 {
        let sides_ns =
            self.sides.requests.each_ref().map(|requests| requests.bucket_ns(Bucket::WaitRunqueue));
        let [Some(base_ns), Some(new_ns)] = sides_ns else { return 0.0 };
        statistic(&new_ns) - statistic(&base_ns)
    }

    fn has_both(&self) -> bool {
        self.sides.requests.iter().all(|requests| !requests.is_empty())
    }

    /// Why there is nothing to test where a side has no requests.
    fn untestable(&self) -> Verdict {
        if self.sides.presence == Presence::Both { Verdict::TooFew } else { Verdict::OneSided }
    }
}

fn mean_ns(values_ns: &[u64]) -> f64 {
    stats::sum(values_ns.iter().copied()) as f64 / values_ns.len().max(1) as f64
}
