//! What was, in a database on disk: requests whole, and for longer their figures by minute and route.

pub mod compare;
pub mod detail;
pub mod figures;
pub mod flame;
pub mod histogram;
mod minutes;
pub mod read;
pub mod report;
mod retention;
mod schema;
mod sums;
mod varint;
pub mod whole;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use anyhow::Context as _;
use rusqlite::Connection;

use crate::{
    report::types::Finding,
    serve::{
        batch::{Batch, Subscription},
        history::{schema::Trouble, writer::Writer},
    },
};

pub use retention::Limits;
pub use writer::{is_call_error, is_error};

use writer::MINUTE_NS;

/// Where it is unless the configuration says otherwise.
pub const PATH: &str = "/var/lib/tracer/history.db";

/// Requests that are not in the history, as a kind of loss.
pub const LOST: &str = "history";

/// How it goes.
#[derive(Debug, Default)]
pub struct State {
    /// Requests that could not be written since the start.
    lost_requests: AtomicU64,
    /// The size of the database, without its log.
    bytes: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl State {
    pub fn lost_requests(&self) -> u64 {
        self.lost_requests.load(Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Why it can't be written, while it can't.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether that is new.
    fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != trouble;
        *known = trouble;
        is_new
    }
}

/// Starts the thread that writes what it is told, until no more comes.
pub fn start(
    path: PathBuf,
    limits: Limits,
    mut batches: Subscription,
    state: Arc<State>,
) -> anyhow::Result<JoinHandle<()>> {
    let mut store = Store::new(path, limits, state);
    let run = move || {
        while let Some((batch, missed)) = batches.wait() {
            store.write(&batch, missed);
        }
    };
    let thread = std::thread::Builder::new().name("tracer-history".to_owned());
    thread.spawn(run).context("start the thread that writes the history")
}

/// The highest number of a request in the history at a path, where there is one that can be read.
pub fn last_number(path: &Path) -> Option<u64> {
    let database = schema::open_to_read(path).ok()?;
    let id: Option<i64> = database.query_row("SELECT max(id) FROM requests", [], |row| row.get(0)).ok()?;
    id?.try_into().ok()
}

/// What a finding is about: of one kind and minute there is one for each.
pub fn subject(finding: &Finding) -> String {
    let of = |key: &str| finding.evidence.get(key)?.as_str().map(str::to_owned);
    of("route").or_else(|| of("host")).unwrap_or_default()
}

/// The database as long as it can be written, and what becomes of batches when it can't.
struct Store {
    path: PathBuf,
    limits: Limits,
    state: Arc<State>,
    database: Option<Connection>,
    writer: Writer,
    /// Requests that were lost and are not yet told as lost in the database.
    lost: u64,
    trimmed_unix_ns: u64,
}

impl Store {
    fn new(path: PathBuf, limits: Limits, state: Arc<State>) -> Store {
        let writer = Writer::default();
        Store { path, limits, state, database: None, writer, lost: 0, trimmed_unix_ns: 0 }
    }

    /// Writes a batch; one that can't be written is told, counted and forgotten.
    fn write(&mut self, batch: &Batch, missed: u64) {
        self.lose(missed);
        let mut result = self.try_write(batch);
        if let Err(error) = &result
            && Trouble::of(error) == Trouble::Corrupt
        {
            self.close();
            let aside = schema::move_aside(&self.path).unwrap_or_else(|| "nowhere".to_owned());
            eprintln!("tracer: the history {} is damaged ({error}): moved to {aside}", self.path.display());
            result = self.try_write(batch);
        }
        match result {
            Ok(()) => {
                self.lost = 0;
                if self.state.set_trouble(None) {
                    eprintln!("tracer: the history {} is written again", self.path.display());
                }
            }
            Err(error) => {
                self.close();
                self.lose(batch.requests.len() as u64);
                let path = self.path.display();
                let trouble = format!("can't write the history {path}: {error}");
                if self.state.set_trouble(Some(trouble.clone())) {
                    let advice = Trouble::of(&error).advice();
                    eprintln!("tracer: {trouble}; requests are counted as lost until it can: {advice}");
                }
            }
        }
    }

    fn try_write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let database = match &mut self.database {
            Some(database) => database,
            None => self.database.insert(schema::open(&self.path)?),
        };
        self.writer.write(database, batch, self.lost)?;
        if batch.at_unix_ns.abs_diff(self.trimmed_unix_ns) >= MINUTE_NS {
            self.trimmed_unix_ns = batch.at_unix_ns;
            self.writer.seen(database, batch.at_unix_ns)?;
            let bytes = retention::trim(database, &self.limits, batch.at_unix_ns)?;
            self.state.bytes.store(bytes, Relaxed);
        }
        Ok(())
    }

    fn lose(&mut self, requests: u64) {
        self.lost += requests;
        self.state.lost_requests.fetch_add(requests, Relaxed);
    }

    /// A database that can't be written is opened anew each time: its file may be another one then.
    fn close(&mut self) {
        self.database = None;
        self.writer = Writer::default();
    }
}
