//! OTLP/gRPC.

use bytes::{BufMut as _, Bytes};
use hyper::{HeaderMap, Uri, http::uri::PathAndQuery};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
};
use tonic_types::StatusExt as _;

use super::receiver::{Client, Outcome, Signal, chain};

fn path(signal: Signal) -> PathAndQuery {
    PathAndQuery::from_static(match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    })
}

pub async fn send(
    client: Client,
    endpoint: Uri,
    signal: Signal,
    headers: HeaderMap,
    bytes: Bytes,
    gzip: bool,
) -> Outcome {
    let mut grpc = Grpc::with_origin(client, endpoint).accept_compressed(CompressionEncoding::Gzip);
    if gzip {
        grpc = grpc.send_compressed(CompressionEncoding::Gzip);
    }
    if let Err(error) = grpc.ready().await {
        return Outcome::Later { after: None, why: chain(&error) };
    }
    let mut request = Request::new(bytes);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    match grpc.unary(request, path(signal), Encoded).await {
        Ok(answer) => {
            let partial = answer.into_inner().partial_success.unwrap_or_default();
            Outcome::Taken {
                rejected: partial.rejected_spans.try_into().unwrap_or(0),
                message: partial.error_message,
            }
        }
        Err(status) => outcome(&status),
    }
}

/// What the protocol says of each code ("Failures" of OTLP/gRPC).
fn outcome(status: &Status) -> Outcome {
    let why = match std::error::Error::source(status) {
        Some(source) => chain(source),
        None => format!("{:?}: {}", status.code(), status.message()),
    };
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let is_temporary = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // A receiver that can recover says when.
        Code::ResourceExhausted => after.is_some(),
        // The connection failed: it was not the receiver who said that.
        Code::Unknown | Code::Internal => std::error::Error::source(status).is_some(),
        _ => false,
    };
    if is_temporary { Outcome::Later { after, why } } else { Outcome::Refused { why } }
}

/// Messages that are encoded already. All services answer alike: what was rejected, and why.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Encoded;
    type Decoder = Encoded;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Encoded {
        Encoded
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ExportTraceServiceResponse>, Status> {
        let answer = ExportTraceServiceResponse::decode(buffer);
        answer.map(Some).map_err(|error| Status::internal(format!("an answer that is none: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn codes_say_whether_to_try_again() {
        let of = |code| matches!(outcome(&Status::new(code, "")), Outcome::Later { .. });
        assert!(of(Code::Unavailable) && of(Code::DataLoss) && of(Code::Aborted));
        assert!(!of(Code::ResourceExhausted) && !of(Code::InvalidArgument) && !of(Code::Unauthenticated));
        assert!(!of(Code::Unimplemented) && !of(Code::Internal));
    }

    #[test]
    fn who_says_when_is_believed() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        let expected =
            Outcome::Later { after: Some(Duration::from_secs(7)), why: "ResourceExhausted: busy".to_owned() };
        assert_eq!(outcome(&status), expected);
    }
}
