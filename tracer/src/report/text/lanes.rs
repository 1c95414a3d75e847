//! Rows over a common span of time: what a request's contexts and calls did when.

use std::collections::BTreeMap;

use super::{
    calls,
    chart::Chart,
    format,
    paint::{Glyph, Paint, STEP},
};
use crate::report::types::{Request, Step};

/// Columns of a duration, with the space before it.
const DURATION: usize = 9;

/// Lanes of contexts; a request of asyncio has a hundred contexts, most with one callback each.
const LANES: usize = 6;

/// Calls that are drawn, and listed below.
pub const CALLS: usize = 6;

/// A context that ran for less of its request's time has no lane of its own, unless it made a call.
const LEAST_SHARE: f64 = 0.01;

/// Draws rows with a label to the left and a duration to the right.
pub struct Lanes {
    chart: Chart,
    gutter: usize,
    paint: Paint,
}

impl Lanes {
    /// Rows of `width` columns for a span of time.
    pub fn new(span_ns: u64, width: usize, paint: Paint) -> Self {
        let gutter = (width * 3 / 10).clamp(24, 36);
        let chart = Chart { span_ns, cells: width.saturating_sub(gutter + 1 + DURATION) };
        Lanes { chart, gutter, paint }
    }

    /// The scale, in two lines.
    pub fn axis(&self) -> String {
        let (labels, ticks) = self.chart.axis();
        self.line("", &labels, None) + &self.line("", &ticks, None)
    }

    /// Contexts that made calls or ran for long, each with its calls below it, and one lane for all others.
    pub fn contexts(&self, request: &Request) -> String {
        let (shown, rest) = choose(request, lanes(request));
        let mut text = String::new();
        for lane in &shown {
            text.push_str(&self.steps(&label(request, lane), &lane.steps));
            text.push_str(&self.calls(request, lane));
        }
        if !rest.is_empty() {
            let contexts = rest.iter().map(|lane| lane.contexts.len() as u64).sum();
            let noun = if shown.is_empty() { "context" } else { "more context" };
            let steps: Vec<&Step> = rest.into_iter().flat_map(|lane| lane.steps).collect();
            text.push_str(&self.steps(&format::plural(contexts, noun), &steps));
        }
        if request.calls.len() > CALLS {
            let more = format::plural((request.calls.len() - CALLS) as u64, "more call");
            text.push_str(&format!("{more}: --format json --request {}\n", format::printable(&request.id)));
        }
        text
    }

    /// A row of pieces `(start_ns, end_ns, glyph)`.
    pub fn row(
        &self,
        label: &str,
        pieces: impl IntoIterator<Item = (u64, u64, Glyph)>,
        ns: Option<u64>,
    ) -> String {
        self.line(label, &self.paint.cells(&self.chart.row(pieces)), ns)
    }

    fn steps(&self, label: &str, steps: &[&Step]) -> String {
        let pieces = steps.iter().map(|step| (step.start_ns, step.end_ns, STEP));
        self.row(label, pieces, (!steps.is_empty()).then(|| ran_ns(steps)))
    }

    /// The calls of a lane, numbered as they are listed.
    fn calls(&self, request: &Request, lane: &Lane) -> String {
        let calls = request.calls.iter().take(CALLS).enumerate();
        let calls = calls.filter(|(_, call)| lane.contexts.contains(&call.context));
        calls
            .map(|(index, call)| {
                let label = format!("{:>4} {}", index + 1, format::printable(calls::peer(call)));
                self.row(&label, calls::pieces(call), Some(call.wall_ns))
            })
            .collect()
    }

    /// `cells` may hold escapes, so it is not padded here; only a line with a duration needs its full length.
    fn line(&self, label: &str, cells: &str, ns: Option<u64>) -> String {
        let label = format::fit(label, self.gutter);
        let duration = ns.map_or_else(String::new, |ns| format!("{:>DURATION$}", format::duration(ns)));
        let line = format!("{label:width$} {cells}{duration}", width = self.gutter);
        format!("{}\n", line.trim_end())
    }
}

/// What is drawn in one row.
#[derive(Default)]
struct Lane<'a> {
    contexts: Vec<u32>,
    steps: Vec<&'a Step>,
}

/// A lane for each context, in order; but contexts without calls share the lane of the pool thread they ran in.
fn lanes(request: &Request) -> Vec<Lane<'_>> {
    let mut contexts = BTreeMap::<u32, Vec<&Step>>::new();
    for step in &request.steps {
        contexts.entry(step.context).or_default().push(step);
    }
    for call in &request.calls {
        contexts.entry(call.context).or_default();
    }
    let mut lanes = Vec::<Lane>::new();
    let mut of_thread = BTreeMap::<u32, usize>::new();
    for (context, steps) in contexts {
        let makes_call = request.calls.iter().any(|call| call.context == context);
        let pool = only_thread(&steps).filter(|tid| *tid != request.pid && !makes_call);
        let index = pool.map_or(lanes.len(), |tid| *of_thread.entry(tid).or_insert(lanes.len()));
        if index == lanes.len() {
            lanes.push(Lane::default());
        }
        if let Some(lane) = lanes.get_mut(index) {
            lane.contexts.push(context);
            lane.steps.extend(steps);
        }
    }
    lanes
}

/// The lanes to draw, and the others. Who makes a call that is listed comes first, so that no such call lacks
/// its lane; then those that ran longest.
fn choose<'a>(request: &Request, lanes: Vec<Lane<'a>>) -> (Vec<Lane<'a>>, Vec<Lane<'a>>) {
    let least_ns = LEAST_SHARE * request.wall_ns as f64;
    let listed = || request.calls.iter().take(CALLS);
    let mut ranked: Vec<(bool, u64, usize)> = lanes
        .iter()
        .enumerate()
        .map(|(index, lane)| {
            let makes_call = listed().any(|call| lane.contexts.contains(&call.context));
            (makes_call, ran_ns(&lane.steps), index)
        })
        .filter(|(makes_call, ran_ns, _)| *makes_call || *ran_ns as f64 >= least_ns)
        .collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.truncate(LANES);
    let (shown, rest): (Vec<_>, Vec<_>) =
        lanes.into_iter().enumerate().partition(|(index, _)| ranked.iter().any(|(_, _, of)| of == index));
    let plain = |lanes: Vec<(usize, Lane<'a>)>| lanes.into_iter().map(|(_, lane)| lane).collect();
    (plain(shown), plain(rest))
}

/// `context 1, main thread`, or for several contexts of a pool thread `thread 4712`.
fn label(request: &Request, lane: &Lane) -> String {
    let thread = only_thread(&lane.steps);
    match (lane.contexts.as_slice(), thread) {
        ([context], Some(tid)) if tid == request.pid => format!("context {context}, main thread"),
        ([context], Some(tid)) => format!("context {context}, thread {tid}"),
        ([context], None) if lane.steps.is_empty() => format!("context {context}"),
        ([context], None) => format!("context {context}, several threads"),
        (_, Some(tid)) => format!("thread {tid}"),
        (contexts, None) => format::plural(contexts.len() as u64, "context"),
    }
}

/// The thread that ran all the steps.
fn only_thread(steps: &[&Step]) -> Option<u32> {
    let tid = steps.first()?.tid;
    steps.iter().all(|step| step.tid == tid).then_some(tid)
}

/// How long the steps took; those of one thread may lie within each other.
fn ran_ns(steps: &[&Step]) -> u64 {
    let mut spans: Vec<(u32, u64, u64)> =
        steps.iter().map(|step| (step.tid, step.start_ns, step.end_ns)).collect();
    spans.sort_unstable();
    let mut sum_ns = 0u64;
    let mut last = (0, 0);
    for (tid, start_ns, end_ns) in spans {
        let from_ns = if tid == last.0 { start_ns.max(last.1) } else { start_ns };
        sum_ns = sum_ns.saturating_add(end_ns.saturating_sub(from_ns));
        last = (tid, if tid == last.0 { end_ns.max(last.1) } else { end_ns });
    }
    sum_ns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::types::Call;

    fn request(steps: Vec<Step>, calls: &[u32]) -> Request {
        let calls = calls.iter().map(|context| Call { context: *context, ..Call::default() });
        Request {
            pid: 1,
            wall_ns: 1_000,
            calls: calls.collect(),
            steps,
            ..crate::finding::cases::request("/", 0, &[])
        }
    }

    #[test]
    fn short_contexts_and_those_of_a_pool_thread_share_lanes() {
        let step = |context, tid, ns| Step { start_ns: 0, end_ns: ns, context, tid, function: None };
        let steps =
            vec![step(0, 1, 2), step(1, 1, 50), step(2, 7, 40), step(3, 7, 30), step(4, 1, 3), step(5, 8, 1)];
        let request = request(steps, &[4]);
        let (shown, rest) = choose(&request, lanes(&request));
        let labels: Vec<String> = shown.iter().map(|lane| label(&request, lane)).collect();
        assert_eq!(labels, ["context 1, main thread", "thread 7", "context 4, main thread"]);
        assert_eq!(rest.iter().map(|lane| lane.contexts.len()).sum::<usize>(), 2);
    }

    #[test]
    fn steps_within_each_other_count_once() {
        let step = |start_ns, end_ns, tid| Step { start_ns, end_ns, context: 0, tid, function: None };
        let steps = [step(0, 100, 1), step(20, 40, 1), step(90, 110, 1), step(0, 5, 2)];
        assert_eq!(ran_ns(&steps.iter().collect::<Vec<_>>()), 115);
    }
}
