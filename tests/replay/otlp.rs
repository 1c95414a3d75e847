//! What is sent by OTLP of a capture's requests.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;
use tests::golden::assert_matches;
use tracer::{
    report::types::{Report, Request},
    serve::{
        batch::Batch,
        config::Config,
        otlp::{message::Messages, resource::Host, service::Surroundings},
    },
};

use crate::exports::report;

/// The two slowest requests of `demo`, the slower one as if caller and application were instrumented.
#[test]
fn messages_are_as_expected() {
    let Report { mut requests, processes, .. } = report("demo");
    requests.sort_by_key(|request| std::cmp::Reverse(request.wall_ns));
    requests.truncate(2);
    let traceparent = |span: &str| Some(format!("00-{}-{}-01", "5b8e".repeat(8), span.repeat(8)));
    requests[0].traceparent = traceparent("a1");
    requests[0].calls[0].traceparent = traceparent("c1");
    let at_unix_ns = requests.iter().map(|request| request.start_unix_ns + request.wall_ns).max();
    let batch = Batch {
        at_unix_ns: at_unix_ns.expect("there are some"),
        requests: requests.into_iter().map(Arc::new).collect(),
        processes,
        ..Batch::default()
    };
    let (made, figures) = messages(&batch);
    let [message] = &made[..] else { panic!("{} messages", made.len()) };
    let sent = ExportTraceServiceRequest::decode(message.bytes.clone()).expect("spans");
    assert_matches("otlp/demo-spans.json", &pretty(&sent));
    let sent = ExportMetricsServiceRequest::decode(figures).expect("figures");
    assert_matches("otlp/demo-figures.json", &pretty(&sent));
}

#[test]
fn messages_are_small_enough_and_have_every_request_once() {
    let Report { requests, processes, .. } = report("gevent");
    let again = |number: usize, request: &Request| {
        let mut request = Request { id: format!("{number}-{}", request.id), ..request.clone() };
        let background = request.background.iter_mut().flat_map(|background| &mut background.calls);
        request.calls.iter_mut().chain(background).for_each(|call| call.id = format!("{number}-{}", call.id));
        Arc::new(request)
    };
    let requests: Vec<Arc<Request>> =
        (0..40).flat_map(|number| requests.iter().map(move |request| again(number, request))).collect();
    let n_requests = requests.len() as u64;
    let (made, _) = messages(&Batch { requests, processes, ..Batch::default() });
    assert!(made.len() > 1 && made.iter().all(|message| message.bytes.len() < 4 << 20));
    assert_eq!(made.iter().map(|message| message.requests).sum::<u64>(), n_requests);
    let sent =
        made.iter().map(|message| ExportTraceServiceRequest::decode(message.bytes.clone()).expect("spans"));
    let spans =
        sent.flat_map(|sent| sent.resource_spans).flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
    let mut ids: Vec<Vec<u8>> = spans.map(|span| span.span_id).collect();
    assert_eq!(ids.len() as u64, made.iter().map(|message| message.spans).sum::<u64>());
    let n_spans = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n_spans);
}

fn messages(batch: &Batch) -> (Vec<tracer::serve::otlp::queue::Message>, bytes::Bytes) {
    let host = Host { name: "lab".to_owned(), id: "4d2c".repeat(8) };
    let mut messages = Messages::new(&Config::default().otlp, host, |_| Surroundings::default());
    let (made, left_out) = messages.of(batch);
    assert_eq!(left_out, 0);
    (made, messages.figures().expect("there are some"))
}

fn pretty(sent: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(sent).expect("it is JSON") + "\n"
}
