//! One call: drawn, and in words.

use super::{
    format,
    paint::{CALL, Glyph, Paint, glyph},
    wrap,
};
use crate::report::{
    bucket::Bucket,
    stats,
    types::{Call, End},
};

/// First content that comes as soon after the first byte is not told of its own.
const CONTENT_NS: u64 = 1_000_000;

/// A shorter round trip is not told of.
const ROUND_TRIP_NS: u64 = 1_000_000;

/// A gap between reads that is longer by less is not told of its own.
const READ_GAP_NS: u64 = 1_000_000;

/// Columns before the words of a call, where its number stands.
const INDENT: usize = 5;

/// To whom, for what and how it went; then its phases, each with the glyph it is drawn with.
pub fn render(call: &Call, number: usize, width: usize, paint: Paint) -> String {
    let words = wrap::facts(&words(call), &format!("{number:>4} "), INDENT, width);
    words + &wrap::items(&phases(call, paint), INDENT, width)
}

/// What a call is drawn as: its phases, and what lies between and after them.
pub fn pieces(call: &Call) -> Vec<(u64, u64, Glyph)> {
    let mut phases = call.phases.clone();
    phases.sort_by_key(|phase| phase.start_ns);
    let end_ns = call.start_ns.saturating_add(call.wall_ns);
    let mut at_ns = call.start_ns;
    let mut pieces = Vec::new();
    for phase in phases {
        if phase.start_ns > at_ns {
            pieces.push((at_ns, phase.start_ns, CALL));
        }
        pieces.push((phase.start_ns.max(at_ns), phase.end_ns, glyph(phase.bucket)));
        at_ns = at_ns.max(phase.end_ns);
    }
    if at_ns < end_ns || pieces.is_empty() {
        pieces.push((at_ns, end_ns, CALL));
    }
    pieces
}

/// The name of the other side.
pub fn peer(call: &Call) -> &str {
    call.host.as_deref().or(call.vendor.as_deref()).unwrap_or("?")
}

fn words(call: &Call) -> Vec<String> {
    let mut words = vec![match call.port {
        Some(port) => format!("{}:{port}", peer(call)),
        None => peer(call).to_owned(),
    }];
    words.extend([&call.vendor, &call.operation, &call.model].into_iter().flatten().cloned());
    words.extend(call.status.map(|status| format!("status {status}")));
    if call.attempt > 1 {
        words.push(format!("attempt {}", call.attempt));
    }
    words.extend(match call.end {
        Some(End::Failed) if call.status.is_none_or(|status| status < 400) => {
            Some("failed in its answer".to_owned())
        }
        Some(End::Cut) => Some("cut by the other side".to_owned()),
        Some(End::GivenUp) => Some("given up".to_owned()),
        _ => None,
    });
    let retry_after_ns = call.rate_limit.as_ref().and_then(|limit| limit.retry_after_ns);
    words.extend(retry_after_ns.map(|ns| format!("to be made again after {}", format::duration(ns))));
    let caller = call.stack.iter().find(|caller| caller.application);
    words.extend(caller.map(|caller| format!("by {}", caller.label())));
    words.push(if call.connection_reused { "kept connection" } else { "new connection" }.to_owned());
    words.iter().map(|word| format::printable(word)).collect()
}

/// Every phase, those of opening the connection only where it was opened; `–` where there was none. Then the
/// time between and after them, in which it was the application that kept the call waiting.
fn phases(call: &Call, paint: Paint) -> Vec<(String, usize)> {
    let opening = [
        ("dns", call.dns_ns, Bucket::LlmDns),
        ("connect", call.connect_ns, Bucket::LlmConnect),
        ("tls", call.tls_ns, Bucket::LlmTls),
    ];
    let exchange = [
        ("send", call.send_ns, Bucket::LlmSend),
        ("first byte", call.first_byte_ns, Bucket::LlmFirstByte),
        ("stream", call.stream_ns, Bucket::LlmStream),
    ];
    let opening = opening.into_iter().filter(|(_, ns, _)| !call.connection_reused || ns.is_some());
    let mut items: Vec<(String, usize)> = opening
        .chain(exchange)
        .map(|(name, ns, bucket)| {
            let ns = ns.map_or_else(|| "–".to_owned(), format::duration);
            paint.keyed(glyph(bucket), &format!("{name} {ns}"))
        })
        .collect();
    let own_ns =
        stats::sum(pieces(call).iter().filter(|piece| piece.2 == CALL).map(|piece| piece.1 - piece.0));
    if own_ns > 0 {
        items.push(paint.keyed(CALL, &format!("own {}", format::duration(own_ns))));
    }
    let plain = |text: String| (text.clone(), text.chars().count());
    if call.chunks > 1 {
        items.push(plain(chunks(call)));
    }
    items.extend(tokens(call).map(plain));
    let content_ns =
        call.first_content_ns.filter(|ns| ns.abs_diff(call.first_byte_ns.unwrap_or(0)) > CONTENT_NS);
    items.extend(content_ns.map(|ns| plain(format!("first content {}", format::duration(ns)))));
    let rtt = call.rtt_ns.zip(call.first_byte_ns).filter(|(rtt_ns, _)| *rtt_ns >= ROUND_TRIP_NS);
    items.extend(rtt.map(|(rtt_ns, first_byte_ns)| {
        let vendor_ns = first_byte_ns.saturating_sub(rtt_ns);
        let (rtt, vendor) = (format::duration(rtt_ns), format::duration(vendor_ns));
        plain(format!("round trip {rtt}, vendor {vendor}"))
    }));
    items.extend(
        call.vendor_reported_ns.map(|ns| plain(format!("{} by its own account", format::duration(ns)))),
    );
    let late_ns = call.read_delay_ns.filter(|ns| *ns > 0);
    items.extend(late_ns.map(|ns| plain(format!("read late by {}", format::duration(ns)))));
    items
}

/// How many, and the longest time between two: as they arrived, and as they were read where that is longer.
fn chunks(call: &Call) -> String {
    let count = format::plural(u64::from(call.chunks), "chunk");
    let Some(gap_ns) = call.longest_gap_ns.filter(|ns| *ns > 0) else { return count };
    let read_ns = call.longest_read_gap_ns.filter(|ns| *ns > gap_ns.saturating_add(READ_GAP_NS));
    let read = read_ns.map_or_else(String::new, |ns| format!(", read with one of {}", format::duration(ns)));
    format!("{count}, longest gap {}{read}", format::duration(gap_ns))
}

/// What went in and came out, and how fast.
fn tokens(call: &Call) -> Option<String> {
    let (input, output) = (call.input_tokens.map(format::count), call.output_tokens.map(format::count));
    let counts = match (input, output) {
        (Some(input), Some(output)) => format!("{input} tokens in, {output} out"),
        (Some(input), None) => format!("{input} tokens in"),
        (None, Some(output)) => format!("{output} tokens out"),
        (None, None) => return None,
    };
    let speed = call.tokens_per_second().map(|speed| format!(" ({speed:.0} a second)"));
    Some(counts + &speed.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::types::Segment;

    #[test]
    fn chunks_tell_their_rhythm() {
        let call = |gap_ns, read_ns| Call {
            chunks: 20,
            longest_gap_ns: Some(gap_ns),
            longest_read_gap_ns: Some(read_ns),
            ..Call::default()
        };
        assert_eq!(chunks(&call(0, 0)), "20 chunks");
        assert_eq!(chunks(&call(42_000_000, 42_500_000)), "20 chunks, longest gap 42.0 ms");
        let late = chunks(&call(42_000_000, 90_000_000));
        assert_eq!(late, "20 chunks, longest gap 42.0 ms, read with one of 90.0 ms");
    }

    #[test]
    fn gaps_between_phases_are_the_calls_own() {
        let phase = |start_ns, end_ns, bucket| Segment { start_ns, end_ns, bucket };
        let phases = vec![phase(10, 20, Bucket::LlmDns), phase(50, 60, Bucket::LlmConnect)];
        let call = Call { start_ns: 10, wall_ns: 80, phases, ..Call::default() };
        let drawn: Vec<(u64, u64, char)> =
            pieces(&call).into_iter().map(|(from, to, glyph)| (from, to, glyph.character)).collect();
        assert_eq!(drawn, [(10, 20, 'd'), (20, 50, '·'), (50, 60, 'c'), (60, 90, '·')]);
        assert_eq!(pieces(&Call::default()), [(0, 0, CALL)]);
    }
}
