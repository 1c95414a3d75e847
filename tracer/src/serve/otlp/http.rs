//! OTLP/HTTP with protobuf.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::body::Body;
use tonic_types::pb;

use super::receiver::{Client, Outcome, Signal, chain};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 64 << 10;

/// Bytes of what a receiver says that are told.
const TEXT_BYTES: usize = 200;

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Metrics => "/v1/metrics",
    }
}

pub async fn send(
    client: Client,
    endpoint: &Uri,
    signal: Signal,
    headers: HeaderMap,
    bytes: Bytes,
    gzip: bool,
) -> Outcome {
    let url = format!("{}{}", endpoint.to_string().trim_end_matches('/'), path(signal));
    let body = if gzip { compress(&bytes) } else { bytes };
    let request = Request::post(&url).body(Body::new(Full::new(body)));
    let mut request = match request {
        Ok(request) => request,
        Err(error) => return Outcome::Refused { why: format!("{url}: {error}") },
    };
    *request.headers_mut() = headers;
    request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
    if gzip {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    match client.request(request).await {
        Ok(answer) => outcome(answer).await,
        Err(error) => Outcome::Later { after: None, why: chain(&error) },
    }
}

fn compress(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes all that is written to it").into()
}

/// What the protocol says of each status ("Failures" and "Partial Success" of OTLP/HTTP).
async fn outcome(answer: Response<Incoming>) -> Outcome {
    let (head, body) = answer.into_parts();
    let is_protobuf = head.headers.get(CONTENT_TYPE) == Some(&PROTOBUF);
    let body = match Limited::new(body, ANSWER_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // It was taken or not: what else it says is lost.
        Err(_) => Bytes::new(),
    };
    if head.status.is_success() {
        let taken = ExportTraceServiceResponse::decode(body).ok().filter(|_| is_protobuf);
        let partial = taken.and_then(|taken| taken.partial_success).unwrap_or_default();
        return Outcome::Taken {
            rejected: partial.rejected_spans.try_into().unwrap_or(0),
            message: partial.error_message,
        };
    }
    let why = format!("{} {}", head.status, text(&body, is_protobuf)).trim_end().to_owned();
    let is_temporary = matches!(
        head.status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if is_temporary {
        // A date is not read.
        let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Outcome::Later { after: seconds.map(Duration::from_secs), why };
    }
    Outcome::Refused { why }
}

/// What a refusal says: a `google.rpc.Status`, or text.
fn text(body: &Bytes, is_protobuf: bool) -> String {
    let text = match pb::Status::decode(body.clone()) {
        Ok(status) if is_protobuf => status.message,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= TEXT_BYTES).last().unwrap_or(0);
    if text.len() <= TEXT_BYTES { text } else { text[..end].to_owned() }
}
