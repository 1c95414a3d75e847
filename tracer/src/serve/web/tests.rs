//! The pages, asked as a browser would.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::*;
use crate::{
    finding::cases::{call, request},
    report::bucket::Bucket,
    serve::history::{self, Limits},
};

struct Case {
    folder: tempfile::TempDir,
    batches: Batches,
    address: SocketAddr,
    web: Option<Web>,
}

impl Case {
    fn new(token: Option<&str>) -> Case {
        let folder = tempfile::tempdir().expect("make a directory");
        let batches = Batches::default();
        // The port is free just now.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("it has one");
        drop(free);
        let mut config = Config::default();
        config.web = config::Web { listen: Some(address), token: token.map(str::to_owned), token_file: None };
        config.history.path = Some(folder.path().join("history.db"));
        let site = Site::new(&config, States::default(), batches.clone());
        let web = Web::start(address, site).expect("it listens");
        Case { folder, batches, address, web: Some(web) }
    }

    /// Writes a history of three requests.
    fn with_history(self) -> Case {
        let batches = Batches::default();
        let day = Duration::from_secs(86_400);
        let limits = Limits { requests: 10_000 * day, minutes: 10_000 * day, max_bytes: u64::MAX };
        let path = self.folder.path().join("history.db");
        let history = history::start(path, limits, batches.subscribe(), Arc::default()).expect("it starts");
        batches.publish(three());
        drop(batches);
        history.join().expect("it ends");
        self
    }

    fn send(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it takes a timeout");
        stream.write_all(text.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        // What is refused may be cut.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer =
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.web.take().into_iter().for_each(Web::end);
    }
}

fn three() -> Batch {
    let requests = (1..=3).map(|number| {
        let mut request = request("/chat", 1_000 * number, &[(Bucket::LlmFirstByte, 100 * number)]);
        request.calls.push(call("api.openai.com", &request, 0, 100 * number));
        request.id = number.to_string();
        Arc::new(request)
    });
    Batch { at_unix_ns: 1_700_000_010_000_000_000, requests: requests.collect(), ..Batch::default() }
}

const RANGE: &str = "from_unix_ns=1700000000000000000&to_unix_ns=1700000100000000000";

#[test]
fn questions_are_answered_from_the_history() {
    let case = Case::new(None).with_history();
    let overview = case.json(&format!("/api/v1/overview?{RANGE}&points=2"));
    assert_eq!(
        (&overview["total"]["requests"], &overview["routes"][0]["route"]),
        (&3.into(), &"GET /chat".into())
    );
    assert_eq!(overview["points"][0]["buckets"]["llm.first_byte"], 600_000_000);
    let page = case.json(&format!("/api/v1/requests?{RANGE}&limit=2&order=slowest"));
    assert_eq!(
        (&page["requests"][0]["id"], page["requests"].as_array().map(Vec::len)),
        (&"3".into(), Some(2))
    );
    let next = page["next"].as_str().expect("there is more");
    let page = case.json(&format!("/api/v1/requests?{RANGE}&limit=2&order=slowest&after={next}"));
    assert_eq!((&page["requests"][0]["id"], &page["next"]), (&"1".into(), &Value::Null));
    let whole = case.json("/api/v1/requests/2");
    assert_eq!(
        (&whole["request"]["wall_ns"], &whole["timeline"][0]["bucket"]),
        (&200_000_000.into(), &"llm.first_byte".into())
    );
    assert_eq!(case.json(&format!("/api/v1/vendors?{RANGE}"))["vendors"][0]["calls"], 3);
    assert_eq!(case.json(&format!("/api/v1/findings?{RANGE}"))["findings"], Value::Array(Vec::new()));
    assert_eq!(case.json(&format!("/api/v1/processes?{RANGE}"))["processes"], Value::Array(Vec::new()));
    assert_eq!(case.json("/api/v1/overview")["total"]["requests"], 0);
    for (path, status) in [
        ("/api/v1/requests/99", 404),
        ("/api/v1/requests/x", 404),
        ("/api/v1/nothing", 404),
        ("/nothing", 404),
        ("/api/v1/overview?since=soon", 400),
        ("/api/v1/overview?from_unix_ns=2&to_unix_ns=1", 400),
        ("/api/v1/requests?after=x", 400),
        ("/api/v1/requests?order=fastest", 400),
    ] {
        assert_eq!(case.get(path).0, status, "{path}");
    }
}

#[test]
fn the_page_is_served_to_whoever_may_ask() {
    let case = Case::new(None);
    let ask = |path: &str, headers: &str| {
        case.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
    };
    let document = ask("/requests/7", "");
    assert!(document.contains("text/html") && document.contains("/page.js"), "{document}");
    assert!(document.contains("content-security-policy: default-src 'none'"), "{document}");
    let etag = document.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has one");
    assert!(ask("/", &format!("If-None-Match: {etag}\r\n")).starts_with("HTTP/1.1 304"));

    let guarded = Case::new(Some("hush"));
    assert_eq!((guarded.get("/").0, guarded.get("/page.js").0), (200, 200));
    for path in ["/metrics", "/api/v1/health", "/api/v1/requests/1", "/api/v1/events"] {
        assert_eq!(guarded.get(path).0, 401, "{path}");
    }
}

#[test]
fn a_past_ends_with_its_last_request() {
    let case = Case::new(None).with_history();
    let site =
        Site::of_past(Config::default(), case.folder.path().join("history.db")).expect("there is a history");
    let end_unix_ns = three().requests.iter().map(|request| request.start_unix_ns + request.wall_ns).max();
    assert_eq!(Some(site.now_unix_ns()), end_unix_ns);
    assert!(Site::of_past(Config::default(), case.folder.path().join("none.db")).is_err());
}

#[test]
fn without_a_history_the_present_is_told() {
    let case = Case::new(None);
    let (status, body) = case.get("/api/v1/overview");
    assert_eq!(status, 500, "{body}");
    case.batches.publish(three());
    let deadline = Instant::now() + Duration::from_secs(10);
    while case.json("/api/v1/health")["requests"] != 3 {
        assert!(Instant::now() < deadline, "the batch is not seen");
    }
    let (status, page) = case.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        page.contains("tracer_request_duration_seconds_count{method=\"GET\",route=\"/chat\"} 3"),
        "{page}"
    );
    assert!(page.contains("process_resident_memory_bytes"), "{page}");
}

#[test]
fn requests_are_told_as_they_finish() {
    let case = Case::new(None);
    let mut stream = TcpStream::connect(case.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it takes a timeout");
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("it is sent");
    let mut told = String::new();
    let mut bytes = [0; 4096];
    while !told.contains("\"id\":\"3\"") {
        let read = stream.read(&mut bytes).expect("events come");
        assert!(read > 0, "it ended: {told}");
        if told.is_empty() {
            // The head is there, so the caller is subscribed.
            case.batches.publish(three());
        }
        told.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(told.contains("text/event-stream") && told.contains("event: request"), "{told}");
}

#[test]
fn others_are_refused() {
    let case = Case::new(None);
    let ask = |headers: &str| {
        let answer = case.send(&format!("GET /metrics HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(ask("Host: localhost\r\n"), "200");
    assert_eq!(ask("Host: evil.example\r\n"), "403");
    assert_eq!(ask("Host: localhost\r\nOrigin: https://evil.example\r\n"), "403");
    assert_eq!(ask(&format!("Host: localhost\r\nX: {}\r\n", "y".repeat(100_000))), "431");

    let guarded = Case::new(Some("hush"));
    assert_eq!(guarded.get("/metrics").0, 401);
    let answer = guarded.send(
        "GET /metrics HTTP/1.1\r\nHost: tracer.example\r\nAuthorization: Bearer hush\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut config = Config::default();
    config.history.path = None;
    let site = Site::new(&config, States::default(), Batches::default());
    let refusal = Web::start("0.0.0.0:0".parse().expect("an address"), site).err().expect("it is refused");
    assert!(refusal.to_string().contains("set web.token"), "{refusal}");
}

#[test]
fn who_sends_slowly_is_let_go_and_keeps_nobody_waiting() {
    let case = Case::new(None);
    let mut slow = TcpStream::connect(case.address).expect("it listens");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: loc").expect("it is sent");
    assert_eq!(case.get("/metrics").0, 200);
    slow.set_read_timeout(Some(Duration::from_secs(20))).expect("it takes a timeout");
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(start.elapsed() < Duration::from_secs(15), "it is let go after {:?}", start.elapsed());
}

#[test]
fn it_ends_while_somebody_listens() {
    let mut case = Case::new(None);
    let mut stream = TcpStream::connect(case.address).expect("it listens");
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("it is sent");
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("it answers");
    let start = Instant::now();
    case.web.take().into_iter().for_each(Web::end);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(case.address).is_err());
}

#[test]
fn who_starts_it_anew_needs_no_token_and_is_told_whether_events_are_read() {
    let case = Case::new(Some("secret"));
    let ask = |path: &str| {
        let answer =
            case.send(&format!("GET {path} HTTP/1.1\r\nHost: 10.1.2.3:7070\r\nConnection: close\r\n\r\n"));
        answer.split(' ').nth(1).map(str::to_owned).unwrap_or(answer)
    };
    assert_eq!((ask("/livez"), ask("/readyz"), ask("/metrics")), ("200".into(), "503".into(), "401".into()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while ask("/readyz") != "200" {
        assert!(Instant::now() < deadline, "it is not ready");
        case.batches.publish(Batch::default());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ask("/livez"), "200");
}

#[test]
fn callers_that_are_silent_keep_nobody_out() {
    let case = Case::new(None);
    let connect = |_| TcpStream::connect(case.address).expect("it listens");
    let _silent: Vec<TcpStream> = (0..2 * server::CONNECTIONS).map(connect).collect();
    let asked = Instant::now();
    assert_eq!(case.get("/readyz").0, 503);
    assert!(asked.elapsed() < server::HEAD_TIME, "they were not waited for");
}

#[test]
fn callers_that_take_events_leave_room_for_others() {
    let case = Case::new(None);
    let takes_events = || {
        let mut stream = TcpStream::connect(case.address).expect("it listens");
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("it answers");
        (&status == b"HTTP/1.1 200").then_some(stream)
    };
    let taking: Vec<TcpStream> = (0..STREAMS).map(|_| takes_events().expect("there is room")).collect();
    assert!(takes_events().is_none());
    assert_eq!(case.get("/readyz").0, 503);
    drop(taking);
    // That they are gone shows with what they are told next.
    let is_there_room = |_| {
        case.batches.publish(three());
        std::thread::sleep(Duration::from_millis(10));
        takes_events().is_some()
    };
    assert!((0..500).any(is_there_room));
}
