//! The spans of a request: its own, those of its calls, and of pieces of its time that are long.

use std::cmp::Reverse;

use opentelemetry_proto::tonic::trace::v1::{
    Span, SpanFlags, Status,
    span::{Event, Link, SpanKind},
    status::StatusCode,
};

use super::{
    attributes::Attributes,
    names::{self, code, gen_ai, http, own},
    place::{CallPlace, Context, Place, span_id},
};
use crate::{
    report::{
        bucket::Bucket,
        group,
        types::{Background, Call, Delay, End, Kind, Request, Segment},
    },
    serve::{
        history::{is_call_error, is_error},
        metrics::METHODS,
        routes,
    },
};

/// Pieces of a request that have spans: the longest.
const PIECES: usize = 64;

/// Of those who kept the event loop: the longest.
const DELAYS: usize = 8;

/// Flag of a W3C trace context: it is sampled.
const SAMPLED: u32 = 1;

/// The spans of a request on `host`. Pieces of its time that are no part of a call have spans from `least_piece_ns` on; `None` for
/// no such spans.
pub fn spans(request: &Request, place: &Place, host: &str, least_piece_ns: Option<u64>) -> Vec<Span> {
    let mut spans = vec![of_request(request, place)];
    let background = request.background.iter().flat_map(|Background { calls, .. }| calls);
    spans.extend(request.calls.iter().map(|call| of_call(request, call, place, host, false)));
    spans.extend(background.map(|call| of_call(request, call, place, host, true)));
    if let Some(least_ns) = least_piece_ns {
        let mut pieces: Vec<&Segment> =
            request.timeline.iter().filter(|piece| is_own(piece, least_ns)).collect();
        pieces.sort_by_key(|piece| Reverse(length_ns(piece)));
        pieces.truncate(PIECES);
        pieces.sort_by_key(|piece| piece.start_ns);
        spans.extend(pieces.into_iter().map(|piece| of_piece(request, piece, place, host)));
    }
    spans
}

fn of_request(request: &Request, place: &Place) -> Span {
    let mut attributes = Attributes::default();
    if request.kind == Kind::Http {
        let method = method(request);
        let original = request.method.as_deref().filter(|original| *original != method);
        attributes
            .set(http::REQUEST_METHOD, method)
            .maybe(http::REQUEST_METHOD_ORIGINAL, original)
            .maybe(http::ROUTE, route(request))
            .maybe(http::URL_PATH, request.path.as_ref())
            // What comes in over TLS is not seen.
            .set(http::URL_SCHEME, "http")
            .maybe(http::RESPONSE_STATUS_CODE, request.status)
            .maybe(
                http::ERROR_TYPE,
                request.status.filter(|_| is_error(request)).map(|status| status.to_string()),
            );
    }
    attributes
        .set(own::REQUEST_ID, &request.id)
        .set(own::REQUEST_COMPLETE, request.complete)
        .set(own::REQUEST_CPU_NS, request.cpu_ns)
        .set(own::REQUEST_CONTEXTS, request.contexts)
        .maybe(own::REQUEST_FIRST_BYTE_NS, request.first_byte_ns);
    for (bucket, ns) in request.buckets.iter() {
        if let Some(ns) = ns.filter(|ns| *ns > 0) {
            attributes.set(names::of_bucket(bucket), ns);
        }
    }
    let unknown: Vec<&str> =
        request.buckets.iter().filter(|(_, ns)| ns.is_none()).map(|(bucket, _)| bucket.name()).collect();
    attributes.maybe(own::BUCKET_UNKNOWN, (!unknown.is_empty()).then_some(unknown));
    let kind = match request.kind {
        Kind::Http => SpanKind::Server,
        Kind::Run => SpanKind::Internal,
    };
    Span {
        trace_id: place.trace.to_vec(),
        span_id: place.span.to_vec(),
        parent_span_id: place.parent.map(Vec::from).unwrap_or_default(),
        flags: flags(place.parent.is_some()),
        name: name(request),
        kind: kind.into(),
        start_time_unix_nano: request.start_unix_ns,
        end_time_unix_nano: request.start_unix_ns.saturating_add(request.wall_ns),
        attributes: attributes.take(),
        events: request.delays.iter().take(DELAYS).map(|delay| delayed(request, delay)).collect(),
        dropped_events_count: u32::try_from(request.delays.len().saturating_sub(DELAYS)).unwrap_or(u32::MAX),
        status: status(is_error(request)),
        ..Span::default()
    }
}

/// A method and a route, of which there are few; `(run)` for a process that serves no requests.
fn name(request: &Request) -> String {
    match (request.kind, route(request)) {
        (Kind::Http, None) => request.method.clone().unwrap_or_else(|| "HTTP".to_owned()),
        _ => group::label(request),
    }
}

/// One of those that have names of their own.
pub fn method(request: &Request) -> &str {
    request.method.as_deref().filter(|method| METHODS.contains(method)).unwrap_or(http::OTHER)
}

/// `None` of a request that is beyond the routes which are told apart.
pub fn route(request: &Request) -> Option<&str> {
    request.route.as_deref().filter(|route| *route != routes::OTHER)
}

fn delayed(request: &Request, delay: &Delay) -> Event {
    let mut attributes = Attributes::default();
    attributes
        .set(own::DELAY_REQUEST, &delay.request)
        .set(own::DELAY_ROUTE, &delay.route)
        .set(own::DELAY_WAIT_NS, delay.wait_ns);
    if let Some(function) = &delay.function {
        attributes
            .set(code::FUNCTION_NAME, &function.function)
            .set(code::FILE_PATH, &function.file)
            .set(code::LINE_NUMBER, function.line);
    }
    Event {
        // When, within the request, is a sum of times: it has none of its own.
        time_unix_nano: request.start_unix_ns,
        name: own::DELAY.to_owned(),
        attributes: attributes.take(),
        ..Event::default()
    }
}

fn of_call(request: &Request, call: &Call, place: &Place, host: &str, is_background: bool) -> Span {
    let mut attributes = Attributes::default();
    if is_llm(call) {
        attributes
            .set(gen_ai::PROVIDER_NAME, call.vendor.as_deref().unwrap_or(http::OTHER))
            .maybe(gen_ai::OPERATION_NAME, call.operation.as_ref())
            .maybe(gen_ai::REQUEST_MODEL, call.model.as_ref())
            .maybe(gen_ai::REQUEST_STREAM, call.stream)
            .maybe(gen_ai::RESPONSE_TIME_TO_FIRST_CHUNK, time_to_first_chunk_s(call))
            .maybe(gen_ai::USAGE_INPUT_TOKENS, call.input_tokens)
            .maybe(gen_ai::USAGE_OUTPUT_TOKENS, call.output_tokens);
    }
    attributes
        .maybe(http::SERVER_ADDRESS, call.host.as_ref())
        .maybe(http::SERVER_PORT, call.port)
        .maybe(http::RESPONSE_STATUS_CODE, call.status)
        .maybe(http::REQUEST_RESEND_COUNT, call.attempt.checked_sub(1).filter(|count| *count > 0))
        .maybe(http::ERROR_TYPE, error_type(call));
    if let Some(caller) = call.stack.iter().find(|caller| caller.application) {
        attributes
            .set(code::FUNCTION_NAME, &caller.function)
            .set(code::FILE_PATH, &caller.file)
            .maybe(code::LINE_NUMBER, caller.line);
    }
    attributes
        .set(own::REQUEST_ID, &request.id)
        .set(own::CALL_ID, &call.id)
        .maybe(own::CALL_DNS_NS, call.dns_ns)
        .maybe(own::CALL_CONNECT_NS, call.connect_ns)
        .maybe(own::CALL_TLS_NS, call.tls_ns)
        .maybe(own::CALL_SEND_NS, call.send_ns)
        .maybe(own::CALL_FIRST_BYTE_NS, call.first_byte_ns)
        .maybe(own::CALL_FIRST_CONTENT_NS, call.first_content_ns)
        .maybe(own::CALL_STREAM_NS, call.stream_ns)
        .maybe(own::CALL_READ_DELAY_NS, call.read_delay_ns)
        .maybe(own::CALL_LONGEST_GAP_NS, call.longest_gap_ns)
        .maybe(own::CALL_RTT_NS, call.rtt_ns)
        .set(own::CALL_CHUNKS, call.chunks)
        .set(own::CALL_BYTES_IN, call.bytes_in)
        .set(own::CALL_BYTES_OUT, call.bytes_out)
        .set(own::CALL_CONNECTION_REUSED, call.connection_reused)
        .maybe(own::CALL_VENDOR_REQUEST_ID, call.vendor_request_id.as_ref())
        .maybe(own::CALL_VENDOR_REPORTED_NS, call.vendor_reported_ns)
        .maybe(own::CALL_RETRY_AFTER_NS, call.rate_limit.as_ref().and_then(|limits| limits.retry_after_ns))
        .maybe(own::CALL_END, call.end.map(end))
        .set(own::CALL_BACKGROUND, is_background);
    let (parent, links) = match place.of_call(call) {
        CallPlace::OfRequest => (place.span, Vec::new()),
        CallPlace::Below(span) => (span, Vec::new()),
        CallPlace::LinkedTo(context) => (place.span, vec![link(context)]),
    };
    Span {
        trace_id: place.trace.to_vec(),
        span_id: span_id(host, &call.id).to_vec(),
        parent_span_id: parent.to_vec(),
        flags: flags(parent != place.span),
        name: call_name(call),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: call.start_unix_ns,
        end_time_unix_nano: call.start_unix_ns.saturating_add(call.wall_ns),
        attributes: attributes.take(),
        events: call.phases.iter().map(|phase| of_phase(request, phase)).collect(),
        links,
        status: status(is_call_error(call)),
        ..Span::default()
    }
}

/// Whether it asks a model: the peer is a vendor, or the path is one of a server of models.
pub fn is_llm(call: &Call) -> bool {
    call.vendor.is_some() || call.operation.is_some()
}

/// `chat gpt-4o`; of a call whose path was not seen the vendor, of any other `HTTP`, as the method is not kept.
fn call_name(call: &Call) -> String {
    match (&call.operation, &call.model, &call.vendor) {
        (Some(operation), Some(model), _) => format!("{operation} {model}"),
        (Some(operation), None, _) => operation.clone(),
        (None, _, Some(vendor)) => vendor.clone(),
        (None, _, None) => "HTTP".to_owned(),
    }
}

/// From the beginning of a streamed call to the first output of the model.
pub fn time_to_first_chunk_s(call: &Call) -> Option<f64> {
    let after_sent_ns = call.first_content_ns.or(call.first_byte_ns).filter(|_| call.stream == Some(true))?;
    let sent = call.phases.iter().find(|phase| phase.bucket == Bucket::LlmFirstByte)?;
    let sent_ns = sent.start_ns.saturating_sub(call.start_ns);
    Some(sent_ns.saturating_add(after_sent_ns) as f64 / 1e9)
}

/// The status where that is the error, else how the answer ended.
pub fn error_type(call: &Call) -> Option<String> {
    let status = call.status.filter(|status| *status >= 400).map(|status| status.to_string());
    status.or_else(|| call.end.filter(|_| is_call_error(call)).map(end).map(str::to_owned))
}

/// As the JSON report has it.
fn end(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::Failed => "failed",
        End::Cut => "cut",
        End::GivenUp => "given_up",
    }
}

fn of_phase(request: &Request, phase: &Segment) -> Event {
    let mut attributes = Attributes::default();
    Event {
        time_unix_nano: request.start_unix_ns.saturating_add(phase.start_ns),
        name: phase.bucket.name().to_owned(),
        attributes: attributes.set(own::DURATION_NS, length_ns(phase)).take(),
        ..Event::default()
    }
}

/// Whether a piece is shown: what a call waits for is in the call's span.
fn is_own(piece: &Segment, least_ns: u64) -> bool {
    use Bucket::{LlmConnect, LlmDns, LlmFirstByte, LlmSend, LlmStream, LlmTls};
    let of_calls = [LlmDns, LlmConnect, LlmTls, LlmSend, LlmFirstByte, LlmStream];
    length_ns(piece) >= least_ns && !of_calls.contains(&piece.bucket)
}

fn of_piece(request: &Request, piece: &Segment, place: &Place, host: &str) -> Span {
    let at_ns = |ns: u64| request.start_unix_ns.saturating_add(ns);
    let mut attributes = Attributes::default();
    Span {
        trace_id: place.trace.to_vec(),
        span_id: span_id(host, &format!("{}/{}", request.id, piece.start_ns)).to_vec(),
        parent_span_id: place.span.to_vec(),
        flags: flags(false),
        name: piece.bucket.name().to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: at_ns(piece.start_ns),
        end_time_unix_nano: at_ns(piece.end_ns),
        attributes: attributes.set(own::DURATION_NS, length_ns(piece)).take(),
        ..Span::default()
    }
}

fn length_ns(piece: &Segment) -> u64 {
    piece.end_ns.saturating_sub(piece.start_ns)
}

fn link(Context { trace, span, .. }: Context) -> Link {
    Link { trace_id: trace.to_vec(), span_id: span.to_vec(), flags: flags(true), ..Link::default() }
}

/// `is_remote` for a parent that others made.
fn flags(is_remote: bool) -> u32 {
    let remote = SpanFlags::ContextIsRemoteMask as u32;
    SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32 | if is_remote { remote } else { 0 }
}

/// Nothing where it went well: that is for the application to say.
fn status(is_error: bool) -> Option<Status> {
    is_error.then(|| Status { code: StatusCode::Error.into(), ..Status::default() })
}
