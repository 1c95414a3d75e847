//! What calls tell of themselves, held against what the vendor was asked and answered.

use std::fmt;

use tracer::report::types::Call;

use crate::truth::Exchange;

/// Of every question (`tests/lab/dialects.py`).
const INPUT_TOKENS: u64 = 10;

/// Calls by what they tell.
#[derive(Debug, Default)]
pub struct Told {
    /// All that the vendor knows.
    pub right: usize,
    /// Something else, each with what it is.
    pub wrong: Vec<String>,
    /// Nothing, as their plaintext was not seen.
    pub silent: Vec<String>,
}

impl Told {
    /// Adds a call that was answered.
    pub fn add(&mut self, call: &Call, exchange: &Exchange) {
        let Some(status) = call.status else { return self.silent.push(exchange.call.clone()) };
        // Of an answer that is given up the rest is not read.
        let is_whole = call.stream_ns.is_some_and(|stream_ns| {
            exchange.stream_ns().is_none_or(|true_ns| stream_ns.abs_diff(true_ns) < 5_000_000)
        });
        let tokens = exchange.output_tokens.filter(|_| is_whole);
        let reported_ns = exchange.reported_ms.map(|ms| ms * 1_000_000);
        let limits = call.rate_limit.as_ref();
        let differences = [
            differs("status", &Some(status), &Some(exchange.status)),
            differs("model", &call.model.as_ref(), &Some(&exchange.model)),
            differs("stream", &call.stream, &Some(exchange.stream && exchange.output_tokens.is_some())),
            differs("request", &call.vendor_request_id, &exchange.request_id),
            differs("vendor's time", &call.vendor_reported_ns, &reported_ns),
            differs(
                "requests left",
                &limits.and_then(|limits| limits.requests_left),
                &exchange.requests_left,
            ),
            differs("tokens left", &limits.and_then(|limits| limits.tokens_left), &exchange.tokens_left),
            differs("output tokens", &call.output_tokens.filter(|_| is_whole), &tokens),
            differs(
                "input tokens",
                &call.input_tokens.filter(|_| tokens.is_some()),
                &tokens.map(|_| INPUT_TOKENS),
            ),
        ];
        let differences: Vec<String> = differences.into_iter().flatten().collect();
        if differences.is_empty() {
            self.right += 1;
        } else {
            self.wrong.push(format!("{} ({})", exchange.call, differences.join(", ")));
        }
    }
}

fn differs<T: PartialEq + fmt::Debug>(what: &str, told: &Option<T>, truth: &Option<T>) -> Option<String> {
    (told != truth).then(|| format!("{what} {told:?} for {truth:?}"))
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Told { right, wrong, silent } = self;
        writeln!(
            formatter,
            "  calls told right {right}, wrong {}, not at all {}",
            wrong.len(),
            silent.len()
        )?;
        for (what, calls) in [("told wrong", wrong), ("not told", silent)] {
            if !calls.is_empty() {
                writeln!(formatter, "  {what}: {}", calls.join(", "))?;
            }
        }
        Ok(())
    }
}
