//! What was answered last, in the order and with the filter of each list.

use std::cmp::Reverse;

use serde_json::Value;

use super::{
    answer::{Answer, Question},
    state::{Place, Tab},
};
use crate::{
    report::types::{Finding, Request},
    serve::history::{
        self,
        figures::{Overview, RouteFigures, Vendor},
        read::Listed,
    },
};

#[derive(Clone, Debug, Default)]
pub struct Data {
    pub overview: Option<Overview>,
    pub vendors: Option<Vec<Vendor>>,
    /// With the question that they answer.
    pub requests: Option<(Question, Vec<Listed>)>,
    /// With its id in the history.
    pub request: Option<(String, Request)>,
    pub findings: Option<Vec<Finding>>,
    pub health: Option<Value>,
}

impl Data {
    /// An answer takes the place of an earlier one.
    pub fn take(&mut self, question: Question, answer: Answer) {
        match answer {
            Answer::Overview(overview) => self.overview = Some(*overview),
            Answer::Vendors(vendors) => self.vendors = Some(vendors),
            Answer::Requests(requests) => self.requests = Some((question, requests)),
            Answer::Request(request) => {
                if let Question::Request(id) = question {
                    self.request = Some((id, *request));
                }
            }
            Answer::Findings(findings) => self.findings = Some(findings),
            Answer::Health(health) => self.health = Some(health),
        }
    }

    pub fn routes(&self, place: &Place) -> Vec<&RouteFigures> {
        let routes = self.overview.iter().flat_map(|overview| &overview.routes);
        let mut routes: Vec<_> = routes.filter(|route| fits(place, [route.route.as_str()])).collect();
        routes.sort_by_key(|RouteFigures { figures, .. }| {
            Reverse(match place.order {
                1 => figures.requests,
                2 => figures.errors,
                3 => figures.p95_ns.unwrap_or_default(),
                _ => figures.buckets.sum(),
            })
        });
        routes
    }

    pub fn vendors(&self, place: &Place) -> Vec<&Vendor> {
        let vendors = self.vendors.iter().flatten();
        let named = |vendor: &&Vendor| fits(place, [&vendor.vendor, &vendor.host, &vendor.model]);
        let mut vendors: Vec<&Vendor> = vendors.filter(named).collect();
        vendors.sort_by_key(|vendor| {
            Reverse(match place.order {
                1 => vendor.errors,
                2 => vendor.wall_p95_ns.unwrap_or_default(),
                3 => vendor.output_tokens,
                _ => vendor.calls,
            })
        });
        vendors
    }

    /// In the order in which they were answered.
    pub fn requests(&self, place: &Place) -> Vec<&Listed> {
        let requests = self.requests.iter().flat_map(|(_, requests)| requests);
        requests.filter(|request| fits(place, [request.route.as_str()])).collect()
    }

    pub fn findings(&self, place: &Place) -> Vec<&Finding> {
        self.findings.iter().flatten().filter(|finding| fits(place, [finding.title.as_str()])).collect()
    }

    /// Names of the rows of a list: each has another.
    pub fn names(&self, tab: Tab, place: &Place) -> Vec<String> {
        match tab {
            Tab::Routes => self.routes(place).into_iter().map(|route| route.route.clone()).collect(),
            Tab::Vendors => self.vendors(place).into_iter().map(name_of_vendor).collect(),
            Tab::Requests => self.requests(place).into_iter().map(|request| request.id.clone()).collect(),
            Tab::Findings => self.findings(place).into_iter().map(name_of_finding).collect(),
            Tab::Health => Vec::new(),
        }
    }

    /// By the name of its row; `None` where the vendor of a host is not known.
    pub fn vendor_of(&self, name: &str) -> Option<String> {
        let vendor = self.vendors.iter().flatten().find(|vendor| name_of_vendor(vendor) == name)?;
        Some(vendor.vendor.clone()).filter(|vendor| !vendor.is_empty())
    }

    /// What a finding is about, where that is a route; by the name of its row.
    pub fn route_of_finding(&self, name: &str) -> Option<String> {
        let finding = self.findings.iter().flatten().find(|finding| name_of_finding(finding) == name)?;
        finding.evidence.get("route")?.as_str().map(str::to_owned)
    }
}

fn name_of_vendor(vendor: &Vendor) -> String {
    [vendor.vendor.as_str(), &vendor.host, &vendor.model].join("\n")
}

/// Its kind and what it is about, as its title changes with its figures.
fn name_of_finding(finding: &Finding) -> String {
    format!("{}\n{}", finding.kind, history::subject(finding))
}

/// Whether one of the names has the filter in it, whatever the case.
fn fits<'a, S: AsRef<str> + ?Sized + 'a, const N: usize>(place: &Place, names: [&'a S; N]) -> bool {
    let filter = place.filter.to_lowercase();
    names.iter().any(|name| name.as_ref().to_lowercase().contains(&filter))
}
