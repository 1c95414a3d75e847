//! Which requests of a report are shown.

use super::{
    group,
    types::{Finding, Report, Request},
};

/// Narrows a report; the default keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only the request with this id.
    pub request: Option<String>,
    /// Only requests of this route, given as `/chat` or `POST /chat`.
    pub route: Option<String>,
    /// Only that many requests, the slowest ones.
    pub slowest: Option<usize>,
}

impl Filter {
    /// The requests that are of the id and route asked for, in the report's order; `slowest` plays no part.
    pub fn matching<'a>(&self, report: &'a Report) -> Vec<&'a Request> {
        report.requests.iter().filter(|request| self.matches(request)).collect()
    }

    /// The requests to show one by one: those that match, the slowest first where only the slowest are asked
    /// for, else in the report's order.
    pub fn select<'a>(&self, report: &'a Report) -> Vec<&'a Request> {
        let mut requests = self.matching(report);
        if let Some(slowest) = self.slowest {
            requests.sort_by_key(|request| std::cmp::Reverse(request.wall_ns));
            requests.truncate(slowest);
        }
        requests
    }

    /// Whether a finding is about what was asked for. One that names no route is about all of them.
    pub fn keeps(&self, finding: &Finding) -> bool {
        match (&self.route, finding.evidence.get("route").and_then(|route| route.as_str())) {
            (Some(wanted), Some(label)) => is_route(wanted, label),
            _ => true,
        }
    }

    fn matches(&self, request: &Request) -> bool {
        self.request.as_ref().is_none_or(|id| *id == request.id)
            && self.route.as_ref().is_none_or(|route| is_route(route, &group::label(request)))
    }
}

/// `label` is a method and a route; `wanted` may leave the method out.
fn is_route(wanted: &str, label: &str) -> bool {
    wanted == label || label.split_once(' ').is_some_and(|(_, route)| route == wanted)
}
