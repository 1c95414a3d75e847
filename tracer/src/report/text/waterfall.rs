//! One request over time: where its wall time went, its contexts with the calls they made, and each call in
//! words.

use super::{
    calls, format,
    lanes::{self, Lanes},
    paint::{Paint, UNKNOWN, glyph},
    wrap,
};
use crate::event::is_of_application;
use crate::report::{
    bucket::Bucket,
    group,
    types::{Buckets, Function, Process, Request},
};

/// Digits of a container's id that tell it from others; so docker and crictl print it.
const SHORT_ID: usize = 12;

/// Functions that are listed.
const FUNCTIONS: usize = 5;

/// Waits that are printed of a request, the longest.
const WAITS: usize = 3;

/// Imports that are printed of a request, the longest.
const IMPORTS: usize = 3;

/// Steps of others that are listed, those that kept the event loop longest.
const DELAYS: usize = 3;

/// Buckets below this share of the request's time are left out of the legend.
const LEAST_SHARE: f64 = 0.001;

pub fn render(request: &Request, process: Option<&Process>, width: usize, paint: Paint) -> String {
    let lanes = Lanes::new(request.wall_ns, width, paint);
    let mut text = heading(request, process, width, paint);
    text.push_str(&lanes.axis());
    let pieces = request.timeline.iter().map(|piece| (piece.start_ns, piece.end_ns, glyph(piece.bucket)));
    text.push_str(&lanes.row("where it went", pieces, Some(request.wall_ns)));
    text.push_str(&legend(&request.buckets, request.wall_ns, width, paint));
    text.push_str(&delays(request, width));
    text.push_str(&lanes.contexts(request));
    for (index, call) in request.calls.iter().take(lanes::CALLS).enumerate() {
        text.push_str(&calls::render(call, index + 1, width, paint));
    }
    text.push_str(&background(request, width, paint));
    text.push_str(&functions(request, width));
    text.push_str(&waits(request, width));
    text.push_str(&imports(request, width));
    text
}

fn heading(request: &Request, process: Option<&Process>, width: usize, paint: Paint) -> String {
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
    facts.extend(process.and_then(place).map(|place| format::printable(&place)));
    facts.push(format!("request {}", format::printable(&request.id)));
    let mut text = paint.title(&wrap::facts(&facts, "", 2, width));
    if !request.complete {
        let doubt = "incomplete: events of it were lost, or its beginning or end was not seen";
        text.push_str(&paint.warning(&wrap::words(doubt, "  ", 2, width)));
    }
    text
}

/// The container that a process runs in.
fn place(process: &Process) -> Option<String> {
    match (&process.pod, &process.container_id) {
        (Some(pod), _) => Some(format!("pod {}/{}, container {}", pod.namespace, pod.name, pod.container)),
        (None, Some(id)) => Some(format!("container {}", id.get(..SHORT_ID).unwrap_or(id))),
        (None, None) => None,
    }
}

/// What each glyph of the bar means, with the time it stands for, the largest first, then what could not be
/// seen.
fn legend(buckets: &Buckets, wall_ns: u64, width: usize, paint: Paint) -> String {
    let least_ns = LEAST_SHARE * wall_ns as f64;
    let mut seen: Vec<(Bucket, u64)> = buckets
        .iter()
        .filter_map(|(bucket, ns)| Some((bucket, ns?)))
        .filter(|(_, ns)| *ns > 0 && *ns as f64 >= least_ns)
        .collect();
    seen.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let seen = seen.into_iter().map(|(bucket, ns)| {
        paint.keyed(glyph(bucket), &format!("{} {}", bucket.name(), format::duration(ns)))
    });
    let unseen = buckets.iter().filter(|(_, ns)| ns.is_none());
    let unseen = unseen.map(|(bucket, _)| paint.keyed(UNKNOWN, bucket.name()));
    let items: Vec<(String, usize)> = seen.chain(unseen).collect();
    if items.is_empty() { String::new() } else { wrap::items(&items, 2, width) }
}

/// Who kept the event loop.
fn delays(request: &Request, width: usize) -> String {
    let delays = request.delays.iter().take(DELAYS).map(|delay| {
        let ran =
            delay.function.as_ref().map_or_else(String::new, |function| format!(" in {}", function.label()));
        let who =
            format!("{} by {}{ran}, request {}", format::duration(delay.wait_ns), delay.route, delay.request);
        wrap::words(&format::printable(&who), "  kept waiting for ", 6, width)
    });
    delays.collect()
}

/// What went on after the answer, with its calls.
fn background(request: &Request, width: usize, paint: Paint) -> String {
    let Some(background) = &request.background else { return String::new() };
    let facts = [
        format!("after the answer for {}", format::duration(background.wall_ns)),
        format!("CPU {}", format::duration(background.cpu_ns)),
        format::plural(background.calls.len() as u64, "call"),
    ];
    let mut text = wrap::facts(&facts, "", 2, width);
    text.push_str(&legend(&background.buckets, background.wall_ns, width, paint));
    for (index, call) in background.calls.iter().take(lanes::CALLS).enumerate() {
        text.push_str(&calls::render(call, request.calls.len() + index + 1, width, paint));
    }
    text
}

fn functions(request: &Request, width: usize) -> String {
    // One sample may be chance.
    let mut functions: Vec<_> = request.functions.iter().filter(|function| function.samples > 1).collect();
    functions.retain(|function| function.self_ns > 0);
    functions.sort_by_key(|function| std::cmp::Reverse(function.self_ns));
    let lines = functions.into_iter().take(FUNCTIONS).map(|function| {
        let line = format!("{} {}{}", format::duration(function.self_ns), function.label(), native(function));
        wrap::words(&format::printable(&line), "  cpu ", 6, width)
    });
    lines.collect()
}

fn waits(request: &Request, width: usize) -> String {
    let long = request.waits.iter().filter(|wait| wait.wait_ns >= request.wall_ns / 100);
    let lines = long.take(WAITS).filter_map(|wait| {
        // Whose doing it is: what of the application waited, if it is among the innermost.
        let frame = wait.stack.iter().find(|of| is_of_application(&of.file)).or(wait.stack.first())?;
        let times = if wait.times > 1 { format!(", {} times", wait.times) } else { String::new() };
        let line = format!("{} {} {}{times}", wait.bucket, format::duration(wait.wait_ns), frame.label());
        Some(wrap::words(&format::printable(&line), "  ", 6, width))
    });
    lines.collect()
}

/// What it imported that took a hundredth of its time.
fn imports(request: &Request, width: usize) -> String {
    let long = request.imports.iter().filter(|import| import.import_ns >= request.wall_ns / 100);
    let lines = long.take(IMPORTS).map(|import| {
        let line = format!("imports {} {}", import.module, format::duration(import.import_ns));
        wrap::words(&format::printable(&line), "  ", 6, width)
    });
    lines.collect()
}

/// The library that took most of a function's own time, where that is much of it: `, 4.02 ms of it in libssl.so.3`.
fn native(function: &Function) -> String {
    let most = function.native.first().filter(|native| native.self_ns >= function.self_ns / 2);
    most.map_or_else(String::new, |native| {
        format!(", {} of it in {}", format::duration(native.self_ns), native.library)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pod;

    #[test]
    fn a_process_has_its_place() {
        let mut process = Process::default();
        assert_eq!(place(&process), None);
        process.container_id = Some("0123456789abcdef".repeat(4));
        assert_eq!(place(&process).as_deref(), Some("container 0123456789ab"));
        let [namespace, name, container] = ["llm", "chat-0", "app"].map(str::to_owned);
        process.pod = Some(Pod { namespace, name, container, ..Pod::default() });
        assert_eq!(place(&process).as_deref(), Some("pod llm/chat-0, container app"));
    }
}
