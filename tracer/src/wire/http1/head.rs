//! HTTP/1 heads: what of them is kept, and how the body behind them is framed.

use httparse::{EMPTY_HEADER, Error, Header, Request, Response, Status};

use super::body::Body;
use super::chunked::Chunked;
use super::text::{bounded, host_and_port, target_path, traceparent};
use crate::event::{Asked, Limits, RequestHead, ResponseHead};
use crate::vendor::Vendor;
use crate::wire::content::{Answer, Format, Question};

/// Header lines of one head; a head with more is not parsed.
const HEADERS: usize = 256;

/// Content types of streamed answers: server-sent events, JSON lines, and the framing of AWS Bedrock.
const STREAM_TYPES: [&str; 3] =
    ["text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"];

/// What answers say of limits: OpenAI's and Anthropic's names, each for requests and tokens.
const REQUESTS_LEFT: [&str; 2] = ["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"];
const TOKENS_LEFT: [&str; 2] = ["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"];

/// A parsed request head.
#[derive(Debug)]
pub struct ParsedRequest {
    pub head: RequestHead,
    /// Where a `CONNECT` leads.
    pub tunnel: Option<(String, u16)>,
    /// `None` for no body.
    pub body: Option<Body>,
    /// Reads the body, where that can be a question to a model.
    pub question: Option<Question>,
}

/// A parsed response head.
#[derive(Debug)]
pub struct ParsedResponse {
    pub head: ResponseHead,
    framing: Framing,
    /// Of the body, where it is read.
    format: Option<Format>,
    pub limits: Option<Limits>,
    /// In lower case; empty for none.
    coding: String,
}

/// What the header fields say of the body.
#[derive(Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    /// A transfer coding that does not end with `chunked`.
    OtherCoding,
    Absent,
}

/// The head breaks the protocol, or its framing is ambiguous.
#[derive(Debug, PartialEq)]
pub struct Malformed;

impl From<Error> for Malformed {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Parses a request head; `None` while it is not complete. Gives the bytes it takes, too.
pub fn request(bytes: &[u8]) -> Result<Option<(usize, ParsedRequest)>, Malformed> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let Status::Complete(taken) = request.parse(bytes)? else { return Ok(None) };
    let method = request.method.ok_or(Malformed)?;
    let target = request.path.ok_or(Malformed)?;
    let framing = framing(request.headers, request.version)?;
    let is_connect = method == "CONNECT";
    let body = match framing {
        _ if is_connect => None,
        Framing::Length(0) | Framing::Absent => None,
        Framing::Length(length) => Some(Body::Length(length)),
        Framing::Chunked => Some(Body::Chunked(Chunked::new())),
        Framing::OtherCoding => return Err(Malformed),
    };
    let (authority, path) = target_path(target);
    let host = value(request.headers, "host").or(authority).and_then(|host| host_and_port(host).0);
    let head = RequestHead {
        method: bounded(method, 16),
        path,
        host,
        traceparent: value(request.headers, "traceparent").and_then(traceparent),
    };
    let tunnel = is_connect.then(|| host_and_port(target)).map(|(host, port)| (host, port.unwrap_or(443)));
    let tunnel = match tunnel {
        Some((Some(host), port)) => Some((host, port)),
        Some((None, _)) => return Err(Malformed),
        None => None,
    };
    let headers = &*request.headers;
    let retries = retries(headers);
    let is_plain = value(headers, "content-encoding").is_none();
    let is_json = Format::of(&media_type(headers)) == Some(Format::Json);
    let is_question = body.is_some() && method == "POST" && is_plain && is_json;
    let question = is_question.then(|| Question::new(Asked { retries, ..Asked::default() }));
    Ok(Some((taken, ParsedRequest { head, tunnel, body, question })))
}

/// Parses a response head; `None` while it is not complete. Gives the bytes it takes, too. `vendor` names the
/// headers that are kept.
pub fn response(bytes: &[u8], vendor: &Vendor) -> Result<Option<(usize, ParsedResponse)>, Malformed> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = Response::new(&mut headers);
    let Status::Complete(taken) = response.parse(bytes)? else { return Ok(None) };
    let framing = framing(response.headers, response.version)?;
    let status = response.code.filter(|code| (100..1000).contains(code)).ok_or(Malformed)?;
    let headers = &*response.headers;
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
    let format = Format::of(&media_type);
    let coding = value(headers, "content-encoding").unwrap_or_default().to_ascii_lowercase();
    Ok(Some((taken, ParsedResponse { head, framing, format, limits: limits(headers), coding })))
}

/// Of a head that runs on past the copied bytes: the lines that are whole, as a head of their own. `None` when
/// not even the first line can be made sense of.
pub fn whole_lines(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lines = match bytes.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => bytes[..=end].to_vec(),
        None => {
            // A long target: the method and the beginning of the path are there.
            let mut words = bytes.splitn(3, |&byte| byte == b' ');
            let (method, target) = (words.next()?, words.next()?);
            [method, b" ", target, b" HTTP/1.1\r\n"].concat()
        }
    };
    lines.extend(b"\r\n");
    Some(lines)
}

impl ParsedResponse {
    /// The body behind this head, `None` for none. `to_head` when it answers a HEAD request.
    pub fn body(&self, to_head: bool) -> Option<Body> {
        if to_head || matches!(self.head.status, 100..200 | 204 | 304) {
            return None;
        }
        match self.framing {
            Framing::Length(0) => None,
            Framing::Length(length) => Some(Body::Length(length)),
            Framing::Chunked => Some(Body::Chunked(Chunked::new())),
            Framing::OtherCoding | Framing::Absent => Some(Body::UntilClose),
        }
    }

    /// Reads the body, where that can be an answer of a model.
    pub fn answer(&self) -> Option<Answer> {
        Answer::new(self.format?, &self.coding)
    }

    /// Whether the chunked coding was among the lines seen.
    pub fn is_chunked(&self) -> bool {
        self.framing == Framing::Chunked
    }
}

/// RFC 9112, section 6.3; what could be read in two ways is malformed.
fn framing(headers: &[Header<'_>], version: Option<u8>) -> Result<Framing, Malformed> {
    let mut length = None;
    let mut last_coding: Option<&str> = None;
    let mut chunked_codings = 0;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(|_| Malformed)?;
            let found = text
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u64>().ok())
                .flatten()
                .filter(|&length| length <= i64::MAX as u64)
                .ok_or(Malformed)?;
            if length.is_some_and(|length| length != found) {
                return Err(Malformed);
            }
            length = Some(found);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            let text = std::str::from_utf8(header.value).map_err(|_| Malformed)?;
            for coding in text.split(',').map(str::trim) {
                chunked_codings += u32::from(coding.eq_ignore_ascii_case("chunked"));
                last_coding = Some(coding);
            }
        }
    }
    match (length, last_coding) {
        (Some(_), Some(_)) => Err(Malformed),
        (Some(length), None) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::Absent),
        (None, Some(_)) if version == Some(0) || chunked_codings > 1 => Err(Malformed),
        (None, Some(last)) if last.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (None, Some(_)) if chunked_codings > 0 => Err(Malformed),
        (None, Some(_)) => Ok(Framing::OtherCoding),
    }
}

/// How many attempts there were before: OpenAI's SDK and those generated like it say so, and AWS's, which counts from 1.
fn retries(headers: &[Header<'_>]) -> Option<u32> {
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
