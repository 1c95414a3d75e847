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

/// Contexts with a lane of their own; a request of asyncio has a hundred, most with one callback each.
const CONTEXTS: usize = 6;

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
        let mut steps = BTreeMap::<u32, Vec<&Step>>::new();
        for step in &request.steps {
            steps.entry(step.context).or_default().push(step);
        }
        for call in &request.calls {
            steps.entry(call.context).or_default();
        }
        let (shown, rest) = choose(request, steps);
        let mut text = String::new();
        for (context, steps) in &shown {
            let label = format!("context {context}{}", threads(request, steps));
            text.push_str(&self.steps(&label, steps));
            text.push_str(&self.calls(request, *context));
        }
        if !rest.is_empty() {
            let more = if shown.is_empty() { "" } else { "more " };
            let label = format::plural(rest.len() as u64, &format!("{more}context"));
            let steps: Vec<&Step> = rest.into_values().flatten().collect();
            text.push_str(&self.steps(&label, &steps));
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

    /// The calls of a context, numbered as they are listed.
    fn calls(&self, request: &Request, context: u32) -> String {
        let calls = request.calls.iter().take(CALLS).enumerate().filter(|(_, call)| call.context == context);
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

type Contexts<'a> = BTreeMap<u32, Vec<&'a Step>>;

/// The contexts with a lane of their own, and the others. Who makes a call that is listed comes first, so that
/// no such call lacks its lane; then those that ran longest.
fn choose<'a>(request: &Request, contexts: Contexts<'a>) -> (Contexts<'a>, Contexts<'a>) {
    let least_ns = LEAST_SHARE * request.wall_ns as f64;
    let makes_call = |context| request.calls.iter().take(CALLS).any(|call| call.context == context);
    let mut ranked: Vec<(bool, u64, u32)> = contexts
        .iter()
        .map(|(context, steps)| (makes_call(*context), ran_ns(steps), *context))
        .filter(|(calls, ran_ns, _)| *calls || *ran_ns as f64 >= least_ns)
        .collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.truncate(CONTEXTS);
    contexts.into_iter().partition(|(context, _)| ranked.iter().any(|(_, _, ranked)| ranked == context))
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

/// Where a context ran: `, main thread`, `, thread 4712`, `, 3 threads`.
fn threads(request: &Request, steps: &[&Step]) -> String {
    let mut tids: Vec<u32> = steps.iter().map(|step| step.tid).collect();
    tids.sort_unstable();
    tids.dedup();
    match tids.as_slice() {
        [] => String::new(),
        [tid] if *tid == request.pid => ", main thread".to_owned(),
        [tid] => format!(", thread {tid}"),
        tids => format!(", {} threads", tids.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_within_each_other_count_once() {
        let step = |start_ns, end_ns, tid| Step { start_ns, end_ns, context: 0, tid };
        let steps = [step(0, 100, 1), step(20, 40, 1), step(90, 110, 1), step(0, 5, 2)];
        assert_eq!(ran_ns(&steps.iter().collect::<Vec<_>>()), 115);
    }
}
