//! The routes of requests that come without end: learned on the way, and bounded in number.

use std::collections::HashSet;

use crate::report::{group, route::Templates, types::Request};

/// The route of requests beyond the limit.
pub const OTHER: &str = "{other}";

/// Templates that are looked through for identifiers among them. Beyond, nothing more is learned.
const TEMPLATES: usize = 1_024;

#[derive(Debug)]
pub struct Routes {
    limit: usize,
    templates: Templates,
    seen: HashSet<String>,
    /// As from [`group::label`].
    labels: HashSet<String>,
}

impl Routes {
    /// With so many routes at most, each a method and a template.
    pub fn new(limit: usize) -> Routes {
        Routes { limit, templates: Templates::default(), seen: HashSet::new(), labels: HashSet::new() }
    }

    /// Fills in the routes.
    pub fn fill_in(&mut self, requests: &mut [Request]) {
        self.learn(requests.iter().filter_map(|request| request.path.as_deref()));
        for request in requests {
            request.route = request.path.as_deref().map(|path| self.templates.of(path));
            let label = group::label(request);
            let is_known =
                self.labels.contains(&label) || self.labels.len() < self.limit && self.labels.insert(label);
            if !is_known && request.route.is_some() {
                request.route = Some(OTHER.to_owned());
            }
        }
    }

    fn learn<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        let before = self.seen.len();
        for path in paths {
            if self.seen.len() >= TEMPLATES {
                break;
            }
            self.seen.insert(self.templates.of(path));
        }
        if self.seen.len() > before {
            self.templates.learn_more(self.seen.iter().map(String::as_str));
            self.seen = self.seen.iter().map(|path| self.templates.of(path)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::request;

    fn routes_of<'a>(routes: &mut Routes, paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut requests: Vec<Request> = paths.into_iter().map(|path| request(path, 0, &[])).collect();
        routes.fill_in(&mut requests);
        requests.into_iter().filter_map(|request| request.route).collect()
    }

    #[test]
    fn what_is_learned_stays_learned() {
        let mut routes = Routes::new(100);
        let users: Vec<String> = (0..5).map(|id| format!("/users/u{id}")).collect();
        assert_eq!(routes_of(&mut routes, users.iter().map(String::as_str)), ["/users/{id}"; 5]);
        assert_eq!(routes_of(&mut routes, ["/users/u77", "/users/new"]), ["/users/{id}", "/users/new"]);
    }

    #[test]
    fn one_at_a_time_they_are_learned_too() {
        let mut routes = Routes::new(100);
        for id in 0..4 {
            routes_of(&mut routes, [format!("/jobs/j{id}").as_str()]);
        }
        assert_eq!(routes_of(&mut routes, ["/jobs/j9"]), ["/jobs/{id}"]);
    }

    #[test]
    fn routes_beyond_the_limit_are_one() {
        let mut routes = Routes::new(2);
        assert_eq!(routes_of(&mut routes, ["/a", "/b", "/c", "/a"]), ["/a", "/b", OTHER, "/a"]);
        let word = |number: usize| {
            format!("/{number}").replace(|c: char| c.is_ascii_digit(), "x") + &"y".repeat(number % 40)
        };
        let words: Vec<String> =
            (0..3 * TEMPLATES).map(|number| format!("{}/{}", word(number), word(number / 40))).collect();
        routes_of(&mut routes, words.iter().map(String::as_str));
        assert!(routes.seen.len() <= TEMPLATES && routes.labels.len() == 2);
    }
}
