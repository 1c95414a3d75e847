//! Which exchange of the vendor's log a call of the report is.
//!
//! The vendor's name of it says so, where the plaintext of the call was seen. Where it was not, time must: the tests let the vendor's
//! delays differ for each call, so that the time to the first byte and the length of the stream tell exchanges apart.

use tracer::report::types::Call;

use crate::truth::{Exchange, Truth};

/// How far clocks and probes may be apart in what must lie within a call.
const SLACK_NS: u64 = 3_000_000;
/// Exchanges whose times are less apart are not told apart by them.
const ALIKE_NS: u64 = 1_000_000;
/// What is not known counts as much as this.
const UNKNOWN_NS: u64 = 20_000_000;

#[derive(Debug, Default)]
pub struct Links {
    /// Index of the call and of its exchange, of those linked to the right request.
    pub pairs: Vec<(usize, usize)>,
    pub right: usize,
    /// Calls that stand under another maker than theirs, as [`Links::pairs`].
    pub wrong_pairs: Vec<(usize, usize)>,
    pub wrong: usize,
    /// Exchanges that no call of the report is, by index.
    pub unseen: Vec<usize>,
    pub missing: usize,
    /// Calls with an answer that no exchange is.
    pub extra: usize,
}

impl Links {
    /// `calls` with their makers.
    pub fn new(calls: &[(impl AsRef<str>, &Call)], truth: &Truth) -> Links {
        let mut candidates = Vec::new();
        for (i, (maker, call)) in calls.iter().enumerate() {
            for (j, exchange) in truth.exchanges.iter().enumerate() {
                let is_named = call.vendor_request_id.is_some() && exchange.request_id.is_some();
                let may_be = match is_named {
                    true => call.vendor_request_id == exchange.request_id,
                    false => contains(call, exchange, truth.unix_offset_ns),
                };
                if may_be {
                    // Two exchanges may be alike by chance: then the request's own is meant.
                    let distance_ns = if is_named { 0 } else { distance_ns(call, exchange) };
                    let is_foreign = exchange.maker() != maker.as_ref();
                    candidates.push((distance_ns / ALIKE_NS, is_foreign, distance_ns, i, j));
                }
            }
        }
        candidates.sort_unstable();

        let mut links = Links::default();
        let mut exchange_of = vec![None; calls.len()];
        let mut taken = vec![false; truth.exchanges.len()];
        for (.., i, j) in candidates {
            if exchange_of[i].is_some() || taken[j] {
                continue;
            }
            exchange_of[i] = Some(j);
            taken[j] = true;
        }
        for (i, exchange) in exchange_of.into_iter().enumerate() {
            match exchange {
                // A call that was given up may never have reached the vendor.
                None => links.extra += usize::from(calls[i].1.first_byte_ns.is_some()),
                Some(j) if truth.exchanges[j].maker() == calls[i].0.as_ref() => links.pairs.push((i, j)),
                Some(j) => links.wrong_pairs.push((i, j)),
            }
        }
        links.right = links.pairs.len();
        links.wrong = links.wrong_pairs.len();
        links.unseen = (0..taken.len()).filter(|j| !taken[*j]).collect();
        links.missing = links.unseen.len();
        links
    }
}

/// Whether the vendor received the request and sent its answer while the call lasted; of a call that was given up before
/// any answer, only the request.
fn contains(call: &Call, exchange: &Exchange, unix_offset_ns: u64) -> bool {
    let start_ns = call.start_unix_ns.saturating_sub(unix_offset_ns);
    let end_ns = start_ns + call.wall_ns;
    let sent_ns = exchange.sent_ns.last().copied().filter(|_| call.first_byte_ns.is_some());
    let sent_ns = sent_ns.unwrap_or(exchange.received_ns);
    start_ns <= exchange.received_ns + SLACK_NS && sent_ns <= end_ns + SLACK_NS
}

fn distance_ns(call: &Call, exchange: &Exchange) -> u64 {
    let difference = |measured: Option<u64>, truth: Option<u64>| match (measured, truth) {
        (Some(measured), Some(truth)) => measured.abs_diff(truth),
        _ => UNKNOWN_NS,
    };
    difference(call.first_byte_ns, exchange.first_byte_ns())
        + difference(call.stream_ns, exchange.stream_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET_NS: u64 = 1_000_000_000_000;

    fn exchange(call: &str, received_ns: u64, ttft_ns: u64) -> Exchange {
        let first = received_ns + ttft_ns;
        Exchange {
            connection: 1,
            request_id: Some(format!("req_{call}")),
            call: call.into(),
            model: "lab".into(),
            attempt: 1,
            stream: true,
            status: 200,
            output_tokens: Some(2),
            reported_ms: None,
            requests_left: None,
            tokens_left: None,
            received_ns,
            sent_ns: vec![first, first + 50_000_000],
            content_ns: Some(first),
        }
    }

    fn call(exchange: &Exchange) -> Call {
        Call {
            start_unix_ns: OFFSET_NS + exchange.received_ns - 1_000_000,
            wall_ns: 400_000_000,
            first_byte_ns: exchange.first_byte_ns(),
            stream_ns: exchange.stream_ns(),
            ..Call::default()
        }
    }

    fn truth(exchanges: Vec<Exchange>) -> Truth {
        Truth { unix_offset_ns: OFFSET_NS, exchanges, ..Truth::default() }
    }

    #[test]
    fn simultaneous_calls_are_told_apart_by_their_times() {
        let truth =
            truth(vec![exchange("a/0", 10_000_000, 100_000_000), exchange("b/0", 10_000_000, 130_000_000)]);
        let (a, b) = (call(&truth.exchanges[0]), call(&truth.exchanges[1]));
        let right = Links::new(&[("b", &b), ("a", &a)], &truth);
        assert_eq!((right.right, right.wrong, right.missing, right.extra), (2, 0, 0, 0));
        let swapped = Links::new(&[("a", &b), ("b", &a)], &truth);
        assert_eq!((swapped.right, swapped.wrong), (0, 2));
    }

    #[test]
    fn the_vendors_name_of_an_exchange_counts_more_than_its_times() {
        let truth =
            truth(vec![exchange("a/0", 10_000_000, 100_000_000), exchange("b/0", 10_000_000, 130_000_000)]);
        let named = |name: &str, times: &Exchange| Call {
            vendor_request_id: Some(format!("req_{name}")),
            ..call(times)
        };
        let (a, b) = (named("a/0", &truth.exchanges[1]), named("b/0", &truth.exchanges[0]));
        assert_eq!(Links::new(&[("b", &b), ("a", &a)], &truth).right, 2);
        assert_eq!(Links::new(&[("a", &b), ("b", &a)], &truth).wrong, 2);
    }

    #[test]
    fn a_call_that_was_given_up_is_told_by_its_request() {
        let truth = truth(vec![exchange("a/0", 10_000_000, 100_000_000)]);
        let given_up = Call { wall_ns: 50_000_000, first_byte_ns: None, ..call(&truth.exchanges[0]) };
        let links = Links::new(&[("a", &given_up)], &truth);
        assert_eq!((links.right, links.missing, links.extra), (1, 0, 0));
    }

    #[test]
    fn what_only_one_side_has_is_missing_or_extra() {
        let truth = truth(vec![exchange("a/0", 10_000_000, 100_000_000)]);
        let elsewhere = call(&exchange("a/0", 900_000_000, 100_000_000));
        let links = Links::new(&[("a", &elsewhere)], &truth);
        assert_eq!((links.right, links.missing, links.extra), (0, 1, 1));
    }
}
