//! Hands messages to the receiver, by gRPC or by HTTP, and says what became of each.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use hyper::{HeaderMap, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tonic::body::Body;

use super::{grpc, headers, http};
use crate::{
    hint::Hint as _,
    serve::config::{self, Compression, Protocol},
};

pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(90);

/// What a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
}

/// As messages call it.
impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Signal::Traces => "spans",
            Signal::Metrics => "figures",
        })
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Taken, but for so many spans or points.
    Taken { rejected: u64, message: String },
    /// Not now: to be tried again, after so long where the receiver says that.
    Later { after: Option<Duration>, why: String },
    /// Not at all.
    Refused { why: String },
}

/// Where messages go.
pub struct Receiver {
    client: Client,
    endpoint: Uri,
    protocol: Protocol,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
}

impl Receiver {
    /// # Errors
    /// When headers are none, or there is no certificate that an `https` endpoint could be held against.
    pub fn new(endpoint: Uri, config: &config::Otlp) -> anyhow::Result<Receiver> {
        let mut headers = headers::read(config)?;
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(AGENT));
        let builder = HttpsConnectorBuilder::new();
        let builder = if endpoint.scheme_str() == Some("https") {
            let provider = rustls_provider();
            builder
                .with_provider_and_native_roots(provider)
                .context("can't read the certificates that this host trusts")
                .hint("install ca-certificates, or name a file with them in SSL_CERT_FILE")?
        } else {
            builder.with_tls_config(no_tls())
        };
        let builder = builder.https_or_http();
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        let client = match config.protocol {
            Protocol::Grpc => client.http2_only(true).build(builder.enable_http2().build()),
            Protocol::Http => client.build(builder.enable_http1().build()),
        };
        Ok(Receiver {
            client,
            endpoint,
            protocol: config.protocol,
            headers,
            gzip: config.compression == Compression::Gzip,
            timeout: config.timeout,
        })
    }

    /// Sends an encoded request of the signal's service.
    pub async fn send(&self, signal: Signal, bytes: Bytes) -> Outcome {
        let (client, headers) = (self.client.clone(), self.headers.clone());
        let sent = async {
            match self.protocol {
                Protocol::Grpc => {
                    grpc::send(client, self.endpoint.clone(), signal, headers, bytes, self.gzip).await
                }
                Protocol::Http => http::send(client, &self.endpoint, signal, headers, bytes, self.gzip).await,
            }
        };
        let late = |_| Outcome::Later { after: None, why: format!("no answer within {:?}", self.timeout) };
        tokio::time::timeout(self.timeout, sent).await.unwrap_or_else(late)
    }
}

/// Named in errors.
impl fmt::Display for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}", self.endpoint)
    }
}

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

fn rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// For a connector that is not asked for any.
fn no_tls() -> rustls::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(rustls_provider().into());
    let builder = builder.with_safe_default_protocol_versions().expect("the provider has them");
    builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

/// What an error says, with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = Vec::new();
    for cause in causes.map(ToString::to_string) {
        // Some repeat what the next one says.
        if told.last().is_none_or(|last| !last.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}
