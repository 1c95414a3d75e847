//! From a path to the template that groups it with its like.

/// Segments beyond this many become one `{rest}`, so that a scanner cannot make routes without end.
const SEGMENTS: usize = 12;

/// Longer segments are identifiers, whatever they hold.
const WORD_CHARS: usize = 48;

/// The path with its identifiers replaced: `/users/123/posts` gives `/users/{id}/posts`. What counts as an
/// identifier: numbers and dates, UUIDs, hexadecimal of 8 digits or more, long strings that mix letters and
/// digits, addresses with `@`. A query string or fragment, should there be one, is cut off.
pub fn template(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut route = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            route.push('/');
        }
        if index > SEGMENTS {
            route.push_str("{rest}");
            break;
        }
        route.push_str(if is_identifier(segment) { "{id}" } else { segment });
    }
    if route.is_empty() { "/".to_owned() } else { route }
}

fn is_identifier(segment: &str) -> bool {
    is_number(segment)
        || is_uuid(segment)
        || is_hex(segment)
        || is_random(segment)
        || segment.contains('@')
        || segment.chars().count() > WORD_CHARS
}

/// `42`, `-1`, `3.5`, `2024-12-31`.
fn is_number(segment: &str) -> bool {
    segment.contains(|c: char| c.is_ascii_digit())
        && segment.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | ',' | ':' | '_'))
}

/// RFC 9562, section 4: groups of 8, 4, 4, 4 and 12 hexadecimal digits.
fn is_uuid(segment: &str) -> bool {
    let groups: Vec<&str> = segment.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

/// A word of a language is rarely made of `a` to `f` alone, and never has digits in it.
fn is_hex(segment: &str) -> bool {
    segment.len() >= 8
        && segment.chars().all(|c| c.is_ascii_hexdigit())
        && segment.contains(|c: char| c.is_ascii_digit())
}

/// Long, of letters and digits mixed, as in `thread_9aXk2LmQ0ZpT`: a part between separators that is long
/// and changes between letters and digits more than once. `gpt-4o-mini-2024-07-18` has no such part.
fn is_random(segment: &str) -> bool {
    segment.split(['-', '_', '.', '~', ':']).any(|part| {
        let kinds: Vec<bool> = part.chars().map(|c| c.is_ascii_digit()).collect();
        let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
        part.len() >= 12 && part.chars().all(|c| c.is_ascii_alphanumeric()) && changes >= 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_become_placeholders() {
        for (path, route) in [
            ("/users/123", "/users/{id}"),
            ("/users/123/posts/9", "/users/{id}/posts/{id}"),
            ("/x/6f9619ff-8b86-d011-b42d-00cf4fc964ff", "/x/{id}"),
            ("/commit/d98e9f9a", "/commit/{id}"),
            ("/threads/thread_9aXk2LmQ0ZpT/runs", "/threads/{id}/runs"),
            ("/ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/ulid/{id}"),
            ("/day/2024-12-31", "/day/{id}"),
            ("/mail/someone@example.com", "/mail/{id}"),
        ] {
            assert_eq!(template(path), route, "{path}");
        }
    }

    #[test]
    fn words_stay() {
        for path in [
            "/",
            "/v1/chat/completions",
            "/models/gpt-4o-mini-2024-07-18",
            "/static/app.js",
            "/facade/decade",
            "/internationalization",
            "/users/",
            "*",
        ] {
            assert_eq!(template(path), path);
        }
    }

    #[test]
    fn hostile_paths_stay_bounded() {
        assert_eq!(template(""), "/");
        assert_eq!(template("/a?token=secret"), "/a");
        assert_eq!(template(&format!("/{}", "é".repeat(100))), "/{id}");
        assert_eq!(template(&"/a".repeat(1000)), format!("{}/{{rest}}", "/a".repeat(SEGMENTS)));
    }
}
