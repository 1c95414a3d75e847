//! The web page: one document, its script and its styles, built from `web/` and embedded. They hold no data, so they are served
//! without the token, which the page asks for.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::Bytes,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};

use super::Site;

/// Where the document is: each is a view of it.
const VIEWS: [&str; 9] = [
    "/",
    "/requests",
    "/requests/{id}",
    "/flame",
    "/vendors",
    "/findings",
    "/compare",
    "/processes",
    "/health",
];

static DOCUMENT: LazyLock<Part> =
    LazyLock::new(|| Part::new("text/html; charset=utf-8", include_bytes!("../../../data/web/index.html")));
static SCRIPT: LazyLock<Part> = LazyLock::new(|| {
    Part::new("text/javascript; charset=utf-8", include_bytes!("../../../data/web/page.js"))
});
static STYLES: LazyLock<Part> =
    LazyLock::new(|| Part::new("text/css; charset=utf-8", include_bytes!("../../../data/web/page.css")));
static ICON: LazyLock<Part> =
    LazyLock::new(|| Part::new("image/svg+xml", include_bytes!("../../../data/web/icon.svg")));

/// The parts other than the document, by path.
const PARTS: [(&str, &LazyLock<Part>); 3] =
    [("/page.js", &SCRIPT), ("/page.css", &STYLES), ("/icon.svg", &ICON)];

pub fn router() -> Router<Arc<Site>> {
    let views = VIEWS.map(|path| (path, &DOCUMENT));
    views.into_iter().chain(PARTS).fold(Router::new(), |router, (path, part)| {
        router.route(path, get(async |headers: HeaderMap| part.answer(&headers)))
    })
}

/// A file of the page.
struct Part {
    content_type: HeaderValue,
    etag: HeaderValue,
    plain: &'static [u8],
    gzip: Bytes,
}

impl Part {
    fn new(content_type: &'static str, plain: &'static [u8]) -> Part {
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail.
        let _ = encoder.write_all(plain);
        Part {
            content_type: HeaderValue::from_static(content_type),
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
            plain,
            gzip: encoder.finish().unwrap_or_default().into(),
        }
    }

    /// The file, or that the caller has it: whether it does is asked each time, as another version has the same names.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let has = |name, text: &str| {
            asked.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(text))
        };
        let mut response = if asked.get(IF_NONE_MATCH) == Some(&self.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if has(ACCEPT_ENCODING, "gzip") {
            ([(CONTENT_ENCODING, "gzip")], self.gzip.clone()).into_response()
        } else {
            Bytes::from_static(self.plain).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(ETAG, self.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}
