//! Texts out of heads, bounded and cleaned before anything keeps them.

/// Bytes kept of a path or a host name.
const TEXT_BYTES: usize = 256;

/// The beginning of `text` that is printable ASCII, at most `limit` bytes.
pub fn bounded(text: &str, limit: usize) -> String {
    text.bytes().take(limit).take_while(|byte| (b' '..=b'~').contains(byte)).map(char::from).collect()
}

/// Host in lower case, if it is one, and port of `host[:port]`.
pub fn host_and_port(authority: &str) -> (Option<String>, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        // Not the colons inside an IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let is_host = !host.is_empty()
        && host.len() <= TEXT_BYTES
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'@' | b'?' | b'#'));
    (is_host.then(|| host.to_ascii_lowercase()), port)
}

/// Authority, if the target has one, and path of a request target (RFC 9112, section 3.2), the query left out.
pub fn target_path(target: &str) -> (Option<&str>, String) {
    let (authority, path) = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            // User information is a credential.
            (authority.rsplit('@').next(), if path.starts_with('/') { path } else { "/" })
        }
        _ => (None, target),
    };
    let end = path.find(['?', '#']).unwrap_or(path.len());
    (authority, bounded(&path[..end], TEXT_BYTES))
}

/// The value if it is of the form that W3C Trace Context, section 3.2, gives for version 00.
pub fn traceparent(value: &str) -> Option<String> {
    let fields: Vec<&str> = value.split('-').collect();
    let [version, trace, parent, flags] = fields[..] else { return None };
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |text: &str| text.bytes().any(|byte| byte != b'0');
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && nonzero(trace)
        && hex(parent, 16)
        && nonzero(parent)
        && hex(flags, 2);
    valid.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_loses_query_authority_and_control_bytes() {
        for (target, authority, path) in [
            ("/v1/chat?key=secret", None, "/v1/chat"),
            ("/a#b", None, "/a"),
            ("*", None, "*"),
            ("http://user:pw@proxy.example:8080/x?y", Some("proxy.example:8080"), "/x"),
            ("http://host", Some("host"), "/"),
            ("http://host?q=://", Some("host"), "/"),
            ("/redirect?to=http://x/", None, "/redirect"),
            ("/caf\u{e9}", None, "/caf"),
        ] {
            assert_eq!(target_path(target), (authority, path.to_owned()), "{target}");
        }
        assert_eq!(target_path(&"/".repeat(1000)).1.len(), 256);
    }

    #[test]
    fn host_loses_its_port() {
        for (authority, host, port) in [
            ("API.OpenAI.com:443", Some("api.openai.com"), Some(443)),
            ("localhost", Some("localhost"), None),
            ("[::1]:80", Some("[::1]"), Some(80)),
            ("[::1]", Some("[::1]"), None),
            ("a:99999", Some("a"), None),
            ("a b", None, None),
            ("", None, None),
        ] {
            assert_eq!(host_and_port(authority), (host.map(str::to_owned), port), "{authority}");
        }
    }

    #[test]
    fn traceparent_is_kept_only_if_valid() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(valid).as_deref(), Some(valid));
        for invalid in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(traceparent(invalid), None, "{invalid}");
        }
    }
}
