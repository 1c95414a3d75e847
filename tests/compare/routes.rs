//! What was found and linked of each route.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use tracer::report::types;

use super::Links;
use crate::truth::{Request, Truth};

#[derive(Debug, Default)]
pub struct Route {
    pub name: String,
    pub requests: usize,
    pub found: usize,
    pub right: usize,
    /// Its calls that stand under a request that did not make them.
    pub wrong: usize,
    pub missing: usize,
}

impl Route {
    /// Everything was found, and linked to whom it belongs.
    pub fn is_exact(&self) -> bool {
        (self.found, self.wrong, self.missing) == (self.requests, 0, 0)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Route { name, requests, found, right, wrong, missing } = self;
        write!(
            formatter,
            "  {name:<20} found {found} of {requests}; calls right {right}, wrong {wrong}, missing {missing}"
        )
    }
}

/// By name. `found` are the requests that the report has.
pub fn routes(found: &[(&types::Request, &Request)], links: &Links, truth: &Truth) -> Vec<Route> {
    let mut routes: BTreeMap<&str, Route> = BTreeMap::new();
    let by_id: HashMap<&str, &str> =
        truth.requests.iter().map(|request| (request.id.as_str(), request.route.as_str())).collect();
    let mut count = |id: &str, counter: fn(&mut Route) -> &mut usize| {
        // A request of the warm-up, which the application's log no longer has, counts for no route.
        if let Some(name) = by_id.get(id) {
            *counter(routes.entry(name).or_default()) += 1;
        }
    };
    truth.requests.iter().for_each(|request| count(&request.id, |route| &mut route.requests));
    found.iter().for_each(|(_, request)| count(&request.id, |route| &mut route.found));
    let asked_by = |exchange: usize| truth.exchanges[exchange].request();
    links.pairs.iter().for_each(|(_, exchange)| count(asked_by(*exchange), |route| &mut route.right));
    links.wrong_pairs.iter().for_each(|(_, exchange)| count(asked_by(*exchange), |route| &mut route.wrong));
    links.unseen.iter().for_each(|exchange| count(asked_by(*exchange), |route| &mut route.missing));
    let named = |(name, route)| Route { name: String::from(name), ..route };
    routes.into_iter().map(named).collect()
}
