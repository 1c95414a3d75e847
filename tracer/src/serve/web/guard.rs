//! Who may ask. On loopback everybody on this host, but no web page of another one: a name that resolves to 127.0.0.1 makes a
//! browser send such pages' requests here. Elsewhere whoever has the token.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
            WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{Site, answer::Refusal};

/// The page loads its own parts alone, asks nobody else, makes no HTML of text, and is shown within no other.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Whether a caller is answered at all, and what every answer says to browsers.
pub async fn check(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is_open = site.config.token.is_some();
    let mut response = match stranger(request.headers()).filter(|_| !is_open) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a caller may have data.
pub async fn check_token(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    match site.config.token.as_deref().and_then(|token| without_token(token, request.headers())) {
        Some(refusal) => {
            let mut response = refusal.into_response();
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        None => next.run(request).await,
    }
}

fn without_token(token: &str, headers: &HeaderMap) -> Option<Refusal> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let is_right = given.is_some_and(|given| is_same(given, token.as_bytes()));
    let reason = "send web.token of the configuration as `Authorization: Bearer TOKEN`";
    (!is_right).then(|| Refusal::new(StatusCode::UNAUTHORIZED, reason))
}

fn stranger(headers: &HeaderMap) -> Option<Refusal> {
    let is_local = |value: &HeaderValue| value.to_str().is_ok_and(is_loopback);
    if !headers.get(HOST).is_some_and(is_local) {
        let reason = "only localhost, 127.0.0.1 and [::1] are served: set web.token to serve other names";
        return Some(Refusal::new(StatusCode::FORBIDDEN, reason));
    }
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        origin.and_then(|origin| origin.authority().map(|of| is_loopback(of.as_str()))).unwrap_or(false)
    };
    if !headers.get(ORIGIN).is_none_or(is_own) {
        return Some(Refusal::new(StatusCode::FORBIDDEN, "pages of other hosts are not answered"));
    }
    None
}

/// `host` may have a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes as long whatever differs.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    let differs = given.iter().zip(token).fold(0, |differs, (one, other)| differs | (one ^ other));
    given.len() == token.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(token: Option<&str>, headers: &[(&'static str, &'static str)]) -> Option<StatusCode> {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        let headers = headers.collect();
        let refusal = token.map_or_else(|| stranger(&headers), |token| without_token(token, &headers));
        refusal.map(|refusal| refusal.into_response().status())
    }

    #[test]
    fn on_loopback_names_of_this_host_alone_are_served() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070", "[::1]"] {
            assert_eq!(status(None, &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7070", "10.0.0.1", "[::2]", ""]
        {
            assert_eq!(status(None, &[("host", host)]), Some(StatusCode::FORBIDDEN), "{host}");
        }
        assert_eq!(status(None, &[]), Some(StatusCode::FORBIDDEN));
    }

    #[test]
    fn pages_of_other_hosts_are_not() {
        let origin = |origin| status(None, &[("host", "localhost"), ("origin", origin)]);
        assert_eq!(origin("http://localhost:7070"), None);
        for other in ["https://evil.example", "null", "http://localhost.evil.example"] {
            assert_eq!(origin(other), Some(StatusCode::FORBIDDEN), "{other}");
        }
    }

    #[test]
    fn with_a_token_that_is_asked_for_whatever_the_name() {
        let given = |headers: &[(&'static str, &'static str)]| status(Some("secret"), headers);
        assert_eq!(given(&[("host", "tracer.example"), ("authorization", "Bearer secret")]), None);
        for wrong in ["Bearer secre", "Bearer secretX", "Bearer ", "Basic secret", "secret"] {
            let headers = [("host", "localhost"), ("authorization", wrong)];
            assert_eq!(given(&headers), Some(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        assert_eq!(given(&[("host", "localhost")]), Some(StatusCode::UNAUTHORIZED));
    }
}
