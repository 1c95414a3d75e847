//! What is asked of the daemon, and what it answers (`docs/api.md`).

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::client::Failure;
use crate::{
    report::types::{Finding, Request},
    serve::history::{
        figures::{Overview, Vendor},
        read::{Listed, Page},
        whole::Whole,
    },
};

/// Requests that are listed at most.
const REQUESTS: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    Overview,
    Vendors,
    Requests { slowest: bool, route: Option<String>, vendor: Option<String> },
    Request(String),
    Findings,
    Health,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Overview(Box<Overview>),
    Vendors(Vec<Vendor>),
    Requests(Vec<Listed>),
    Request(Box<Request>),
    Findings(Vec<Finding>),
    Health(Value),
}

#[derive(Deserialize)]
struct Vendors {
    vendors: Vec<Vendor>,
}

#[derive(Deserialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl Question {
    /// Of so long ago until now.
    pub fn path(&self, since: Duration) -> String {
        let since = format!("since={}", encode(&humantime::format_duration(since).to_string()));
        match self {
            Question::Overview => format!("/api/v1/overview?{since}&points=1"),
            Question::Vendors => format!("/api/v1/vendors?{since}"),
            Question::Requests { slowest, route, vendor } => {
                let order = if *slowest { "slowest" } else { "newest" };
                let mut path = format!("/api/v1/requests?{since}&order={order}&limit={REQUESTS}");
                for (name, value) in [("route", route), ("vendor", vendor)] {
                    let filter = value.as_deref().map(|value| format!("&{name}={}", encode(value)));
                    path.push_str(&filter.unwrap_or_default());
                }
                path
            }
            Question::Request(id) => format!("/api/v1/requests/{}", encode(id)),
            Question::Findings => format!("/api/v1/findings?{since}"),
            Question::Health => "/api/v1/health".to_owned(),
        }
    }

    /// # Errors
    /// When the body is no answer to this question.
    pub fn parse(&self, body: &[u8]) -> Result<Answer, Failure> {
        Ok(match self {
            Question::Overview => Answer::Overview(Box::new(json(body)?)),
            Question::Vendors => Answer::Vendors(json::<Vendors>(body)?.vendors),
            Question::Requests { .. } => Answer::Requests(json::<Page>(body)?.requests),
            Question::Request(_) => Answer::Request(Box::new(json::<Whole>(body)?.into_request())),
            Question::Findings => Answer::Findings(json::<Findings>(body)?.findings),
            Question::Health => Answer::Health(json(body)?),
        })
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Foreign(error.to_string()))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_escaped() {
        let route = Some("GET /chat/{id}?&".to_owned());
        let question = Question::Requests { slowest: true, route, vendor: None };
        assert_eq!(
            question.path(Duration::from_secs(300)),
            "/api/v1/requests?since=5m&order=slowest&limit=500&route=GET%20%2Fchat%2F%7Bid%7D%3F%26"
        );
        assert_eq!(Question::Request("../x".to_owned()).path(Duration::ZERO), "/api/v1/requests/%2E%2E%2Fx");
    }
}
