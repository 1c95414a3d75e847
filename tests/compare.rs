//! A report held against the truth: requests found, calls linked, and how far the times are off.

mod linking;
mod routes;
mod series;
mod telling;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use tracer::{
    attach::load::MISSED,
    report::{
        bucket::Bucket,
        types::{Call, Kind, Report, Request},
    },
};

use crate::truth::{self, Connection, Exchange, Truth};

pub use linking::Links;
pub use routes::Route;
pub use series::Series;
pub use telling::Told;

/// Runs of programs that the kernel may leave out: a packet that comes just when the same program runs for another one.
const FEW_MISSED: u64 = 5;

pub struct Comparison {
    title: String,
    pub requests: usize,
    /// Requests of the truth that the report has exactly once.
    pub found: usize,
    pub links: Links,
    /// Names of calls that are linked wrong and not at all, each with its route.
    wrong: Vec<String>,
    missing: Vec<String>,
    /// What the calls that are linked tell of themselves.
    pub told: Told,
    /// By kind.
    lost_events: BTreeMap<String, u64>,
    /// What was found and linked of each route.
    pub routes: Vec<Route>,
    /// Errors of the calls and of the requests.
    pub series: Vec<Series>,
}

impl Comparison {
    /// Joins requests by the name at the end of their path; a run, which has no path, by its process.
    pub fn new(title: impl Into<String>, report: &Report, truth: &Truth) -> Comparison {
        let mut by_name: HashMap<&str, Vec<&Request>> = HashMap::new();
        for request in &report.requests {
            if let Some(name) = name_of(request, truth) {
                by_name.entry(name).or_default().push(request);
            }
        }
        let pairs: Vec<_> = truth
            .requests
            .iter()
            .filter_map(|request| match by_name.get(request.id.as_str())?.as_slice() {
                [found] => Some((*found, request)),
                _ => None,
            })
            .collect();

        let calls = by_name
            .iter()
            .flat_map(|(name, requests)| requests.iter().map(move |request| (*name, *request)))
            .flat_map(|(name, request)| made_by(name, request))
            .filter(|(_, call)| call.vendor.is_some())
            .collect::<Vec<_>>();
        let links = Links::new(&calls, truth);
        let mut told = Told::default();
        for (call, exchange) in &links.pairs {
            if calls[*call].1.first_byte_ns.is_some() {
                told.add(calls[*call].1, &truth.exchanges[*exchange]);
            }
        }

        let mut cpu = Series::new("python.cpu");
        let mut unattributed = Series::new("unattributed");
        let mut waited = Series::new("its first byte");
        for (found, logged) in &pairs {
            let true_ns = only_wait_ns(found, logged, truth);
            waited.add(waited_ns(found).min(true_ns), true_ns, found.wall_ns);
            cpu.add(python_ns(found), logged.cpu_ns, found.wall_ns);
            unattributed.add(found.buckets.get(Bucket::Unattributed), Some(0), found.wall_ns);
        }
        let mut series = call_series(&links, &calls, truth);
        series.extend([waited, cpu, unattributed]);
        series.extend(wait_series(&pairs));
        let named = |exchange: usize| {
            let Exchange { call, .. } = &truth.exchanges[exchange];
            let id = truth.exchanges[exchange].request();
            let made = truth.requests.iter().find(|request| request.id == id);
            made.map_or_else(|| call.clone(), |request| format!("{call} of {}", request.route))
        };
        Comparison {
            title: title.into(),
            wrong: links.wrong_pairs.iter().map(|(_, exchange)| named(*exchange)).collect(),
            missing: links.unseen.iter().map(|exchange| named(*exchange)).collect(),
            routes: routes::routes(&pairs, &links, truth),
            requests: truth.requests.len(),
            found: pairs.len(),
            links,
            told,
            lost_events: report.capture.lost_events.clone(),
            series,
        }
    }

    /// All is found and linked, and close enough to the truth.
    pub fn is_exact(&self) -> bool {
        self.routes.iter().all(Route::is_exact)
            && self.links.extra == 0
            && self.series.iter().all(Series::is_close)
    }

    /// Prints the table, and panics unless all is found, linked, and close enough to the truth, and every call tells what
    /// the vendor knows.
    #[track_caller]
    pub fn check(&self) {
        self.check_times();
        assert!(self.told.silent.is_empty(), "{}: calls not told: {}", self.title, self.told);
    }

    /// The same of a Python whose OpenSSL can't be looked into: no call tells anything.
    #[track_caller]
    pub fn check_sealed(&self) {
        self.check_times();
        assert_eq!(self.told.right, 0, "{}: calls told: {}", self.title, self.told);
    }

    /// Prints the table, and panics unless all is found and linked, and every call tells what the vendor knows, whatever the
    /// times are.
    #[track_caller]
    pub fn check_calls(&self) {
        self.check_found();
        assert!(self.told.silent.is_empty(), "{}: calls not told: {}", self.title, self.told);
    }

    /// The same, but so many calls may tell nothing: what shows their plaintext was loaded with them.
    #[track_caller]
    pub fn check_calls_but(&self, late: usize) {
        self.check_found();
        assert!(self.told.silent.len() <= late, "{}: calls not told: {}", self.title, self.told);
    }

    /// Prints the table, and panics unless all requests are found and nothing that is told of calls is wrong. Gives the share
    /// of the calls that are linked.
    #[track_caller]
    pub fn check_nothing_wrong(&self) -> f64 {
        eprintln!("{self}");
        assert_eq!(self.found, self.requests, "{}: requests found", self.title);
        assert_eq!(self.links.wrong, 0, "{}: calls linked to a wrong request", self.title);
        assert_eq!(self.links.extra, 0, "{}: calls that the vendor did not see", self.title);
        assert!(self.told.wrong.is_empty(), "{}: calls told wrong: {}", self.title, self.told);
        self.check_lost(FEW_MISSED);
        self.links.right as f64 / (self.links.right + self.links.missing) as f64
    }

    /// Panics where any event was dropped, or the kernel left out more runs than that. Gives how many it left out.
    #[track_caller]
    pub fn check_lost(&self, most_missed: u64) -> u64 {
        let lost = self.lost_events.iter();
        let (missed, dropped): (Vec<_>, Vec<_>) = lost.partition(|(kind, _)| kind.starts_with(MISSED));
        assert_eq!(dropped, [], "{}: lost events", self.title);
        let missed: u64 = missed.into_iter().map(|(_, count)| count).sum();
        assert!(missed <= most_missed, "{}: {missed} runs were left out: {:?}", self.title, self.lost_events);
        missed
    }

    #[track_caller]
    fn check_found(&self) {
        self.check_nothing_wrong();
        assert_eq!(self.links.missing, 0, "{}: calls not linked", self.title);
    }

    #[track_caller]
    fn check_times(&self) {
        self.check_found();
        for series in &self.series {
            assert!(series.is_close(), "{}: {} is off:\n{self}", self.title, series.name());
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Links { right, wrong, missing, extra, .. } = &self.links;
        writeln!(formatter, "{}", self.title)?;
        writeln!(
            formatter,
            "  requests found {} of {}, lost events {:?}",
            self.found, self.requests, self.lost_events
        )?;
        writeln!(formatter, "  calls linked right {right}, wrong {wrong}, missing {missing}, extra {extra}")?;
        for (what, calls) in [("wrong", &self.wrong), ("missing", &self.missing)] {
            if !calls.is_empty() {
                writeln!(formatter, "  {what}: {}", calls.join(", "))?;
            }
        }
        write!(formatter, "{}{}", self.told, Series::heading())?;
        for series in &self.series {
            write!(formatter, "\n{series}")?;
        }
        Ok(())
    }
}

/// Time that a request waited for its first byte, or in which it had to do meanwhile. No other wait may hide that.
fn waited_ns(found: &Request) -> Option<u64> {
    let meanwhile = [
        Bucket::PythonCpu,
        Bucket::PythonGc,
        Bucket::PythonImport,
        Bucket::WaitLoop,
        Bucket::WaitGil,
        Bucket::WaitRunqueue,
    ];
    let meanwhile_ns: u64 = meanwhile.iter().filter_map(|bucket| found.buckets.get(*bucket)).sum();
    Some(found.buckets.get(Bucket::LlmFirstByte)? + meanwhile_ns)
}

/// How long a request that makes a single call waits for its first byte.
fn only_wait_ns(found: &Request, logged: &truth::Request, truth: &Truth) -> Option<u64> {
    let mut made = truth.exchanges.iter().filter(|exchange| exchange.request() == logged.id);
    let (Some(exchange), None) = (made.next(), made.next()) else { return None };
    let is_answered = matches!(found.calls.as_slice(), [call] if call.first_byte_ns.is_some());
    exchange.first_byte_ns().filter(|_| is_answered && exchange.maker() == logged.id)
}

fn call_series(links: &Links, calls: &[(String, &Call)], truth: &Truth) -> Vec<Series> {
    let connections: HashMap<u64, &Connection> =
        truth.connections.iter().map(|connection| (connection.connection, connection)).collect();
    let mut tls = Series::new("llm.tls");
    let mut first_byte = Series::new("llm.first_byte");
    let mut content = Series::new("first content");
    let mut stream = Series::new("llm.stream");
    for (call, exchange) in
        links.pairs.iter().map(|&(call, exchange)| (calls[call].1, &truth.exchanges[exchange]))
    {
        if call.first_byte_ns.is_none() {
            // It was given up before.
            continue;
        }
        first_byte.add(call.first_byte_ns, exchange.first_byte_ns(), call.wall_ns);
        if call.stream == Some(true) {
            content.add(call.first_content_ns, exchange.first_content_ns(), call.wall_ns);
        }
        if exchange.sent_ns.len() > 1 {
            stream.add(call.stream_ns, exchange.stream_ns(), call.wall_ns);
        }
        if let Some(connection) = connections.get(&exchange.connection).filter(|_| is_first(exchange, truth))
        {
            let true_ns = connection.finished_ns.map(|finished_ns| finished_ns - connection.hello_ns);
            tls.add(call.tls_ns, true_ns, call.wall_ns);
        }
    }
    vec![tls, first_byte, content, stream]
}

/// Of the waits that the application knows of.
fn wait_series(pairs: &[(&Request, &truth::Request)]) -> Vec<Series> {
    let mut by_bucket: BTreeMap<Bucket, Series> = BTreeMap::new();
    for (found, logged) in pairs {
        for (name, true_ns) in &logged.waits {
            let bucket = Bucket::from_name(name).unwrap_or_else(|| panic!("{name} is no bucket"));
            let series = by_bucket.entry(bucket).or_insert_with(|| Series::new(bucket.name()));
            series.add(found.buckets.get(bucket), Some(*true_ns), found.wall_ns);
        }
    }
    by_bucket.into_values().collect()
}

/// The calls of a request, each with its maker as the vendor's log has it.
fn made_by<'a>(name: &str, request: &'a Request) -> impl Iterator<Item = (String, &'a Call)> {
    let later = request.background.iter().flat_map(|background| &background.calls);
    let own = request.calls.iter().map({
        let maker = name.to_owned();
        move |call| (maker.clone(), call)
    });
    let maker = format!("{name}/background");
    own.chain(later.map(move |call| (maker.clone(), call)))
}

fn is_first(exchange: &Exchange, truth: &Truth) -> bool {
    let on_connection = truth.exchanges.iter().filter(|other| other.connection == exchange.connection);
    on_connection.map(|other| other.received_ns).min() == Some(exchange.received_ns)
}

fn name_of<'a>(request: &'a Request, truth: &'a Truth) -> Option<&'a str> {
    match request.kind {
        Kind::Http => request.path.as_deref()?.rsplit('/').next(),
        Kind::Run => {
            let logged = truth.requests.iter().find(|logged| logged.pid == request.pid)?;
            Some(logged.id.as_str())
        }
    }
}

/// Time on CPU: the truth does not tell collections and imports from the rest.
fn python_ns(request: &Request) -> Option<u64> {
    let known = |bucket| request.buckets.get(bucket).unwrap_or(0);
    Some(request.buckets.get(Bucket::PythonCpu)? + known(Bucket::PythonGc) + known(Bucket::PythonImport))
}
