//! The history's database: its tables, and how it is opened.

use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

/// Rises with every change that older programs can't read. A database of another version is moved aside.
const VERSION: i32 = 1;

/// A reader waits for so long for the writer, which holds the database for milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// Times are in ns since the epoch, minutes in minutes since then. `wall` and the like are histograms (`histogram.rs`),
/// `buckets` sums (`sums.rs`), `whole` is a request (`whole.rs`).
const TABLES: &str = "
CREATE TABLE routes (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
CREATE TABLE processes (
    pid INTEGER NOT NULL, start_unix_ns INTEGER NOT NULL, seen_unix_ns INTEGER NOT NULL,
    facts TEXT NOT NULL, unknown TEXT NOT NULL,
    PRIMARY KEY (pid, start_unix_ns)
) WITHOUT ROWID;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, start_unix_ns INTEGER NOT NULL, end_unix_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
    route INTEGER NOT NULL, pid INTEGER NOT NULL, status INTEGER, is_error INTEGER NOT NULL,
    complete INTEGER NOT NULL, buckets BLOB NOT NULL, whole BLOB NOT NULL
);
CREATE INDEX requests_by_end ON requests (end_unix_ns);
CREATE INDEX requests_by_route ON requests (route, end_unix_ns);
CREATE TABLE calls (
    request INTEGER NOT NULL, number INTEGER NOT NULL, peer INTEGER NOT NULL, status INTEGER, attempt INTEGER NOT NULL,
    start_unix_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, first_byte_ns INTEGER, first_content_ns INTEGER,
    input_tokens INTEGER, output_tokens INTEGER,
    PRIMARY KEY (request, number)
) WITHOUT ROWID;
CREATE TABLE peers (
    id INTEGER PRIMARY KEY, vendor TEXT NOT NULL, host TEXT NOT NULL, model TEXT NOT NULL, UNIQUE (vendor, host, model)
);
CREATE TABLE minutes (
    minute INTEGER NOT NULL, route INTEGER NOT NULL, requests INTEGER NOT NULL, errors INTEGER NOT NULL,
    incomplete INTEGER NOT NULL, wall BLOB NOT NULL, buckets BLOB NOT NULL,
    PRIMARY KEY (minute, route)
) WITHOUT ROWID;
CREATE TABLE call_minutes (
    minute INTEGER NOT NULL, peer INTEGER NOT NULL, calls INTEGER NOT NULL, errors INTEGER NOT NULL,
    retries INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    wall BLOB NOT NULL, first_byte BLOB NOT NULL, first_content BLOB NOT NULL, token_rate BLOB NOT NULL,
    PRIMARY KEY (minute, peer)
) WITHOUT ROWID;
CREATE TABLE findings (
    minute INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, requests INTEGER NOT NULL,
    cost_ns INTEGER NOT NULL, finding TEXT NOT NULL,
    PRIMARY KEY (minute, kind, subject)
) WITHOUT ROWID;
CREATE TABLE losses (
    minute INTEGER NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, kind)
) WITHOUT ROWID;
";

/// Why a database can't be written or read, as far as it matters for what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Full,
    /// It can't be written, for want of room or for another reason of the disk's.
    Unwritten,
    ReadOnly,
    Corrupt,
    Other,
}

impl Trouble {
    pub fn of(error: &rusqlite::Error) -> Trouble {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::ReadOnly) => Trouble::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
            // Where there is no room for the index of the log, SQLite tells it as any error of the disk.
            _ => match error.sqlite_error().map(|error| error.extended_code) {
                Some(ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_WRITE) => Trouble::Unwritten,
                _ => Trouble::Other,
            },
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Trouble::Full => "free some space, or lower history.max_bytes",
            Trouble::Unwritten => {
                "free some space on its disk; where there is enough, the disk fails, of which the kernel's log tells (`dmesg`)"
            }
            Trouble::ReadOnly => "make the file and its folder writable for the daemon",
            Trouble::Corrupt => "it is moved aside, and a new one begun",
            Trouble::Other => "see that the folder is there and writable, and nothing else writes the file",
        }
    }
}

/// Opens the database to write, and makes it, with its folder, where there is none. One of another version is moved aside.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // What is wrong with the folder shows when the file is opened. It is nobody else's business who called whom.
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
    let mut database = Connection::open(path)?;
    database.busy_timeout(BUSY)?;
    let version: i32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && version != VERSION {
        drop(database);
        let Some(aside) = move_aside(path) else {
            // What is in it is somebody's: it stays as it is.
            return Err(failure(
                ffi::SQLITE_CANTOPEN,
                format!("it is of version {version}, and can't be moved aside"),
            ));
        };
        eprintln!(
            "tracer: the history {} is of version {version}, not {VERSION}: moved to {aside}, and a new one begun",
            path.display()
        );
        return open(path);
    }
    if tables == 0 {
        database.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    // What was committed outlives the end of the process, however that comes; a crash of the kernel may take the last
    // second. The log does not stay as long as it once was.
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;",
    )?;
    if tables == 0 {
        let transaction = database.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(database)
}

fn failure(code: i32, reason: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(reason))
}

/// Opens a database that somebody else writes.
pub fn open_to_read(path: &Path) -> anyhow::Result<Connection> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(BUSY)?;
    let version: i32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    anyhow::ensure!(version == VERSION, "it is of version {version}, not {VERSION}, of the history");
    Ok(database)
}

/// Renames the file, with its log; gives its new name.
pub fn move_aside(path: &Path) -> Option<String> {
    let aside = (1_u32..).map(|number| format!("{}.{number}.damaged", path.display()));
    let aside = aside.take(10_000).find(|aside| !Path::new(aside).exists())?;
    let rename = |ending: &str| -> io::Result<()> {
        fs::rename(format!("{}{ending}", path.display()), format!("{aside}{ending}"))
    };
    rename("").ok()?;
    for ending in ["-wal", "-shm"] {
        // They may not be there.
        let _ = rename(ending);
    }
    Some(aside)
}
