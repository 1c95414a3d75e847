//! A command line as it may be stored: short, and without what looks like a secret.

/// Bytes of a command line that are kept.
pub const LENGTH_LIMIT: usize = 200;
const HIDDEN: &str = "***";

/// Parts of a name that announce a secret.
const SECRET_NAMES: [&str; 8] =
    ["key", "token", "secret", "passw", "passphrase", "credential", "auth", "bearer"];
/// How vendors' secrets start, whatever stands before them.
const SECRET_STARTS: [&str; 10] = ["sk-", "pk-", "gsk_", "ghp_", "hf_", "xox", "AKIA", "AIza", "eyJ", "r8_"];

/// Arguments joined by spaces, at most [`LENGTH_LIMIT`] bytes, secrets replaced by `***`.
///
/// `raw` is as in `/proc/PID/cmdline`: each argument ends with a NUL.
pub fn shorten(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut shown: Vec<String> = Vec::new();
    let mut value_is_secret = false;
    for argument in text.trim_end_matches('\0').split('\0') {
        let is_option = argument.starts_with('-');
        shown.push(if value_is_secret && !is_option { HIDDEN.to_owned() } else { hide_secrets(argument) });
        value_is_secret = is_option && !argument.contains('=') && names_secret(argument);
    }
    cut(shown.join(" "))
}

/// Replaces, within one argument, values that follow a telling name (`--api-key=…`, `token: "…"`), words that
/// start as vendors' secrets do, and the user and query of URLs.
fn hide_secrets(argument: &str) -> String {
    let mut shown = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(first) = rest.chars().next() {
        if let Some(url) = rest.strip_prefix("://") {
            shown.push_str("://");
            rest = hide_in_url(url, &mut shown);
        } else if is_word(first) {
            let (word, after) = split_at(rest, |c| !is_word(c));
            shown.push_str(if starts_as_secret(word) { HIDDEN } else { word });
            rest = if names_secret(word) { hide_value(after, &mut shown) } else { after };
        } else {
            shown.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    shown
}

/// Writes what assigns a value at the start of `text`, if something does, and hides the value. Returns what
/// follows.
fn hide_value<'a>(text: &'a str, shown: &mut String) -> &'a str {
    let (before, after) = split_at(text, |c| !matches!(c, ' ' | '"' | '\'' | ']'));
    let Some(operator @ ('=' | ':')) = after.chars().next() else { return text };
    let (assignment, value) = split_at(after, |c| !matches!(c, '=' | ':' | ' '));
    shown.push_str(before);
    shown.push_str(assignment);
    let rest = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            shown.push(quote);
            split_at(value.get(1..).unwrap_or(""), |c| c == quote).1
        }
        // A header's value may have several words.
        _ if operator == ':' => split_at(value, |c| matches!(c, ',' | ')' | '}' | '\n')).1,
        _ => split_at(value, |c| c.is_whitespace() || matches!(c, ',' | ')' | '&' | ';')).1,
    };
    shown.push_str(HIDDEN);
    rest
}

/// Writes a URL, of which `text` is what follows `://`, without user and query. Returns what follows it.
fn hide_in_url<'a>(text: &'a str, shown: &mut String) -> &'a str {
    let (url, rest) = split_at(text, |c| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ')'));
    let (location, query) = split_at(url, |c| c == '?');
    let (authority, path) = split_at(location, |c| c == '/');
    match authority.rsplit_once('@') {
        Some((_, host)) => shown.extend([HIDDEN, "@", host]),
        None => shown.push_str(authority),
    }
    shown.push_str(path);
    if !query.is_empty() {
        shown.extend(["?", HIDDEN]);
    }
    rest
}

/// Splits before the first character that ends the part.
fn split_at(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn starts_as_secret(word: &str) -> bool {
    word.len() >= 12 && SECRET_STARTS.iter().any(|start| word.starts_with(start))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn cut(mut text: String) -> String {
    if text.len() > LENGTH_LIMIT {
        let end = (0..=LENGTH_LIMIT - '…'.len_utf8()).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn joins_arguments() {
        assert_eq!(
            shorten(b"python3\0-m\0uvicorn\0app:main\0--port=8000\0"),
            "python3 -m uvicorn app:main --port=8000"
        );
        assert_eq!(shorten(b""), "");
    }

    #[test]
    fn hides_values_of_telling_names() {
        assert_eq!(shorten(b"app\0--api-key\0abc\0--x\0y\0"), "app --api-key *** --x y");
        assert_eq!(shorten(b"app\0--api-key=abc.def\0"), "app --api-key=***");
        assert_eq!(shorten(b"env\0OPENAI_API_KEY=abc\0python\0"), "env OPENAI_API_KEY=*** python");
        assert_eq!(
            shorten(b"python\0-c\0run(password = 'a b', n=3)\0"),
            "python -c run(password = '***', n=3)"
        );
        assert_eq!(shorten(b"curl\0-H\0Authorization: Bearer abc\0"), "curl -H Authorization: ***");
    }

    #[test]
    fn hides_what_looks_like_a_secret() {
        assert_eq!(shorten(b"app\0sk-proj-0123456789abcdef\0"), "app ***");
        assert_eq!(shorten(b"python\0-c\0f('sk-ant-0123456789')\0"), "python -c f('***')");
        assert_eq!(shorten(b"app\0sk-learn\0"), "app sk-learn");
    }

    #[test]
    fn hides_users_and_queries_of_urls() {
        assert_eq!(shorten(b"app\0postgres://me:word@db:5432/x\0"), "app postgres://***@db:5432/x");
        assert_eq!(shorten(b"app\0--url=https://h/p?q=1&r=2\0"), "app --url=https://h/p?***");
    }

    proptest! {
        #[test]
        fn is_short_and_holds_no_named_secret(
            before in "[a-z ]{0,8}",
            secret in "[A-Z0-9]{16,300}",
            after in "\\PC{0,300}",
        ) {
            let raw = format!("app\0{before}\0--token={secret}\0--password\0{secret}\0{after}\0");
            let shown = shorten(raw.as_bytes());
            prop_assert!(shown.len() <= LENGTH_LIMIT);
            prop_assert!(!shown.contains(&secret) || after.contains(&secret) );
        }

        #[test]
        fn survives_any_bytes(raw in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(shorten(&raw).len() <= LENGTH_LIMIT);
        }
    }
}
