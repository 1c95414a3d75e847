//! One request over time: where its wall time went, its contexts, and its calls under the context that made
//! them.

use super::{
    chart::Chart,
    format,
    paint::{CALL, Glyph, Paint, STEP, UNKNOWN, glyph},
    wrap,
};
use crate::report::{
    bucket::Bucket,
    group, stats,
    types::{Call, Request, Step},
};

/// Columns of a duration, with the space before it.
const DURATION: usize = 9;

/// Lanes that are drawn: of more contexts or calls, only the number is given.
const CONTEXTS: usize = 12;
const CALLS: usize = 12;

/// Functions that are listed.
const FUNCTIONS: usize = 5;

pub fn render(request: &Request, width: usize, paint: Paint) -> String {
    let gutter = (width / 4).clamp(20, 36);
    let chart = Chart { span_ns: request.wall_ns, cells: width.saturating_sub(gutter + 1 + DURATION) };
    let lanes = Lanes { chart, gutter, paint };
    let mut text = heading(request, width, paint);
    let (labels, ticks) = chart.axis();
    text.push_str(&lanes.line("", &labels, None));
    text.push_str(&lanes.line("", &ticks, None));
    let pieces = request.timeline.iter().map(|piece| (piece.start_ns, piece.end_ns, glyph(piece.bucket)));
    text.push_str(&lanes.row("where it went", pieces, Some(request.wall_ns)));
    text.push_str(&lanes.contexts(request));
    text.push_str(&legend(request, width, paint));
    for (index, call) in request.calls.iter().take(CALLS).enumerate() {
        text.push_str(&wrap::facts(&details(call), &format!("{:>4} ", index + 1), 5, width));
    }
    text.push_str(&functions(request, width));
    text
}

/// Draws rows with a label to the left and a duration to the right.
struct Lanes {
    chart: Chart,
    gutter: usize,
    paint: Paint,
}

impl Lanes {
    fn contexts(&self, request: &Request) -> String {
        let mut numbers: Vec<u32> = request.steps.iter().map(|step| step.context).collect();
        numbers.extend(request.calls.iter().map(|call| call.context));
        numbers.sort_unstable();
        numbers.dedup();
        let all = numbers.len();
        // Those that make the calls that are listed come first, so that no such call lacks its lane.
        let listed = || request.calls.iter().take(CALLS);
        numbers.sort_by_key(|number| !listed().any(|call| call.context == *number));
        numbers.truncate(CONTEXTS);
        numbers.sort_unstable();
        let mut text = String::new();
        for context in &numbers {
            text.push_str(&self.context(request, *context));
        }
        if all > numbers.len() {
            let more = format::plural((all - numbers.len()) as u64, "context");
            text.push_str(&format!("… and {more} more\n"));
        }
        if request.calls.len() > CALLS {
            let more = format::plural((request.calls.len() - CALLS) as u64, "call");
            text.push_str(&format!(
                "… and {more} more: tracer report --format json --request {}\n",
                request.id
            ));
        }
        text
    }

    /// A context's steps, and under them its calls, numbered as they are listed below the drawing.
    fn context(&self, request: &Request, context: u32) -> String {
        let steps: Vec<&Step> = request.steps.iter().filter(|step| step.context == context).collect();
        let ran_ns = stats::sum(steps.iter().map(|step| step.end_ns.saturating_sub(step.start_ns)));
        let mut threads: Vec<u32> = steps.iter().map(|step| step.tid).collect();
        threads.sort_unstable();
        threads.dedup();
        let label = match threads.as_slice() {
            [] => format!("context {context}"),
            [tid] => format!("context {context} in {tid}"),
            tids => format!("context {context} in {} threads", tids.len()),
        };
        let pieces = steps.iter().map(|step| (step.start_ns, step.end_ns, STEP));
        let mut text = self.row(&label, pieces, (!steps.is_empty()).then_some(ran_ns));
        for (index, call) in request.calls.iter().take(CALLS).enumerate() {
            if call.context == context {
                let label = format!("{:>4} {}", index + 1, format::printable(peer(call)));
                text.push_str(&self.row(&label, drawn(call), Some(call.wall_ns)));
            }
        }
        text
    }

    fn row(
        &self,
        label: &str,
        pieces: impl IntoIterator<Item = (u64, u64, Glyph)>,
        ns: Option<u64>,
    ) -> String {
        self.line(label, &self.paint.cells(&self.chart.row(pieces)), ns)
    }

    /// `cells` may hold escapes, so it is not padded here; only a line with a duration needs its full length.
    fn line(&self, label: &str, cells: &str, ns: Option<u64>) -> String {
        let label = format::fit(label, self.gutter);
        let duration = ns.map_or_else(String::new, |ns| format!("{:>DURATION$}", format::duration(ns)));
        let line = format!("{label:width$} {cells}{duration}", width = self.gutter);
        format!("{}\n", line.trim_end())
    }
}

/// The phases of a call in their order, each with the bucket whose glyph it is drawn with.
fn phases(call: &Call) -> [(&'static str, Option<u64>, Bucket); 6] {
    [
        ("dns", call.dns_ns, Bucket::LlmDns),
        ("connect", call.connect_ns, Bucket::LlmConnect),
        ("tls", call.tls_ns, Bucket::LlmTls),
        ("send", call.send_ns, Bucket::LlmSend),
        ("first byte", call.first_byte_ns, Bucket::LlmFirstByte),
        ("stream", call.stream_ns, Bucket::LlmStream),
    ]
}

/// The phases of a call one after the other, then what is left of it.
fn drawn(call: &Call) -> Vec<(u64, u64, Glyph)> {
    let end_ns = call.start_ns.saturating_add(call.wall_ns);
    let mut at_ns = call.start_ns;
    let mut pieces = Vec::new();
    for (_, ns, bucket) in phases(call) {
        let phase_end_ns = at_ns.saturating_add(ns.unwrap_or_default()).min(end_ns);
        if phase_end_ns > at_ns {
            pieces.push((at_ns, phase_end_ns, glyph(bucket)));
        }
        at_ns = phase_end_ns;
    }
    if at_ns < end_ns || pieces.is_empty() {
        pieces.push((at_ns, end_ns, CALL));
    }
    pieces
}

fn heading(request: &Request, width: usize, paint: Paint) -> String {
    let name = match (&request.method, &request.path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        _ => group::label(request),
    };
    let mut facts = vec![format::printable(&name)];
    facts.extend(request.status.map(|status| format!("status {status}")));
    facts.push(format::duration(request.wall_ns));
    facts.extend(request.first_byte_ns.map(|ns| format!("first byte after {}", format::duration(ns))));
    facts.push(format!("CPU {}", format::duration(request.cpu_ns)));
    facts.push(format!("process {}", request.pid));
    facts.push(format!("request {}", format::printable(&request.id)));
    let mut text = paint.title(&wrap::facts(&facts, "", 2, width));
    if !request.complete {
        let doubt = "incomplete: events of it were lost, or its beginning or end was not seen";
        text.push_str(&paint.warning(&wrap::words(doubt, "  ", 2, width)));
    }
    text
}

/// What each glyph of the bar means, with the time it stands for, the largest first.
fn legend(request: &Request, width: usize, paint: Paint) -> String {
    let mut buckets: Vec<(Bucket, Option<u64>)> =
        request.buckets.iter().filter(|(_, ns)| *ns != Some(0)).collect();
    buckets.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let items: Vec<(String, usize)> = buckets
        .into_iter()
        .map(|(bucket, ns)| match ns {
            Some(ns) => paint.keyed(glyph(bucket), &format!("{} {}", bucket.name(), format::duration(ns))),
            None => paint.keyed(UNKNOWN, bucket.name()),
        })
        .collect();
    if items.is_empty() { String::new() } else { wrap::items(&items, 2, width) }
}

/// A call in words: to whom, for what, how it went, and its phases.
fn details(call: &Call) -> Vec<String> {
    let mut facts = vec![match call.port {
        Some(port) => format!("{}:{port}", peer(call)),
        None => peer(call).to_owned(),
    }];
    facts.extend([&call.vendor, &call.operation, &call.model].into_iter().flatten().cloned());
    facts.extend(call.status.map(|status| format!("status {status}")));
    if call.attempt > 1 {
        facts.push(format!("attempt {}", call.attempt));
    }
    facts.push(if call.connection_reused { "kept connection" } else { "new connection" }.to_owned());
    for (name, ns, bucket) in phases(call) {
        if let Some(ns) = ns.filter(|ns| *ns > 0) {
            facts.push(format!("{} {name} {}", glyph(bucket).character, format::duration(ns)));
        }
    }
    let late_ns = call.read_delay_ns.filter(|ns| *ns > 0);
    facts.extend(late_ns.map(|ns| format!("read late by {}", format::duration(ns))));
    if call.chunks > 1 {
        facts.push(format::plural(u64::from(call.chunks), "chunk"));
    }
    facts.iter().map(|fact| format::printable(fact)).collect()
}

fn peer(call: &Call) -> &str {
    call.host.as_deref().or(call.vendor.as_deref()).unwrap_or("?")
}

fn functions(request: &Request, width: usize) -> String {
    let mut functions: Vec<_> = request.functions.iter().collect();
    functions.sort_by_key(|function| std::cmp::Reverse(function.self_ns));
    let lines = functions.into_iter().take(FUNCTIONS).map(|function| {
        let line = format!(
            "{} {} ({}:{})",
            format::duration(function.self_ns),
            function.function,
            function.file,
            function.line
        );
        wrap::words(&format::printable(&line), "  cpu ", 6, width)
    });
    lines.collect()
}
