//! Questions to the history. Whoever asks has a connection of its own, and never keeps the writer waiting.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Value};
use serde::{Deserialize, Serialize};

use super::{
    schema, sums,
    whole::Whole,
    writer::{MINUTE_NS, is_error},
};
use crate::{
    hint::Hint as _,
    report::{
        group,
        types::{Buckets, Finding, Process, Request, UnknownBucket},
    },
};

/// Requests on one page: what is asked for at most, and by default.
const MAX_PAGE: u64 = 1_000;
const PAGE: u64 = 100;

pub struct Reader {
    pub(super) database: Connection,
}

/// A stretch of time, in ns since the epoch: what ended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub from_unix_ns: u64,
    pub to_unix_ns: u64,
}

impl Range {
    /// The minutes that lie in it, with those that do in part.
    pub(super) fn minutes(self) -> (i64, i64) {
        ((self.from_unix_ns / MINUTE_NS) as i64, (self.to_unix_ns / MINUTE_NS) as i64)
    }
}

/// Which requests are asked for; the default is all, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `GET /chat`, or `/chat` for every method.
    pub route: Option<String>,
    pub pid: Option<u32>,
    pub status: Option<u16>,
    pub errors: bool,
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub min_wall_ns: Option<u64>,
    pub order: Order,
    pub limit: Option<u64>,
    /// What [`Page::next`] said.
    pub after: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Newest,
    Slowest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    pub requests: Vec<Listed>,
    /// For [`Asked::after`]; `None` on the last page.
    pub next: Option<String>,
}

/// A request in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    pub id: String,
    pub pid: u32,
    pub route: String,
    pub status: Option<u16>,
    pub is_error: bool,
    pub complete: bool,
    pub start_unix_ns: u64,
    pub wall_ns: u64,
    pub buckets: Buckets,
    pub calls: u64,
}

impl Listed {
    pub fn of(request: &Request) -> Listed {
        Listed {
            id: request.id.clone(),
            pid: request.pid,
            route: group::label(request),
            status: request.status,
            is_error: is_error(request),
            complete: request.complete,
            start_unix_ns: request.start_unix_ns,
            wall_ns: request.wall_ns,
            buckets: request.buckets.clone(),
            calls: request.calls.len() as u64,
        }
    }
}

/// A process that lived within a range.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    #[serde(flatten)]
    pub process: Process,
    pub seen_unix_ns: u64,
    pub unknown: Vec<UnknownBucket>,
}

impl Reader {
    /// # Errors
    /// When there is no history, or it can't be read.
    pub fn open(path: &Path) -> anyhow::Result<Reader> {
        let database = schema::open_to_read(path)
            .with_context(|| format!("can't read the history {}", path.display()))
            .hint("`sudo tracer serve` writes one; --history names another file")?;
        Ok(Reader { database })
    }

    /// When the last request ended.
    pub fn last_unix_ns(&self) -> anyhow::Result<Option<u64>> {
        let find = "SELECT max(end_unix_ns) FROM requests";
        let last: Option<i64> = self.database.query_row(find, [], |row| row.get(0))?;
        Ok(last.map(|last| last as u64))
    }

    /// A page of requests that ended within a range.
    pub fn requests(&self, range: Range, asked: &Asked) -> anyhow::Result<Page> {
        let key = match asked.order {
            Order::Newest => "end_unix_ns",
            Order::Slowest => "wall_ns",
        };
        let limit = asked.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE) as usize;
        let (filter, values) = filter(range, asked, key)?;
        let sql = format!(
            "SELECT requests.id, pid, label, status, is_error, complete, start_unix_ns, wall_ns, buckets,
                (SELECT count(*) FROM calls WHERE request = requests.id), {key}
             FROM requests JOIN routes ON routes.id = route WHERE {filter}
             ORDER BY {key} DESC, requests.id DESC LIMIT {}",
            limit + 1
        );
        let mut statement = self.database.prepare_cached(&sql)?;
        let row = |row: &Row| Ok((listed(row)?, row.get::<_, i64>(10)?));
        let found = statement.query_map(rusqlite::params_from_iter(values), row)?;
        let mut found: Vec<(Listed, i64)> = found.collect::<rusqlite::Result<_>>()?;
        let is_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| is_more).map(|(last, key)| format!("{key}-{}", last.id));
        Ok(Page { requests: found.into_iter().map(|(listed, _)| listed).collect(), next })
    }

    /// One request whole. `None` where there is none of that id, or it was written by another version.
    pub fn request(&self, id: &str) -> anyhow::Result<Option<Whole>> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        let find = "SELECT whole FROM requests WHERE id = ?";
        let whole: Option<Vec<u8>> = self.database.query_row(find, [id], |row| row.get(0)).optional()?;
        Ok(whole.and_then(|bytes| Whole::decode(&bytes).ok()))
    }

    /// Findings of the minutes of a range: of each kind and subject one, with what it cost in all, the costliest first.
    pub fn findings(&self, range: Range) -> anyhow::Result<Vec<Finding>> {
        let (from, to) = range.minutes();
        let mut statement = self.database.prepare_cached(
            "SELECT sum(requests), sum(cost_ns), finding, max(cost_ns) FROM findings
             WHERE minute BETWEEN ? AND ? GROUP BY kind, subject ORDER BY 2 DESC",
        )?;
        let row = |row: &Row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, String>(2)?))
        };
        let found: Vec<_> = statement.query_map([from, to], row)?.collect::<rusqlite::Result<_>>()?;
        let finding = |(requests, cost_ns, json): (u64, u64, String)| {
            let finding: Finding = serde_json::from_str(&json).ok()?;
            Some(Finding { requests, cost_ns, ..finding })
        };
        Ok(found.into_iter().filter_map(finding).collect())
    }

    /// Processes that lived within a range.
    pub fn processes(&self, range: Range) -> anyhow::Result<Vec<Seen>> {
        let mut statement = self.database.prepare_cached(
            "SELECT facts, unknown, seen_unix_ns FROM processes WHERE seen_unix_ns >= ? AND start_unix_ns <= ?
             ORDER BY start_unix_ns, pid",
        )?;
        // They are said to be seen once a minute.
        let from = range.from_unix_ns.saturating_sub(MINUTE_NS) as i64;
        let row = |row: &Row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)? as u64))
        };
        let found: Vec<_> =
            statement.query_map([from, range.to_unix_ns as i64], row)?.collect::<rusqlite::Result<_>>()?;
        let seen = |(facts, unknown, seen_unix_ns): (String, String, u64)| {
            let process: Process = serde_json::from_str(&facts).ok()?;
            let unknown: Vec<(String, String)> = serde_json::from_str(&unknown).ok()?;
            let pid = process.pid;
            let unknown = unknown.into_iter().map(|(bucket, reason)| UnknownBucket { pid, bucket, reason });
            Some(Seen { seen_unix_ns, unknown: unknown.collect(), process })
        };
        Ok(found.into_iter().filter_map(seen).collect())
    }

    /// Losses of the minutes of a range, by kind.
    pub fn losses(&self, range: Range) -> anyhow::Result<std::collections::BTreeMap<String, u64>> {
        let (from, to) = range.minutes();
        let mut statement = self.database.prepare_cached(
            "SELECT kind, sum(count) FROM losses WHERE minute BETWEEN ? AND ? GROUP BY kind",
        )?;
        let row = |row: &Row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64));
        Ok(statement.query_map(params![from, to], row)?.collect::<rusqlite::Result<_>>()?)
    }
}

/// What is asked for as SQL, and its values.
fn filter(range: Range, asked: &Asked, key: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let mut parts = vec!["end_unix_ns BETWEEN ? AND ?".to_owned()];
    let mut values: Vec<Value> = vec![(range.from_unix_ns as i64).into(), (range.to_unix_ns as i64).into()];
    let mut add = |part: &str, of: Vec<Value>| {
        parts.push(part.to_owned());
        values.extend(of);
    };
    if let Some(route) = &asked.route {
        let (part, of) = of_route(route);
        add(part, of);
    }
    if let Some(pid) = asked.pid {
        add("pid = ?", vec![i64::from(pid).into()]);
    }
    if let Some(status) = asked.status {
        add("status = ?", vec![i64::from(status).into()]);
    }
    if asked.errors {
        add("is_error", Vec::new());
    }
    if let Some(wall_ns) = asked.min_wall_ns {
        add("wall_ns >= ?", vec![(wall_ns as i64).into()]);
    }
    for (column, of) in [("vendor", &asked.vendor), ("model", &asked.model)] {
        if let Some(of) = of {
            let called = format!(
                "EXISTS (SELECT 1 FROM calls JOIN peers ON peers.id = peer WHERE request = requests.id AND {column} = ?)"
            );
            add(&called, vec![of.clone().into()]);
        }
    }
    if let Some(after) = &asked.after {
        let place = after.split_once('-').and_then(|(key, id)| Some((key.parse().ok()?, id.parse().ok()?)));
        let (last, id): (i64, i64) =
            place.with_context(|| format!("`after` is `next` of a page, not `{after}`"))?;
        add(&format!("({key}, requests.id) < (?, ?)"), vec![last.into(), id.into()]);
    }
    Ok((parts.join(" AND "), values))
}

/// Of a route as SQL, given with its method or for every one.
pub(super) fn of_route(route: &str) -> (&'static str, Vec<Value>) {
    let part = "route IN (SELECT id FROM routes WHERE label = ? OR substr(label, instr(label, ' ') + 1) = ?)";
    (part, vec![route.to_owned().into(), route.to_owned().into()])
}

fn listed(row: &Row) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get::<_, i64>(0)?.to_string(),
        pid: row.get(1)?,
        route: row.get(2)?,
        status: row.get(3)?,
        is_error: row.get(4)?,
        complete: row.get(5)?,
        start_unix_ns: row.get::<_, i64>(6)? as u64,
        wall_ns: row.get::<_, i64>(7)? as u64,
        buckets: sums::decode(row.get_ref(8)?.as_blob()?),
        calls: row.get::<_, i64>(9)? as u64,
    })
}
