//! A request as the history keeps it: with what is drawn of it and is no part of the JSON report.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

use crate::report::{
    bucket::Bucket,
    packed::Packed,
    types::{Request, Segment, Step},
};

/// Pieces of a timeline, and steps, that are kept of a request: the first.
pub const PIECES: usize = 4_096;

/// Paths of stacks that are kept of a request: the first that samples found.
const PATHS: usize = 4_096;

/// Far more than such a request takes.
const MAX_BYTES: u64 = 64 << 20;

/// `{"request": as in the JSON report, "timeline": ..., "steps": ..., "calls": ...}`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whole {
    pub request: Request,
    pub timeline: Vec<Piece>,
    pub steps: Vec<Ran>,
    /// For each call of the request, in order.
    pub calls: Vec<Placed>,
    /// What samples found it in; nothing where a version before this one wrote it.
    #[serde(default, skip_serializing_if = "Packed::is_empty")]
    pub stacks: Packed,
}

/// Where a piece of time lies, from the request's start, and its bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Piece {
    pub start_ns: u64,
    pub end_ns: u64,
    pub bucket: String,
}

/// A run of a context on a thread; from the request's start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ran {
    pub start_ns: u64,
    pub end_ns: u64,
    pub context: u32,
    pub tid: u32,
    /// Index into the request's functions.
    pub function: Option<usize>,
}

/// The context that made a call, and its phases as if it were an LLM call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    pub context: u32,
    pub start_ns: u64,
    pub phases: Vec<Piece>,
}

impl Whole {
    pub fn of(request: &Request) -> Whole {
        let steps = request.steps.iter().take(PIECES).map(|step| {
            let Step { start_ns, end_ns, context, tid, function } = *step;
            Ran { start_ns, end_ns, context, tid, function }
        });
        let calls = request.calls.iter().map(|call| Placed {
            context: call.context,
            start_ns: call.start_ns,
            phases: pieces(&call.phases),
        });
        Whole {
            request: request.clone(),
            timeline: pieces(&request.timeline),
            steps: steps.collect(),
            calls: calls.collect(),
            stacks: Packed::of(&request.stacks, PATHS),
        }
    }

    /// The request as it was before.
    pub fn into_request(self) -> Request {
        let mut request = self.request;
        request.stacks = self.stacks.unpack();
        request.timeline = segments(&self.timeline);
        let steps = self.steps.into_iter().map(|Ran { start_ns, end_ns, context, tid, function }| Step {
            start_ns,
            end_ns,
            context,
            tid,
            function,
        });
        request.steps = steps.collect();
        for (call, placed) in request.calls.iter_mut().zip(self.calls) {
            call.context = placed.context;
            call.start_ns = placed.start_ns;
            call.phases = segments(&placed.phases);
        }
        request
    }

    pub fn encode(&self) -> anyhow::Result<Vec<u8>> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&serde_json::to_vec(self)?)?;
        Ok(encoder.finish()?)
    }

    /// # Errors
    /// When the bytes are no request, or one of another version of the tracer.
    pub fn decode(bytes: &[u8]) -> anyhow::Result<Whole> {
        let mut json = Vec::new();
        DeflateDecoder::new(bytes).take(MAX_BYTES).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

fn pieces(segments: &[Segment]) -> Vec<Piece> {
    let piece = |&Segment { start_ns, end_ns, bucket }: &Segment| Piece {
        start_ns,
        end_ns,
        bucket: bucket.name().to_owned(),
    };
    segments.iter().take(PIECES).map(piece).collect()
}

fn segments(pieces: &[Piece]) -> Vec<Segment> {
    let segment = |piece: &Piece| {
        let Piece { start_ns, end_ns, ref bucket } = *piece;
        Some(Segment { start_ns, end_ns, bucket: Bucket::from_name(bucket)? })
    };
    pieces.iter().filter_map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{call, request};

    #[test]
    fn nothing_is_lost_but_who_held_the_gil_and_when_samples_were_taken() {
        let mut request = request("/chat", 5, &[(Bucket::LlmFirstByte, 80), (Bucket::PythonCpu, 1)]);
        let mut call = call("api.openai.com", &request, 10, 70);
        call.phases = vec![Segment { start_ns: 1, end_ns: 2, bucket: Bucket::LlmDns }];
        call.context = 3;
        request.calls.push(call);
        let bytes = Whole::of(&request).encode().expect("it is encoded");
        let decoded = Whole::decode(&bytes).expect("it is decoded").into_request();
        assert_eq!(format!("{decoded:?}"), format!("{request:?}"));
        assert!(Whole::decode(&bytes[..bytes.len() / 2]).is_err());
        assert!(Whole::decode(b"other bytes").is_err());
    }
}
