//! One request in order of time: what it ran or waited for when.

use super::stack::{Place, Stack};
use crate::report::{
    bucket::Bucket,
    group::{Side, side_of},
    stacks::Sample,
    types::{Call, Request, Segment, Wait},
};

/// A part of a request's wall time, which is not nothing, without a gap to the next; from the request's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub start_ns: u64,
    pub end_ns: u64,
    pub stack: Stack<'a>,
}

/// A part of the timeline, and the call that it is a wait for, or the sleep that it is, where that is known.
pub struct Part<'a> {
    pub segment: Segment,
    pub call: Option<&'a Call>,
    wait: Option<&'a Wait>,
}

impl<'a> Part<'a> {
    /// The functions that made the call or slept, whose stacks have the innermost first, and what is waited for.
    pub fn stack(&self) -> Stack<'a> {
        let made_by = self.call.iter().flat_map(|call| call.stack.iter().rev()).map(Place::from);
        let slept_in = self.wait.iter().flat_map(|wait| wait.stack.iter().rev()).map(Place::from);
        Stack {
            frames: made_by.chain(slept_in).collect(),
            bucket: self.segment.bucket,
            vendor: self.call.and_then(|call| call.vendor.as_deref()),
        }
    }
}

/// The request's wall time in pieces. On CPU, a sample stands for the time from the one before it, or from where the time on CPU
/// began, and the last one for the rest.
pub fn pieces(request: &Request) -> Vec<Piece<'_>> {
    let samples = request.stacks.timed();
    let mut pieces = Vec::new();
    for part in all(request) {
        let Segment { start_ns, end_ns, bucket } = part.segment;
        if is_on_cpu(bucket) {
            pieces.extend(on_cpu(part.segment, &samples));
        } else {
            pieces.push(Piece { start_ns, end_ns, stack: part.stack() });
        }
    }
    pieces.retain(|piece| piece.start_ns < piece.end_ns);
    pieces
}

/// The waits of a request in order of time. Of several calls at once the first is meant.
pub fn waits(request: &Request) -> impl Iterator<Item = Part<'_>> {
    all(request).filter(|Part { segment, .. }| !is_on_cpu(segment.bucket))
}

fn all(request: &Request) -> impl Iterator<Item = Part<'_>> {
    let mut calls = request.calls.iter().peekable();
    let mut waited = request.waited.iter().peekable();
    let mut under_way = Vec::<&Call>::new();
    request.timeline.iter().map(move |segment| {
        while let Some(call) = calls.next_if(|call| call.start_ns < segment.end_ns) {
            under_way.push(call);
        }
        under_way.retain(|call| call.start_ns.saturating_add(call.wall_ns) > segment.start_ns);
        let call = match segment.bucket {
            // Before the next attempt.
            Bucket::LlmBackoff => calls.peek().copied().filter(|call| call.attempt > 1),
            bucket if side_of(bucket) == Side::Vendor => {
                under_way.iter().copied().find(|call| call.phases.iter().any(|phase| overlap(phase, segment)))
            }
            _ => None,
        };
        let wait = waited.next_if(|waited| waited.start_ns == segment.start_ns);
        let wait = wait.and_then(|waited| request.waits.get(waited.wait));
        Part { segment: *segment, call, wait }
    })
}

fn overlap(phase: &Segment, segment: &Segment) -> bool {
    phase.bucket == segment.bucket && phase.start_ns < segment.end_ns && phase.end_ns > segment.start_ns
}

fn is_on_cpu(bucket: Bucket) -> bool {
    matches!(bucket, Bucket::PythonCpu | Bucket::PythonGc | Bucket::PythonImport)
}

fn on_cpu<'a>(segment: Segment, samples: &[Sample<'a>]) -> Vec<Piece<'a>> {
    let from = samples.partition_point(|sample| sample.at_ns <= segment.start_ns);
    let of_segment = samples[from..]
        .iter()
        .take_while(|sample| sample.at_ns <= segment.end_ns)
        .filter(|sample| sample.cause.bucket() == segment.bucket);
    let mut pieces = Vec::<Piece>::new();
    let stack = |frames| Stack { frames, bucket: segment.bucket, vendor: None };
    let mut start_ns = segment.start_ns;
    for sample in of_segment {
        let frames = sample.stack.iter().map(|function| Place::from(*function)).collect();
        pieces.push(Piece { start_ns, end_ns: sample.at_ns, stack: stack(frames) });
        start_ns = sample.at_ns;
    }
    match pieces.last_mut() {
        Some(last) => last.end_ns = segment.end_ns,
        None => pieces.push(Piece { start_ns, end_ns: segment.end_ns, stack: stack(Vec::new()) }),
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Function, request::call_tree::OnCpu};

    #[test]
    fn a_sample_stands_for_the_time_before_it_and_the_last_for_the_rest() {
        let function = |name: &str| Function { name: name.into(), file: "/srv/app.py".into(), line: 1 };
        let (one, other) = (function("one"), function("other"));
        let sample = |at_ns, cause, function| Sample { at_ns, cause, stack: vec![function] };
        let samples = [
            sample(5, OnCpu::Python, &other),
            sample(12, OnCpu::Python, &one),
            sample(14, OnCpu::Gc, &other),
            sample(17, OnCpu::Python, &other),
            sample(30, OnCpu::Python, &one),
        ];
        let segment = |start_ns, end_ns| Segment { start_ns, end_ns, bucket: Bucket::PythonCpu };
        let found = |segment| -> Vec<(u64, u64, String)> {
            let name = |piece: &Piece| {
                piece.stack.frames.first().map_or_else(String::new, |place| place.function.to_owned())
            };
            let pieces = on_cpu(segment, &samples);
            pieces.iter().map(|piece| (piece.start_ns, piece.end_ns, name(piece))).collect()
        };
        assert_eq!(found(segment(10, 20)), [(10, 12, "one".to_owned()), (12, 20, "other".to_owned())]);
        assert_eq!(found(segment(20, 25)), [(20, 25, String::new())]);
    }
}
