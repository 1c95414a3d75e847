//! From paths to the templates that group each with its like.

use std::collections::{HashMap, HashSet};

/// Segments beyond this many become one `{rest}`, so that a scanner cannot make routes without end.
const SEGMENTS: usize = 12;

/// Longer segments are identifiers, whatever they hold.
const WORD_CHARS: usize = 48;

/// What stands for an identifier.
const ID: &str = "{id}";

/// So many segments that differ in their digits alone, in one place below one prefix, are identifiers:
/// `/wait/r1` to `/wait/r5`. Fewer may be words: `/step1`, `/step2`.
const LIKE_SEGMENTS: usize = 5;

/// Templates learned from all paths of a report, for identifiers that only show beside their like.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// Places of identifiers: the template of what stands before, and the segment with its digits taken out.
    places: HashSet<(String, String)>,
}

impl Templates {
    /// Looks for segments that are identifiers by their number.
    pub fn learn<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut templates = Templates::default();
        templates.learn_more(paths);
        templates
    }

    /// The same with what was learned before.
    pub fn learn_more<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) {
        let paths: HashSet<String> = paths.into_iter().map(template).collect();
        let mut paths: Vec<Vec<&str>> = paths.iter().map(|path| path.split('/').collect()).collect();
        // Place by place, so that what is learned of one is in the prefix of the next.
        for index in 0..=SEGMENTS {
            let mut found = HashMap::<(String, String), HashSet<&str>>::new();
            for path in &paths {
                if let Some(segment) = path.get(index).filter(|segment| is_numbered(segment)) {
                    let place = (path[..index].join("/"), shape(segment));
                    found.entry(place).or_default().insert(segment);
                }
            }
            let ids = found.into_iter().filter(|(_, segments)| segments.len() >= LIKE_SEGMENTS);
            self.places.extend(ids.map(|(place, _)| place));
            for path in &mut paths {
                if self.is_id(path, index) {
                    path[index] = ID;
                }
            }
        }
    }

    /// As [`template`], with what was learned.
    pub fn of(&self, path: &str) -> String {
        let path = template(path);
        let mut segments: Vec<&str> = path.split('/').collect();
        for index in 0..segments.len() {
            if self.is_id(&segments, index) {
                segments[index] = ID;
            }
        }
        segments.join("/")
    }

    fn is_id(&self, path: &[&str], index: usize) -> bool {
        path.get(index).is_some_and(|segment| {
            is_numbered(segment) && self.places.contains(&(path[..index].join("/"), shape(segment)))
        })
    }
}

/// A word that ends in a number, other than a version.
fn is_numbered(segment: &str) -> bool {
    let word = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() < segment.len() && !word.eq_ignore_ascii_case("v")
}

fn shape(segment: &str) -> String {
    segment.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
}

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
        route.push_str(if is_identifier(segment) { ID } else { segment });
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
    fn many_alike_are_identifiers() {
        let users = (0..6).map(|id| format!("/users/u{id}/posts/p{}", 7 * id));
        let words = ["/step1", "/step2", "/v1/a", "/v2/a", "/v3/a", "/v4/a", "/v5/a"].map(str::to_owned);
        let paths: Vec<String> = users.chain(words.clone()).collect();
        let templates = Templates::learn(paths.iter().map(String::as_str));
        assert_eq!(templates.of("/users/u3/posts/p21"), "/users/{id}/posts/{id}");
        assert_eq!(templates.of("/users/u99"), "/users/{id}");
        assert_eq!(templates.of("/users/new"), "/users/new");
        assert_eq!(templates.of("/users/5"), "/users/{id}");
        for word in words {
            assert_eq!(templates.of(&word), word);
        }
        assert_eq!(Templates::default().of(""), "/");
    }

    #[test]
    fn hostile_paths_stay_bounded() {
        assert_eq!(template(""), "/");
        assert_eq!(template("/a?token=secret"), "/a");
        assert_eq!(template(&format!("/{}", "é".repeat(100))), "/{id}");
        assert_eq!(template(&"/a".repeat(1000)), format!("{}/{{rest}}", "/a".repeat(SEGMENTS)));
    }
}
