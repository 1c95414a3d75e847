//! What is kept of the heads of requests and answers, whichever HTTP they came by.

use httparse::Header;

use super::content::{Answer, Format, Question, Room};
use super::text::{bounded, host_and_port, target_path, traceparent};
use crate::event::{Asked, Limits, RequestHead, ResponseHead};
use crate::vendor::Vendor;

/// Content types of streamed answers: server-sent events, JSON lines, and the framing of AWS Bedrock.
const STREAM_TYPES: [&str; 3] =
    ["text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"];

/// What answers say of limits: OpenAI's and Anthropic's names, each for requests and tokens.
const REQUESTS_LEFT: [&str; 2] = ["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"];
const TOKENS_LEFT: [&str; 2] = ["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"];

/// What the head of a request says.
#[derive(Debug)]
pub struct Request {
    pub head: RequestHead,
    /// Reads the body, if there is one, where that can be a question to a model.
    pub question: Option<Question>,
}

/// What the head of an answer says.
#[derive(Debug)]
pub struct Response {
    pub head: ResponseHead,
    pub limits: Option<Limits>,
    /// Of the body, where it is read.
    format: Option<Format>,
    /// In lower case; empty for none.
    coding: String,
}

/// `authority` is what a pseudo field says of the host, where neither a field `Host` nor the target does.
pub fn request(method: &str, target: &str, authority: Option<&str>, headers: &[Header<'_>]) -> Request {
    let (in_target, path) = target_path(target);
    let host = value(headers, "host").or(in_target).or(authority).and_then(|host| host_and_port(host).0);
    let head = RequestHead {
        method: bounded(method, 16),
        path,
        host,
        traceparent: value(headers, "traceparent").and_then(traceparent),
    };
    let retries = retries(headers);
    let is_plain = value(headers, "content-encoding").is_none();
    let is_json = Format::of(&media_type(headers)) == Some(Format::Json);
    let is_question = method == "POST" && is_plain && is_json;
    let question = is_question.then(|| Question::new(Asked { retries, ..Asked::default() }));
    Request { head, question }
}

/// `vendor` names the headers that are kept.
pub fn response(status: u16, headers: &[Header<'_>], vendor: &Vendor) -> Response {
    let media_type = media_type(headers);
    let head = ResponseHead {
        status,
        stream: STREAM_TYPES.contains(&media_type.as_str()),
        vendor_request_id: vendor
            .request_id_headers()
            .find_map(|name| value(headers, name))
            .map(|id| bounded(id, 128)),
        vendor_reported_ns: vendor.time_headers().find_map(|time| time.read_ns(value(headers, time.name())?)),
    };
    let coding = value(headers, "content-encoding").unwrap_or_default().to_ascii_lowercase();
    Response { head, limits: limits(headers), format: Format::of(&media_type), coding }
}

impl Response {
    /// Reads the body, where that can be an answer of a model.
    pub fn answer(&self, room: &Room) -> Option<Answer> {
        Answer::new(self.format?, &self.coding, room)
    }
}

/// How many attempts there were before: OpenAI's SDK and those generated like it say so, and AWS's, which counts from 1.
pub fn retries(headers: &[Header<'_>]) -> Option<u32> {
    let stainless = || value(headers, "x-stainless-retry-count")?.parse().ok();
    let aws = || {
        let fields = value(headers, "amz-sdk-request")?.split(';');
        let attempt = fields.filter_map(|field| field.trim().strip_prefix("attempt=")).next()?;
        attempt.parse::<u32>().ok()?.checked_sub(1)
    };
    stainless().or_else(aws)
}

/// `None` where there is nothing of them. A date to try again at is not read.
fn limits(headers: &[Header<'_>]) -> Option<Limits> {
    let number = |name| value(headers, name)?.parse::<f64>().ok().filter(|number| *number >= 0.0);
    let retry_after_ms = number("retry-after-ms").or_else(|| Some(number("retry-after")? * 1e3));
    let left = |names: [&str; 2]| names.into_iter().find_map(|name| value(headers, name)?.parse().ok());
    let limits = Limits {
        retry_after_ns: retry_after_ms.map(|ms| (ms * 1e6) as u64),
        requests_left: left(REQUESTS_LEFT),
        tokens_left: left(TOKENS_LEFT),
    };
    (limits != Limits::default()).then_some(limits)
}

/// In lower case, without parameters.
fn media_type(headers: &[Header<'_>]) -> String {
    let content_type = value(headers, "content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn value<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(str::trim)
}
