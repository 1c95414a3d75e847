//! What is written is found again, whatever becomes of the file.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use super::{
    histogram::Histogram,
    read::{Asked, Order, Range, Reader},
    *,
};
use crate::{
    finding::cases::{MS, call, request},
    report::{
        bucket::Bucket,
        types::{End, Process, Request, UnknownBucket},
    },
    serve::batch::Found,
};

const DAY: Duration = Duration::from_secs(86_400);
const LIMITS: Limits =
    Limits { requests: DAY, minutes: Duration::from_secs(90 * 86_400), max_bytes: 1 << 30 };

/// A minute and a half after the start of the cases.
const AT: u64 = 1_700_000_090_000_000_000;
const ALL: Range = Range { from_unix_ns: 0, to_unix_ns: i64::MAX as u64 };

fn numbered(number: u64, route: &str, ms: u64) -> Request {
    let mut request =
        request(route, 1_000 * number, &[(Bucket::LlmFirstByte, ms - 1), (Bucket::PythonCpu, 1)]);
    let mut call = call("api.openai.com", &request, 0, ms - 1);
    call.model = Some("gpt".to_owned());
    call.output_tokens = Some(10);
    request.calls.push(call);
    request.id = number.to_string();
    request
}

fn batch(requests: impl IntoIterator<Item = Request>) -> Batch {
    let process = Process { pid: 1, exe: "/usr/bin/python".to_owned(), ..Process::default() };
    Batch {
        at_unix_ns: AT,
        requests: requests.into_iter().map(Arc::new).collect(),
        processes: vec![process],
        ..Batch::default()
    }
}

struct Case {
    folder: tempfile::TempDir,
    store: Store,
}

impl Case {
    fn new(limits: Limits) -> Case {
        let folder = tempfile::tempdir().expect("make a directory");
        let store = Store::new(folder.path().join("of/history.db"), limits, Arc::default());
        Case { folder, store }
    }

    fn path(&self) -> &Path {
        &self.store.path
    }

    fn write(&mut self, requests: impl IntoIterator<Item = Request>) {
        self.store.write(&batch(requests), 0);
    }

    fn reader(&self) -> Reader {
        Reader::open(self.path()).expect("there is a history")
    }

    fn ids(&self) -> Vec<String> {
        let page = self.reader().requests(ALL, &Asked::default()).expect("a page");
        page.requests.into_iter().map(|request| request.id).collect()
    }
}

#[test]
fn numbers_go_on_after_those_that_the_history_has() {
    let mut case = Case::new(LIMITS);
    assert_eq!(last_number(case.path()), None);
    case.write([numbered(7, "/chat", 20), numbered(4_000, "/chat", 20)]);
    assert_eq!(last_number(case.path()), Some(4_000));
    fs::write(case.folder.path().join("other.db"), "no database").expect("write a file");
    assert_eq!(last_number(&case.folder.path().join("other.db")), None);
}

#[test]
fn what_is_written_is_found() {
    let mut case = Case::new(LIMITS);
    let mut failed = numbered(3, "/failed", 30);
    failed.status = Some(500);
    failed.calls[0].attempt = 2;
    failed.calls[0].end = Some(End::Cut);
    let requests = [numbered(1, "/chat", 100), numbered(2, "/chat", 300), failed];
    let mut written = batch(requests.clone());
    written.unknown =
        vec![UnknownBucket { pid: 1, bucket: "python.gc".to_owned(), reason: "no USDT".to_owned() }];
    written.lost.insert("sample".to_owned(), 4);
    let report = crate::finding::cases::report(requests.clone());
    written.findings =
        Some(Found { end_unix_ns: AT, findings: crate::finding::find(&report), ..Found::default() });
    case.store.write(&written, 2);
    case.store.write(&written, 0);

    let (found, is_more) = case.reader().report(ALL, 100).expect("a report");
    assert!(!is_more);
    assert_eq!(format!("{:?}", found.requests), format!("{requests:?}"));
    assert_eq!((found.processes.len(), found.capture.unknown.len()), (1, 1));
    assert_eq!(found.capture.lost_events.get("sample"), Some(&8));
    assert_eq!(found.capture.lost_events.get(LOST), Some(&2));
    let once = &crate::finding::find(&report)[0];
    assert_eq!((&found.findings[0].kind, found.findings[0].cost_ns), (&once.kind, 2 * once.cost_ns));
    let seen = case.reader().processes(ALL).expect("processes");
    assert_eq!((seen[0].process.exe.as_str(), seen[0].unknown.len()), ("/usr/bin/python", 1));
    let whole = case.reader().request("2").expect("it is read").expect("it is there");
    assert_eq!(whole.timeline.len(), 2);
    assert!(case.reader().request("99").expect("it is read").is_none());
}

#[test]
fn figures_add_up_over_batches() {
    let mut case = Case::new(LIMITS);
    for number in 1..=100 {
        let mut request = numbered(number, if number % 2 == 0 { "/even" } else { "/odd" }, 10 * number);
        request.status = Some(if number == 100 { 503 } else { 200 });
        case.write([request]);
    }
    let overview = case.reader().overview(ALL_OF_TEST, None, 2).expect("figures");
    assert_eq!((overview.total.requests, overview.total.errors), (100, 1));
    let near = |found: Option<u64>, ms: u64| found.is_some_and(|ns| ns.abs_diff(ms * MS) <= ms * MS / 64);
    assert!(near(overview.total.p50_ns, 500) && near(overview.total.p95_ns, 950), "{:?}", overview.total);
    assert_eq!(overview.total.buckets.get(Bucket::PythonCpu), Some(100 * MS));
    assert_eq!(overview.points.iter().map(|point| point.figures.requests).sum::<u64>(), 100);
    assert_eq!(overview.points.len(), 2);
    let routes: Vec<(&str, u64)> =
        overview.routes.iter().map(|route| (route.route.as_str(), route.figures.requests)).collect();
    assert_eq!(routes, [("GET /even", 50), ("GET /odd", 50)]);
    assert_eq!(case.reader().overview(ALL_OF_TEST, Some("/odd"), 1).expect("figures").total.requests, 50);
    let vendors = case.reader().vendors(ALL_OF_TEST).expect("vendors");
    assert_eq!((vendors.len(), vendors[0].calls, vendors[0].output_tokens), (1, 100, 1_000));
    assert!(near(vendors[0].first_byte_p50_ns, 499));
}

/// The minutes of the cases.
const ALL_OF_TEST: Range =
    Range { from_unix_ns: 1_700_000_000_000_000_000, to_unix_ns: 1_700_000_110_000_000_000 };

#[test]
fn pages_go_on_where_the_last_ended() {
    let mut case = Case::new(LIMITS);
    case.write((1..=7).map(|number| numbered(number, "/chat", 1_000 - 100 * number)));
    for (order, expected) in [(Order::Newest, ["7", "6", "5"]), (Order::Slowest, ["1", "2", "3"])] {
        let mut asked = Asked { order, limit: Some(3), ..Asked::default() };
        let mut found = Vec::new();
        loop {
            let page = case.reader().requests(ALL, &asked).expect("a page");
            found.extend(page.requests.into_iter().map(|request| request.id));
            asked.after = page.next;
            if asked.after.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), &found[..3]), (7, &expected.map(str::to_owned)[..]));
    }
    let asked = |asked: Asked| case.reader().requests(ALL, &asked).expect("a page").requests.len();
    assert_eq!(asked(Asked { model: Some("gpt".to_owned()), ..Asked::default() }), 7);
    assert_eq!(asked(Asked { vendor: Some("anthropic".to_owned()), ..Asked::default() }), 0);
    assert_eq!(asked(Asked { min_wall_ns: Some(750 * MS), ..Asked::default() }), 2);
    assert_eq!(asked(Asked { route: Some("/chat".to_owned()), status: Some(200), ..Asked::default() }), 7);
    assert_eq!(asked(Asked { errors: true, ..Asked::default() }), 0);
    let wrong = Asked { after: Some("x".to_owned()), ..Asked::default() };
    assert!(case.reader().requests(ALL, &wrong).is_err());
}

#[test]
fn a_file_that_is_no_database_is_moved_aside() {
    let mut case = Case::new(LIMITS);
    fs::create_dir(case.folder.path().join("of")).expect("make a directory");
    fs::write(case.path(), "no database ".repeat(1_000)).expect("write a file");
    case.write([numbered(1, "/chat", 10)]);
    assert_eq!((case.ids(), case.store.state.lost_requests()), (vec!["1".to_owned()], 0));
    assert!(case.folder.path().join("of/history.db.1.damaged").exists());
}

#[test]
fn a_database_that_is_damaged_is_moved_aside_and_nothing_of_what_comes_is_lost() {
    let mut case = Case::new(LIMITS);
    case.write((1..=200).map(|number| numbered(number, "/chat", 10)));
    case.store.close();
    let mut file = fs::OpenOptions::new().write(true).open(case.path()).expect("open it");
    file.seek(SeekFrom::Start(4096)).expect("it is longer");
    file.write_all(&[0xa5; 60_000]).expect("write into it");
    case.write([numbered(201, "/chat", 10)]);
    assert_eq!((case.ids(), case.store.state.lost_requests()), (vec!["201".to_owned()], 0));
}

#[test]
fn a_database_of_another_version_is_moved_aside() {
    let mut case = Case::new(LIMITS);
    case.write([numbered(1, "/chat", 10)]);
    case.store.database.as_ref().expect("it is open").pragma_update(None, "user_version", 99).expect("set");
    case.store.close();
    assert!(Reader::open(case.path()).is_err());
    case.write([numbered(2, "/chat", 10)]);
    assert_eq!(case.ids(), ["2"]);
}

#[test]
fn a_database_of_another_version_that_can_not_be_moved_aside_stays_as_it_is() {
    let mut case = Case::new(LIMITS);
    case.write([numbered(1, "/chat", 10)]);
    case.store.database.as_ref().expect("it is open").pragma_update(None, "user_version", 99).expect("set");
    case.store.close();
    // A name so long leaves room for that of a log, and none for that of what is moved aside.
    let long = case.path().with_file_name("x".repeat(246));
    fs::rename(case.path(), &long).expect("rename it");
    case.store.path = long.clone();
    let before = fs::read(&long).expect("read it");
    case.write([numbered(2, "/chat", 10)]);
    assert_eq!(case.store.state.lost_requests(), 1);
    let trouble = case.store.state.trouble().expect("it is told");
    assert!(trouble.contains("of version 99, and can't be moved aside"), "{trouble}");
    assert_eq!(fs::read(&long).expect("read it"), before);
}

#[test]
fn what_a_full_disk_does_not_take_is_counted_and_the_rest_goes_on() {
    let mut case = Case::new(LIMITS);
    case.write([numbered(1, "/chat", 10)]);
    let database = case.store.database.as_ref().expect("it is open");
    let pages: i64 = database.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number");
    database.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("it is set");
    case.write((2..=300).map(|number| numbered(number, "/chat", 10)));
    assert_eq!(case.store.state.lost_requests(), 299);
    let trouble = case.store.state.trouble().expect("it is told");
    assert!(trouble.contains("history.db") && trouble.contains("full"), "{trouble}");
    assert_eq!(Trouble::Full.advice(), "free some space, or lower history.max_bytes");
    // That limit is of the connection, which is made anew.
    case.write([numbered(301, "/chat", 10)]);
    assert_eq!((case.ids(), case.store.state.trouble()), (vec!["301".to_owned(), "1".to_owned()], None));
    assert_eq!(case.reader().losses(ALL).expect("losses").get(LOST), Some(&299));
}

#[test]
fn a_folder_that_can_not_be_is_told_and_what_comes_is_counted() {
    let mut case = Case::new(LIMITS);
    fs::write(case.folder.path().join("of"), "a file").expect("write it");
    case.write([numbered(1, "/chat", 10)]);
    assert_eq!(case.store.state.lost_requests(), 1);
    assert!(case.store.state.trouble().is_some_and(|trouble| trouble.contains("unable to open")));
}

#[test]
fn the_oldest_go_by_age_and_by_size() {
    let old = |number| numbered(number, "/old", 10);
    let mut case = Case::new(Limits { requests: Duration::from_secs(60), ..LIMITS });
    case.write((1..=50).map(old));
    assert_eq!(case.ids().len(), 21, "those that ended more than a minute ago are gone");
    let calls = |case: &Case| -> i64 {
        case.reader()
            .database
            .query_row("SELECT count(*) FROM calls", [], |row| row.get(0))
            .expect("a number")
    };
    assert_eq!(calls(&case), 21);
    assert_eq!(case.reader().overview(ALL_OF_TEST, None, 1).expect("figures").total.requests, 50);

    let mut case = Case::new(Limits { max_bytes: 1 << 20, ..LIMITS });
    for round in 0..20 {
        case.store.trimmed_unix_ns = 0;
        case.write((1..=500).map(|number| old(round * 500 + number)));
    }
    let length = fs::metadata(case.path()).expect("it is there").len();
    assert!(case.store.state.bytes() <= 1 << 20 && length < 4 << 20, "{length} bytes");
    assert_eq!(case.ids()[0], "10000");
}

#[test]
fn nobody_else_may_look_into_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut case = Case::new(LIMITS);
    case.write([numbered(1, "/chat", 10)]);
    let folder = fs::metadata(case.path().parent().expect("a folder")).expect("it is there");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

/// A week of 10 million requests on 20 routes, as figures by minute: `cargo test --release -p tracer --lib -- --ignored
/// --nocapture a_week_of`.
#[test]
#[ignore = "it measures, and takes a minute"]
fn a_week_of_10_million_requests_answers_within_a_second() {
    const MINUTES: u64 = 7 * 24 * 60;
    const ROUTES: u64 = 20;
    const REQUESTS: u64 = 10_000_000;
    let mut case = Case::new(LIMITS);
    case.write([numbered(1, "/chat", 10)]);
    let database = case.store.database.as_mut().expect("it is open");
    let transaction = database.transaction().expect("it begins");
    let mut random = 1_u64;
    let first = 1_700_000_000 / 60;
    let mut buckets = crate::report::types::Buckets::zero();
    Bucket::ALL.into_iter().for_each(|bucket| buckets.add(bucket, 123_456_789));
    for route in 1..=ROUTES {
        transaction
            .execute(
                "INSERT OR IGNORE INTO routes VALUES (?, ?)",
                rusqlite::params![route as i64 + 1, format!("GET /{route}")],
            )
            .expect("a route");
        for minute in 0..MINUTES {
            let mut wall = Histogram::default();
            let count = REQUESTS / ROUTES / MINUTES + 1;
            for _ in 0..count {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // From 1 ms to 16 s, as many in each power of two.
                wall.add((1_000_000 << (random % 14)) + random % 1_000_000);
            }
            let row = rusqlite::params![
                (first + minute) as i64,
                route as i64 + 1,
                count as i64,
                1,
                0,
                wall.encode(),
                sums::encode(&buckets)
            ];
            transaction.execute("INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?)", row).expect("a minute");
        }
    }
    transaction.commit().expect("it is written");
    let range = Range { from_unix_ns: first * MINUTE_NS, to_unix_ns: (first + MINUTES) * MINUTE_NS };
    let reader = case.reader();
    for attempt in ["first", "again"] {
        let start = Instant::now();
        let overview = reader.overview(range, None, 60).expect("figures");
        let took = start.elapsed();
        let bytes = fs::metadata(case.path()).expect("it is there").len();
        println!(
            "{attempt}: {} requests, {} routes, p95 {:?} ns, {took:?}, {bytes} bytes",
            overview.total.requests,
            overview.routes.len(),
            overview.total.p95_ns
        );
        assert!(overview.total.requests >= REQUESTS && took < Duration::from_secs(1), "{took:?}");
    }
}
