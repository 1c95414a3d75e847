//! Questions to the daemon over HTTP, each on a connection of its own.

use std::{fmt, time::Duration};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer at most; a page of requests takes some hundred kB.
const MAX_BYTES: usize = 64 << 20;

/// Bytes of one event of a stream at most.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// Where the daemon answers, and what it wants to be told.
#[derive(Clone)]
pub struct Client {
    /// Host and port, as the URL has them.
    place: String,
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens, or what was sent was not answered.
    Silent(String),
    /// The daemon refused, and said why.
    Refused(StatusCode, String),
    /// Something answers that is not the daemon, or another version of it.
    Foreign(String),
}

/// The token is nobody's business.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// When the URL is not one of `http://HOST:PORT`, or the token can't be sent.
    pub fn new(url: &str, token: Option<String>) -> anyhow::Result<Client> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        if uri.scheme_str() != Some("http") {
            bail!("`{url}` does not begin with http://, which is what the daemon speaks");
        }
        let authority = uri.authority().with_context(|| format!("`{url}` names no host"))?;
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            bail!("`{url}` has more than a host and a port");
        }
        let port = authority.port_u16().unwrap_or(80);
        if token.as_deref().is_some_and(|token| bearer(token).is_err()) {
            bail!("the token has characters that no header can have");
        }
        Ok(Client { place: format!("{}:{port}", authority.host()), token })
    }

    /// Host and port.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The body of the answer to `GET path`.
    ///
    /// # Errors
    /// When there is none, or it is a refusal.
    pub async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        in_time(async { whole(self.open(path).await?).await }).await
    }

    /// The stream of server-sent events at a path.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn events(&self, path: &str) -> Result<Events, Failure> {
        let response = in_time(self.open(path)).await?;
        Ok(Events { body: response.into_body(), held: Vec::new() })
    }

    /// Asks, and reads the head of an answer that is no refusal.
    async fn open(&self, path: &str) -> Result<Response<Incoming>, Failure> {
        let silent = |error: &dyn fmt::Display| Failure::Silent(error.to_string());
        let stream = TcpStream::connect(&self.place).await.map_err(|error| silent(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| silent(&error))?;
        // It ends with the answer; how is seen there.
        tokio::spawn(connection);
        let mut request = Request::get(path)
            .header(HOST, &self.place)
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some(Ok(value)) = self.token.as_deref().map(bearer) {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| silent(&error))?;
        let response = sender.send_request(request).await.map_err(|error| silent(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = whole(response).await?;
        Err(match reason(&body) {
            Some(reason) => Failure::Refused(status, reason),
            None => Failure::Foreign(format!("it answers {status}")),
        })
    }
}

/// Server-sent events as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    held: Vec<u8>,
}

impl Events {
    /// Name and data of the next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some(end) = self.held.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.held.drain(..end + 2).collect();
                if let Some(event) = parse(&String::from_utf8_lossy(&event)) {
                    return Some(event);
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(bytes) = frame.into_data() {
                if self.held.len() + bytes.len() > MAX_EVENT_BYTES {
                    return None;
                }
                self.held.extend_from_slice(&bytes);
            }
        }
    }
}

/// An event by its lines, of which those that only keep the connection have no data.
fn parse(event: &str) -> Option<(String, String)> {
    let field = |name: &str| {
        event
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start().to_owned()))
    };
    Some((field("event").unwrap_or_default(), field("data")?))
}

fn bearer(token: &str) -> Result<hyper::header::HeaderValue, hyper::header::InvalidHeaderValue> {
    let mut value = hyper::header::HeaderValue::from_str(&format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An answer, where it comes in time.
async fn in_time<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure::Silent(format!("no answer in {} s", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| Failure::Silent(error.to_string()))
}

/// What a refusal says.
fn reason(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body["error"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_of_a_host_and_a_port() {
        let place = |url| Client::new(url, None).map(|client| client.place);
        assert_eq!(place("http://127.0.0.1:7070").expect("one"), "127.0.0.1:7070");
        assert_eq!(place("http://[::1]:7070/").expect("one"), "[::1]:7070");
        assert_eq!(place("http://tracer.example").expect("one"), "tracer.example:80");
        for bad in
            ["", "localhost", "https://localhost:7070", "http://localhost/x", "http://a@b/", "http://a/?b"]
        {
            assert!(place(bad).is_err(), "{bad}");
        }
        assert!(Client::new("http://localhost", Some("a\nb".to_owned())).is_err());
    }

    #[test]
    fn events_are_told_from_what_keeps_the_connection() {
        assert_eq!(
            parse("event: request\nid: 3\ndata: {}\n\n"),
            Some(("request".to_owned(), "{}".to_owned()))
        );
        assert_eq!(parse(":\n\n"), None);
    }
}
