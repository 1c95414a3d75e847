//! HTTP/1 heads: what of them is kept, and how the body behind them is framed.

use httparse::{EMPTY_HEADER, Error, Header, Request, Response, Status};

use super::body::Body;
use super::chunked::Chunked;
use crate::event::RequestHead;
use crate::vendor::Vendor;
use crate::wire::content::Question;
use crate::wire::fields;
use crate::wire::text::host_and_port;

/// Header lines of one head; a head with more is not parsed.
const HEADERS: usize = 256;

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
    pub answer: fields::Response,
    framing: Framing,
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
    let fields::Request { head, question } = fields::request(method, target, None, request.headers);
    let tunnel = is_connect.then(|| host_and_port(target)).map(|(host, port)| (host, port.unwrap_or(443)));
    let tunnel = match tunnel {
        Some((Some(host), port)) => Some((host, port)),
        Some((None, _)) => return Err(Malformed),
        None => None,
    };
    let question = question.filter(|_| body.is_some());
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
    let answer = fields::response(status, response.headers, vendor);
    Ok(Some((taken, ParsedResponse { answer, framing })))
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
        if to_head || matches!(self.answer.head.status, 100..200 | 204 | 304) {
            return None;
        }
        match self.framing {
            Framing::Length(0) => None,
            Framing::Length(length) => Some(Body::Length(length)),
            Framing::Chunked => Some(Body::Chunked(Chunked::new())),
            Framing::OtherCoding | Framing::Absent => Some(Body::UntilClose),
        }
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
