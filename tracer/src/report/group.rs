//! Requests by route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    bucket::Bucket,
    stats,
    types::{Kind, Request},
};

/// The requests of one route.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// As from [`label`].
    pub label: String,
    pub requests: Vec<&'a Request>,
}

/// Groups requests by their route, the group with the most wall time first.
pub fn by_route<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Vec<Group<'a>> {
    let mut groups = BTreeMap::<String, Vec<&Request>>::new();
    for request in requests {
        groups.entry(label(request)).or_default().push(request);
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|(label, requests)| Group { label, requests }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.wall_ns()));
    groups
}

/// What a request is called: `POST /users/{id}`, or `(run)` for a process that served no requests.
pub fn label(request: &Request) -> String {
    if request.kind == Kind::Run {
        return "(run)".to_owned();
    }
    let route = request.route.as_deref().or(request.path.as_deref()).unwrap_or("?");
    format!("{} {route}", request.method.as_deref().unwrap_or("?"))
}

impl Group<'_> {
    /// Wall time of all its requests.
    pub fn wall_ns(&self) -> u64 {
        stats::sum(self.requests.iter().map(|request| request.wall_ns))
    }

    /// Percentile of the wall time of its requests.
    pub fn wall_percentile_ns(&self, percent: f64) -> u64 {
        let walls: Vec<u64> = self.requests.iter().map(|request| request.wall_ns).collect();
        stats::percentile(&walls, percent).unwrap_or_default()
    }

    /// Time of all its requests in a bucket; `None` where the bucket was seen in none of them.
    pub fn bucket_ns(&self, bucket: Bucket) -> Option<u64> {
        let known = self.requests.iter().filter_map(|request| request.buckets.get(bucket));
        known.fold(None, |sum, ns| Some(ns.saturating_add(sum.unwrap_or(0))))
    }

    /// Whether the bucket could not be seen in some of its requests.
    pub fn is_unknown(&self, bucket: Bucket) -> bool {
        self.requests.iter().any(|request| request.buckets.get(bucket).is_none())
    }

    /// Time of all its requests on one side.
    pub fn side_ns(&self, side: Side) -> u64 {
        let buckets = Bucket::ALL.into_iter().filter(|bucket| side_of(*bucket) == side);
        stats::sum(buckets.filter_map(|bucket| self.bucket_ns(bucket)))
    }

    /// Time in which its requests could have gone on, had others not been served first.
    pub fn held_up_ns(&self) -> u64 {
        let buckets = [Bucket::WaitLoop, Bucket::WaitGil, Bucket::WaitExecutor, Bucket::WaitRunqueue];
        stats::sum(buckets.into_iter().filter_map(|bucket| self.bucket_ns(bucket)))
    }

    /// Calls of all its requests.
    pub fn calls(&self) -> usize {
        self.requests.iter().map(|request| request.calls.len()).sum()
    }
}

/// Who can do something about a bucket or a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The LLM vendor: all of `llm.*`.
    Vendor,
    /// The application and its host: `python.*` and `wait.*`.
    #[default]
    Own,
    /// Other peers, the caller, and what could not be attributed.
    Other,
}

/// The side of a bucket.
pub fn side_of(bucket: Bucket) -> Side {
    match bucket.name().split('.').next() {
        Some("llm") => Side::Vendor,
        Some("python" | "wait") => Side::Own,
        _ => Side::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_follow_the_names() {
        assert_eq!(side_of(Bucket::LlmBackoff), Side::Vendor);
        assert_eq!(side_of(Bucket::PythonCpu), Side::Own);
        assert_eq!(side_of(Bucket::WaitLoop), Side::Own);
        assert_eq!(side_of(Bucket::NetOther), Side::Other);
        assert_eq!(side_of(Bucket::Unattributed), Side::Other);
    }
}
