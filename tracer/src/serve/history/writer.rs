//! Writes batches into the database, each as one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::{
    minutes::{CallMinute, Minute},
    sums,
    whole::Whole,
};
use crate::{
    event::Pod,
    report::{
        group,
        types::{Call, End, Finding, Kind, Process, Request, UnknownBucket},
    },
    serve::batch::Batch,
};

pub const MINUTE_NS: u64 = 60_000_000_000;

/// What is known of the database's content without asking it.
#[derive(Debug, Default)]
pub struct Writer {
    routes: HashMap<String, i64>,
    peers: HashMap<Peer, i64>,
    /// What was written of each process.
    processes: HashMap<(u32, u64), Written>,
}

/// What may become known of a process later.
#[derive(Debug, Default, PartialEq)]
struct Written {
    unknown: Unknown,
    image: Option<String>,
    pod: Option<Pod>,
}

/// Vendor, host and model of calls; empty where they are not known.
type Peer = (String, String, String);
type Unknown = BTreeSet<(String, String)>;

/// More peers than this are told apart by no history: their host and model are dropped.
const PEERS: usize = 1_000;

impl Writer {
    /// Writes a batch, or nothing of it. `lost` is how many requests were not written before it.
    pub fn write(&mut self, database: &mut Connection, batch: &Batch, lost: u64) -> rusqlite::Result<()> {
        let transaction = database.transaction()?;
        let result = self.write_into(&transaction, batch, lost);
        if result.is_err() {
            // What was remembered is rolled back with the rest.
            *self = Writer::default();
        }
        result?;
        transaction.commit()
    }

    fn write_into(&mut self, database: &Transaction, batch: &Batch, lost: u64) -> rusqlite::Result<()> {
        let mut minutes = BTreeMap::<(u64, i64), Minute>::new();
        let mut call_minutes = BTreeMap::<(u64, i64), CallMinute>::new();
        for request in &batch.requests {
            let route = self.route(database, &group::label(request))?;
            write_request(database, request, route)?;
            minutes.entry((end_unix_ns(request) / MINUTE_NS, route)).or_default().add(request);
            for (number, call) in request.all_calls().enumerate() {
                let peer = self.peer(database, call)?;
                write_call(database, request, number, call, peer)?;
                let minute = call.start_unix_ns.saturating_add(call.wall_ns) / MINUTE_NS;
                call_minutes.entry((minute, peer)).or_default().add(call);
            }
        }
        for ((minute, route), part) in minutes {
            part.write(database, minute, route)?;
        }
        for ((minute, peer), part) in call_minutes {
            part.write(database, minute, peer)?;
        }
        self.write_processes(database, batch)?;
        let minute = batch.at_unix_ns / MINUTE_NS;
        if let Some(found) = &batch.findings {
            for finding in &found.findings {
                write_finding(database, found.end_unix_ns / MINUTE_NS, finding)?;
            }
        }
        let lost = (lost > 0).then_some((super::LOST, lost));
        for (kind, count) in batch.lost.iter().map(|(kind, count)| (kind.as_str(), *count)).chain(lost) {
            database
                .prepare_cached(
                    "INSERT INTO losses VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                )?
                .execute(params![minute as i64, kind, count as i64])?;
        }
        Ok(())
    }

    fn route(&mut self, database: &Transaction, label: &str) -> rusqlite::Result<i64> {
        if let Some(route) = self.routes.get(label) {
            return Ok(*route);
        }
        database.execute("INSERT OR IGNORE INTO routes (label) VALUES (?)", [label])?;
        let route = database.query_row("SELECT id FROM routes WHERE label = ?", [label], |row| row.get(0))?;
        self.routes.insert(label.to_owned(), route);
        Ok(route)
    }

    fn peer(&mut self, database: &Transaction, call: &Call) -> rusqlite::Result<i64> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut peer = (text(&call.vendor), text(&call.host), text(&call.model));
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            peer = (peer.0, String::new(), String::new());
        }
        if let Some(id) = self.peers.get(&peer) {
            return Ok(*id);
        }
        let (vendor, host, model) = &peer;
        database.execute(
            "INSERT OR IGNORE INTO peers (vendor, host, model) VALUES (?, ?, ?)",
            [vendor, host, model],
        )?;
        let find = "SELECT id FROM peers WHERE vendor = ? AND host = ? AND model = ?";
        let id = database.query_row(find, [vendor, host, model], |row| row.get(0))?;
        self.peers.insert(peer, id);
        Ok(id)
    }

    /// Those that are new, those of which more is unknown than before, and those of whose container more is known.
    fn write_processes(&mut self, database: &Transaction, batch: &Batch) -> rusqlite::Result<()> {
        let mut unknown = HashMap::<u32, Unknown>::new();
        for UnknownBucket { pid, bucket, reason } in &batch.unknown {
            unknown.entry(*pid).or_default().insert((bucket.clone(), reason.clone()));
        }
        for process in &batch.processes {
            let unknown = unknown.remove(&process.pid).unwrap_or_default();
            let written = self.processes.get(&(process.pid, process.start_unix_ns));
            if written.is_some_and(|written| {
                written.unknown.is_superset(&unknown)
                    && (&written.image, &written.pod) == (&process.image, &process.pod)
            }) {
                continue;
            }
            let written = self.processes.entry((process.pid, process.start_unix_ns)).or_default();
            written.unknown.extend(unknown);
            (written.image, written.pod) = (process.image.clone(), process.pod.clone());
            write_process(database, process, &written.unknown, batch.at_unix_ns)?;
        }
        let alive: BTreeSet<(u32, u64)> =
            batch.processes.iter().map(|process| (process.pid, process.start_unix_ns)).collect();
        self.processes.retain(|key, _| alive.contains(key));
        Ok(())
    }

    /// Those that were written and live are seen now.
    pub fn seen(&self, database: &Connection, at_unix_ns: u64) -> rusqlite::Result<()> {
        let mut update = database
            .prepare_cached("UPDATE processes SET seen_unix_ns = ? WHERE pid = ? AND start_unix_ns = ?")?;
        for (pid, start_unix_ns) in self.processes.keys() {
            update.execute(params![at_unix_ns as i64, pid, *start_unix_ns as i64])?;
        }
        Ok(())
    }
}

/// Whether a request failed: its answer says so.
pub fn is_error(request: &Request) -> bool {
    request.kind == Kind::Http && request.status.is_some_and(|status| status >= 500)
}

/// Whether a call failed: its answer says so, or did not come to its end.
pub fn is_call_error(call: &Call) -> bool {
    call.status.is_some_and(|status| status >= 400) || matches!(call.end, Some(End::Failed | End::Cut))
}

/// When a request ended.
pub fn end_unix_ns(request: &Request) -> u64 {
    request.start_unix_ns.saturating_add(request.wall_ns)
}

fn write_request(database: &Transaction, request: &Request, route: i64) -> rusqlite::Result<()> {
    let whole = Whole::of(request).encode().map_err(conversion)?;
    database
        .prepare_cached("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            request.id.parse::<i64>().unwrap_or_default(),
            request.start_unix_ns as i64,
            end_unix_ns(request) as i64,
            request.wall_ns as i64,
            route,
            request.pid,
            request.status,
            is_error(request),
            request.complete,
            sums::encode(&request.buckets),
            whole,
        ])?;
    Ok(())
}

fn write_call(
    database: &Transaction,
    request: &Request,
    number: usize,
    call: &Call,
    peer: i64,
) -> rusqlite::Result<()> {
    let signed = |number: Option<u64>| number.map(|number| number as i64);
    database
        .prepare_cached("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            request.id.parse::<i64>().unwrap_or_default(),
            number as i64 + 1,
            peer,
            call.status,
            call.attempt,
            call.start_unix_ns as i64,
            call.wall_ns as i64,
            signed(call.first_byte_ns),
            signed(call.first_content_ns),
            signed(call.input_tokens),
            signed(call.output_tokens),
        ])?;
    Ok(())
}

fn write_process(
    database: &Transaction,
    process: &Process,
    unknown: &Unknown,
    at_unix_ns: u64,
) -> rusqlite::Result<()> {
    database.prepare_cached("INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?)")?.execute(params![
        process.pid,
        process.start_unix_ns as i64,
        at_unix_ns as i64,
        json(process)?,
        json(unknown)?,
    ])?;
    Ok(())
}

/// Of the same thing in one minute, the costs add up, and the costliest is told.
fn write_finding(database: &Transaction, minute: u64, finding: &Finding) -> rusqlite::Result<()> {
    let subject = super::subject(finding);
    database
        .prepare_cached(
            "INSERT INTO findings VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
                finding = iif(?5 > cost_ns, ?6, finding), requests = requests + ?4, cost_ns = cost_ns + ?5",
        )?
        .execute(params![
            minute as i64,
            finding.kind,
            subject,
            finding.requests as i64,
            finding.cost_ns as i64,
            json(finding)?,
        ])?;
    Ok(())
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| conversion(error.into()))
}

fn conversion(error: anyhow::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
