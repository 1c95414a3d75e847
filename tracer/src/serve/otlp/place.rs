//! Where a request and its calls stand in traces.
//!
//! **The request.** A caller that is instrumented sends a `traceparent`: the request's span is a child of the caller's client
//! span, in the caller's trace, beside the server span that the application itself may make. Without one, the calls may tell: an
//! application that is instrumented begins a trace of its own and sends it on with each call. Where all calls that carry one are
//! of the same trace, the request's span is in it too, without a parent, as the application's server span is: that has an id
//! which nothing on the wire tells. Else the trace is the request's own.
//!
//! **A call.** An outbound `traceparent` names the client span that the application made around the call. In the trace of the
//! request, the call's span becomes its child: what the application measures encloses what the kernel saw of it. Where it names
//! another trace, the call stays with its request, and links to that span. Without one, its parent is the request's span.
//!
//! **Ids** that nobody gave come from a hash of the host and the request's id: what is sent again after an answer that was
//! lost has the same ids, and is the same for the receiver.

use ring::digest;

use crate::report::types::{Call, Request};

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// A span, as a `traceparent` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether whoever made it keeps the trace.
    pub is_sampled: bool,
}

impl Context {
    /// Of a `traceparent` as W3C Trace Context, section 3.2, has it.
    pub fn parse(traceparent: &str) -> Option<Context> {
        let mut fields = traceparent.split('-').skip(1);
        let trace = bytes(fields.next()?)?;
        let span = bytes(fields.next()?)?;
        let [flags] = bytes(fields.next()?)?;
        Some(Context { trace, span, is_sampled: flags & 1 == 1 })
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    (hex.len() == 2 * N).then_some(bytes)
}

/// The trace of a request, and its span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: TraceId,
    pub span: SpanId,
    /// The span of who called.
    pub parent: Option<SpanId>,
    /// Whether who called keeps the trace, where that is known.
    pub is_sampled: Option<bool>,
}

/// Where a call's span hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPlace {
    /// Below the request's.
    OfRequest,
    /// Below one of the application, in the same trace.
    Below(SpanId),
    /// Below the request's, and of the same exchange as this one.
    LinkedTo(Context),
}

impl Place {
    /// `host` tells requests with the same id on other hosts apart.
    pub fn of(request: &Request, host: &str) -> Place {
        let span = span_id(host, &request.id);
        match request.traceparent.as_deref().and_then(Context::parse) {
            Some(caller) => Place {
                trace: caller.trace,
                span,
                parent: Some(caller.span),
                is_sampled: Some(caller.is_sampled),
            },
            None => {
                let sent = trace_of_calls(request);
                let trace = sent.map_or_else(|| trace_id(host, &request.id), |sent| sent.trace);
                Place { trace, span, parent: None, is_sampled: sent.map(|sent| sent.is_sampled) }
            }
        }
    }

    pub fn of_call(&self, call: &Call) -> CallPlace {
        match call.traceparent.as_deref().and_then(Context::parse) {
            Some(sent) if sent.trace == self.trace => CallPlace::Below(sent.span),
            Some(sent) => CallPlace::LinkedTo(sent),
            None => CallPlace::OfRequest,
        }
    }
}

/// The first of what its calls carry, where all are of one trace.
fn trace_of_calls(request: &Request) -> Option<Context> {
    let mut sent = request.all_calls().filter_map(|call| Context::parse(call.traceparent.as_deref()?));
    let first = sent.next()?;
    sent.all(|context| context.trace == first.trace).then_some(first)
}

fn trace_id(host: &str, request: &str) -> TraceId {
    hash("trace", host, request)
}

/// `name` is that of a request, a call or a piece.
pub fn span_id(host: &str, name: &str) -> SpanId {
    hash("span", host, name)
}

/// The beginning of a hash. All zeros, which no id may be, is as likely as any other value: never seen.
fn hash<const N: usize>(kind: &str, host: &str, name: &str) -> [u8; N] {
    let digest = digest::digest(&digest::SHA256, format!("{kind}\0{host}\0{name}").as_bytes());
    let mut id = [0; N];
    id.copy_from_slice(&digest.as_ref()[..N]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{call, request};

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn traceparent(trace: u8, span: u8) -> String {
        format!("00-{}-{}-01", format!("{trace:02x}").repeat(16), format!("{span:02x}").repeat(8))
    }

    fn with_calls(traceparents: &[Option<String>]) -> Request {
        let mut request = request("/chat", 0, &[]);
        let calls = traceparents.iter().map(|traceparent| Call {
            traceparent: traceparent.clone(),
            ..call("api.openai.com", &request, 0, 10)
        });
        request.calls = calls.collect();
        request
    }

    #[test]
    fn a_callers_trace_is_continued() {
        let request = Request { traceparent: Some(CALLER.to_owned()), ..request("/chat", 0, &[]) };
        let place = Place::of(&request, "host");
        assert_eq!(place.trace[..2], [0x0a, 0xf7]);
        assert_eq!(place.parent.expect("the caller's")[..2], [0xb7, 0xad]);
        assert_eq!(place.is_sampled, Some(false));
    }

    #[test]
    fn the_trace_that_the_application_begins_is_joined() {
        let request = with_calls(&[None, Some(traceparent(7, 1)), Some(traceparent(7, 2))]);
        let place = Place::of(&request, "host");
        assert_eq!((place.trace, place.parent, place.is_sampled), ([7; 16], None, Some(true)));
        let places: Vec<CallPlace> = request.calls.iter().map(|call| place.of_call(call)).collect();
        assert_eq!(places, [CallPlace::OfRequest, CallPlace::Below([1; 8]), CallPlace::Below([2; 8])]);
    }

    #[test]
    fn calls_of_other_traces_link_to_them() {
        let request = with_calls(&[Some(traceparent(7, 1)), Some(traceparent(8, 2))]);
        let place = Place::of(&request, "host");
        assert_eq!(place, Place::of(&with_calls(&[]), "host"), "the trace is the request's own");
        let CallPlace::LinkedTo(context) = place.of_call(&request.calls[1]) else {
            panic!("it is of another")
        };
        assert_eq!((context.trace, context.span), ([8; 16], [2; 8]));
    }

    #[test]
    fn ids_are_of_the_host_and_the_request() {
        let place = |id: &str, host: &str| {
            Place::of(&Request { id: id.to_owned(), ..request("/chat", 0, &[]) }, host)
        };
        assert_eq!(place("1", "a"), place("1", "a"));
        let others = [place("1", "b"), place("2", "a")];
        assert!(others.iter().all(|other| other.trace != place("1", "a").trace));
        assert!(others.iter().all(|other| other.span != place("1", "a").span));
    }
}
