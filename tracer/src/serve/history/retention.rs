//! What is old goes, and the oldest where there is too much.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::writer::MINUTE_NS;

/// How long what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub requests: Duration,
    /// Figures by minute, findings and losses.
    pub minutes: Duration,
    /// Of the database without its log.
    pub max_bytes: u64,
}

/// Requests that are deleted at once: a reader is not kept waiting for longer than that takes.
const AT_ONCE: u32 = 2_000;

/// Few requests take more of the database.
const MOST_BYTES: u64 = 8_192;

/// What is left after so long goes the next time.
const LONGEST: Duration = Duration::from_secs(1);

/// Pages that are given back to the disk at once.
const PAGES: u32 = 2_000;

/// Deletes what is beyond the limits; gives the bytes that are in use then.
pub fn trim(database: &Connection, limits: &Limits, now_unix_ns: u64) -> rusqlite::Result<u64> {
    let before = |kept: Duration| {
        now_unix_ns.saturating_sub(u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX)) as i64
    };
    let minute = before(limits.minutes) / MINUTE_NS as i64;
    for table in ["minutes", "call_minutes", "findings", "losses"] {
        database.execute(&format!("DELETE FROM {table} WHERE minute < ?"), [minute])?;
    }
    let oldest = before(limits.requests);
    database.execute("DELETE FROM processes WHERE seen_unix_ns < ?", [oldest])?;
    let start = Instant::now();
    while start.elapsed() < LONGEST && delete_requests(database, oldest, AT_ONCE)? == AT_ONCE as usize {}
    while start.elapsed() < LONGEST {
        let excess = used_bytes(database)?.saturating_sub(limits.max_bytes);
        // Fewer than are too many, so that those which have room stay.
        let fewer = u32::try_from(excess.div_ceil(MOST_BYTES)).unwrap_or(AT_ONCE).min(AT_ONCE);
        // Where none are left, the rest is figures, which their own age limits.
        if excess == 0 || delete_requests(database, i64::MAX, fewer)? == 0 {
            break;
        }
    }
    // Each step gives one page back.
    let mut vacuum = database.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    used_bytes(database)
}

/// Deletes the oldest requests, with their calls, of those that ended before an instant, at most so many; gives how many.
fn delete_requests(database: &Connection, end_unix_ns: i64, most: u32) -> rusqlite::Result<usize> {
    let transaction = database.unchecked_transaction()?;
    let oldest = "(SELECT id FROM requests WHERE end_unix_ns < ? ORDER BY end_unix_ns LIMIT ?)";
    let of = params![end_unix_ns, most];
    transaction.execute(&format!("DELETE FROM calls WHERE request IN {oldest}"), of)?;
    let deleted = transaction.execute(&format!("DELETE FROM requests WHERE id IN {oldest}"), of)?;
    transaction.commit()?;
    Ok(deleted)
}

fn used_bytes(database: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| -> rusqlite::Result<i64> {
        database.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
    };
    let pages = number("page_count")? - number("freelist_count")?;
    Ok((pages * number("page_size")?) as u64)
}
