//! The command line. Each command's options are handed on as they are declared here.

use std::{ffi::OsString, fmt, fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracer_ebpf::{limits, settings::reading};

use crate::{
    record::functions::Pattern,
    report::{filter::Filter, text},
};

/// Where the time of every request of a Python LLM application went.
#[derive(Debug, Parser)]
#[command(name = "tracer", version, disable_help_subcommand = true, max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Record(RecordOptions),
    Report(ReportOptions),
    Serve(ServeOptions),
    Top(TopOptions),
    Diff(DiffOptions),
    Check(CheckOptions),
    #[command(hide = true)]
    Pages(PagesOptions),
}

/// Trace a command, processes, or the whole host, and print the report
///
/// With neither a command nor `-p`, every Python process of the host is traced, those that start later too.
/// Tracing ends when the command does, after `-d`, or with Ctrl-C; then the report is printed. Needs root.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = RECORD_EXAMPLES)]
pub struct RecordOptions {
    /// Trace this process and those it starts; may be given several times
    #[arg(short, long = "pid", value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,

    /// Stop after so long: seconds, or with a unit as in `500ms` or `2m`
    #[arg(short, long, value_name = "SECS", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Also write a capture, for `tracer report`
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,

    /// Vendors to know beside the built-in ones, in the form of that table
    #[arg(long, value_name = "FILE")]
    pub vendors: Option<PathBuf>,

    /// What to look at of calls; nothing of it but names and numbers is kept
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub read: Read,

    /// How often to look what a CPU runs, in a second that it is used: 1 to 4999
    #[arg(long, value_name = "N", default_value_t = limits::SAMPLES_PER_SECOND, value_parser = clap::value_parser!(u32).range(SAMPLING))]
    pub samples_per_second: u32,

    /// Also count exactly how often functions are entered, for a while; slows Python down meanwhile
    ///
    /// PATTERN is a part of a function's name, or with `*` and `?` all of it. As FILE:FUNCTION, of which
    /// either may be left out, the file's path or its end has to match as well: `parse`, `get_*`, `app/views.py:*`, `/openai/:create`. The function
    /// is named as behind `def`.
    ///
    /// Python 3.8 to 3.11 and 3.15 can tell, where they were built with probes for it (--with-dtrace, as Debian's are): 3.11
    /// tells returns, the others entries, and of generators and coroutines also each time that they go on. What a JIT has
    /// compiled is not counted. A command is counted from its first function on, where it is a Python or a script of one,
    /// else from when one was seen. The counts stand below the report, not in a capture.
    ///
    /// Each entry takes about 1 us more, in every process of the same Python, which makes code of many small functions up to
    /// 30 times slower. So counting ends by itself, after --functions-for or 10,000,000 entries, and recording goes on.
    #[arg(long, value_name = "PATTERN")]
    pub functions: Option<Pattern>,

    /// Count functions for so long at most: seconds, or with a unit as in `500ms` or `2m`
    #[arg(long, value_name = "SECS", value_parser = duration, default_value = "10s", requires = "functions")]
    pub functions_for: Duration,

    /// Bytes of the ring buffer between kernel and tracer: a power of two
    #[arg(long, value_name = "BYTES", hide = true, default_value_t = limits::RING_BYTES, value_parser = ring_bytes)]
    pub ring_bytes: u32,

    /// Command to start and trace, with its arguments
    #[arg(last = true, value_name = "CMD", conflicts_with = "pids")]
    pub command: Vec<OsString>,
}

/// How much of the plaintext of calls is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Read {
    /// Heads, and beginnings and ends of bodies: the model, tokens, the first output
    #[default]
    Bodies,
    /// Heads: path, status, what the vendor calls the request
    Heads,
    /// Nothing within TLS: lengths and times alone
    Lengths,
}

impl Read {
    /// One of [`tracer_ebpf::settings::reading`].
    pub fn level(self) -> u32 {
        match self {
            Read::Bodies => reading::BODIES,
            Read::Heads => reading::HEADS,
            Read::Lengths => reading::LENGTHS,
        }
    }
}

/// Print the report of a capture, or of a stretch of time that the daemon has seen
///
/// Of a capture it needs no root, and gives the same report as the recording did. Formats other than text and json show where
/// the wall time of the requests went as stacks: the route, Python functions, and the bucket of what is no CPU.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = REPORT_EXAMPLES)]
pub struct ReportOptions {
    /// Capture that `tracer record -o` wrote
    #[arg(required_unless_present_any = ["since", "history"])]
    pub file: Option<PathBuf>,

    /// Report what the daemon saw since so long ago: seconds, or with a unit as in `30m` or `1h`
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "file")]
    pub since: Option<Duration>,

    /// History that the daemon wrote; without --since, all of it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub history: Option<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: ReportFormat,

    /// Show only this request, as text with what it ran and waited for by function
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,

    /// Show only the N slowest requests; as text the default is 3, else all
    #[arg(long, value_name = "N")]
    pub slowest: Option<usize>,

    /// Show only requests of this route, given as `/chat` or `POST /chat`, as text with what they ran and waited for by function
    #[arg(long, value_name = "ROUTE")]
    pub route: Option<String>,

    /// Write to a file instead of standard output
    #[arg(short, long = "output", value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// Vendors to know beside the built-in ones, in the form of that table
    #[arg(long, value_name = "FILE")]
    pub vendors: Option<PathBuf>,
}

impl ReportOptions {
    pub fn filter(&self) -> Filter {
        Filter { request: self.request.clone(), route: self.route.clone(), slowest: self.slowest }
    }
}

/// Trace the host for months: the daemon
///
/// Every Python process that the configuration selects is traced, those that start later too. Ends cleanly within a
/// second on SIGTERM or Ctrl-C. Tells systemd when it is ready. Needs root.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = SERVE_EXAMPLES)]
pub struct ServeOptions {
    /// Configuration; the default is /etc/tracer/tracer.toml if it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Trace nothing and show this history, as a daemon here or elsewhere wrote it; needs no root
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Print the configuration file with every option, its meaning and its default, and do nothing else
    #[arg(long)]
    pub print_config: bool,
}

/// Watch what the daemon sees: routes, vendors, requests and findings, live
///
/// A client of the daemon's API (`tracer serve`), which may run without root. `?` lists the keys: a route leads to its
/// requests, and a request to where its time went. While no daemon answers, it says so and tries on.
#[derive(Clone, Args)]
#[command(after_long_help = TOP_EXAMPLES)]
pub struct TopOptions {
    /// Where the daemon answers: web.listen of its configuration
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7070")]
    pub url: String,

    /// What requests must bring: web.token of the daemon's configuration; other users of this host see it here
    #[arg(long, value_name = "TOKEN", env = "TRACER_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// The same, as the first line of a file; goes before --token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Show what finished since so long ago: seconds, or with a unit as in `30m` or `1h`
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub since: Duration,
}

impl TopOptions {
    /// The token, from wherever it comes; an empty one is none.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn token(&self) -> anyhow::Result<Option<String>> {
        let token = match &self.token_file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("can't read the token from {}", path.display()))?;
                text.lines().next().map(|line| line.trim().to_owned())
            }
            None => self.token.clone(),
        };
        Ok(token.filter(|token| !token.is_empty()))
    }
}

/// The token is nobody's business.
impl fmt::Debug for TopOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let TopOptions { url, since, .. } = self;
        formatter.debug_struct("TopOptions").field("url", url).field("since", since).finish_non_exhaustive()
    }
}

/// Compare two captures: which routes, buckets and functions changed, and which differ by chance
///
/// Wall times and buckets are compared by median and 95th percentile, functions by their mean CPU time of a
/// request, as samples tell. A change is real when it is 5 % of the route's time or more and chance would hardly
/// make it: of a thousand comparisons of unchanged programs, one shows any. The brackets behind it hold the true
/// change with 95 % confidence. What requests waited for a CPU (wait.runqueue) is the host's doing: it is told
/// apart, and is no change. Medians take some 20 requests of a route in each capture, 95th percentiles some 250;
/// with fewer it says so. Needs no root.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = DIFF_EXAMPLES)]
pub struct DiffOptions {
    /// Capture from before, that `tracer record -o` wrote
    pub base: PathBuf,

    /// Capture from after, of the same load on the same host
    pub new: PathBuf,

    /// Form of the comparison
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,

    /// Exit with 1 when a route became slower by more than this many per cent
    ///
    /// That is: the median or 95th percentile of its wall time, without what it waited for a CPU, grew; the change
    /// is real; and its size, as it is printed before the brackets, is above PCT. Routes with too few requests to tell
    /// are named on standard error, and do not fail.
    #[arg(long, value_name = "PCT", allow_negative_numbers = true, value_parser = percent)]
    pub fail_over: Option<f64>,

    /// Vendors to know beside the built-in ones, in the form of that table
    #[arg(long, value_name = "FILE")]
    pub vendors: Option<PathBuf>,
}

/// Say what tracing needs, what is missing, and which buckets that costs
///
/// First the host's prerequisites, each failure with the command that fixes it; then, for each Python
/// process, which probes and buckets are available and why others are not. Exits with 2 when tracing is not
/// possible.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = CHECK_EXAMPLES)]
pub struct CheckOptions {
    /// Form of the answer
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// Write man pages and shell completions into a folder
#[derive(Clone, Debug, Args)]
pub struct PagesOptions {
    /// Where they go
    pub folder: PathBuf,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, on a terminal
    #[default]
    Text,
    /// For programs
    Json,
}

/// How the report of a capture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people, on a terminal
    #[default]
    Text,
    /// For programs
    Json,
    /// For callgrind_annotate and kcachegrind: by function, with callers and callees
    Callgrind,
    /// For speedscope.app; with --request or --slowest also in order of time
    Speedscope,
    /// For `go tool pprof`: with labels for request, route, vendor and bucket; binary
    Pprof,
    /// For profiler.firefox.com: each request in order of time
    Firefox,
    /// For ui.perfetto.dev: requests, contexts, threads and calls over time; binary
    Perfetto,
    /// A line for each stack, with its wall time in ns: for flame graph tools
    Folded,
    /// A picture for a browser: routes, their buckets, and functions
    Svg,
}

impl ReportFormat {
    /// Of one that is no text its name, and what a file of it is called.
    pub fn binary(self) -> Option<(&'static str, &'static str)> {
        match self {
            ReportFormat::Pprof => Some(("pprof", "run.pb.gz")),
            ReportFormat::Perfetto => Some(("perfetto", "run.perfetto-trace")),
            _ => None,
        }
    }
}

impl From<Format> for ReportFormat {
    fn from(format: Format) -> ReportFormat {
        match format {
            Format::Text => ReportFormat::Text,
            Format::Json => ReportFormat::Json,
        }
    }
}

/// A duration of seconds or with a unit; not zero.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    };
    match parsed? {
        Duration::ZERO => Err("must be more than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// A percentage, with or without its sign; 0 or more.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(percent),
        Ok(_) => Err("must be 0 or more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Samples of a CPU in a second. Each takes it 2 us.
pub const SAMPLING: std::ops::RangeInclusive<i64> = 1..=4_999;

/// The kernel takes a power of two that is a multiple of the page size.
pub fn ring_bytes(text: &str) -> Result<u32, String> {
    const LEAST: u32 = 4096;
    const MOST: u32 = 1 << 30;
    let bytes: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if bytes.is_power_of_two() && (LEAST..=MOST).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("must be a power of two from {LEAST} to {MOST}"))
    }
}

const _: () = assert!(limits::COUNTED == 10_000_000, "the help of --functions says 10,000,000");
const _: () = assert!(text::SLOWEST == 3, "the help of --slowest says 3");

const EXAMPLES: &str = "\
EXAMPLES
  sudo tracer record -- python app.py      trace a command
  sudo tracer record -d 30 -o run.capture  trace the host for 30 seconds, keep a capture
  tracer report run.capture --slowest 10   look again, without root
  sudo tracer serve                        trace the host for months
  tracer top                               watch what that sees
  tracer diff base.capture new.capture     what changed, and what differs by chance
  tracer check                             what is missing, and how to get it

Exit status: 0 all went well, 1 a threshold that was asked for is exceeded, 2 an error.";

const RECORD_EXAMPLES: &str = "\
EXAMPLES
  sudo tracer record -- python app.py
  sudo tracer record -p 4711 -p 4712 -d 10
  sudo tracer record -d 2m -o run.capture
  sudo tracer record --functions 'app.py:*' -- python app.py
  sudo tracer record --format json -- python app.py > report.json";

const REPORT_EXAMPLES: &str = "\
EXAMPLES
  tracer report run.capture
  tracer report run.capture --route 'POST /chat' --slowest 1
  sudo tracer report --since 1h --route /chat --slowest 20
  tracer report run.capture --format json | jq '.findings[].title'
  tracer report run.capture --format svg -o run.svg
  tracer report run.capture --format callgrind -o callgrind.out.run && kcachegrind callgrind.out.run
  tracer report run.capture --format pprof -o run.pb.gz && go tool pprof -top run.pb.gz";

const SERVE_EXAMPLES: &str = "\
EXAMPLES
  sudo tracer serve
  tracer serve --print-config > tracer.toml
  sudo tracer serve --config tracer.toml
  tracer serve --history copied.db          look at a history from elsewhere, without root";

const TOP_EXAMPLES: &str = "\
EXAMPLES
  tracer top
  tracer top --since 1h
  tracer top --url http://10.0.0.5:7070 --token-file token
  sudo tracer report --since 5m            the same once, as text";

const DIFF_EXAMPLES: &str = "\
EXAMPLES
  sudo tracer record -d 60 -o base.trace    before the change, under load
  sudo tracer record -d 60 -o new.trace     after it, under the same load
  tracer diff base.trace new.trace
  tracer diff base.trace new.trace --fail-over 5
  tracer diff base.trace new.trace --format json | jq '.routes[] | {route, p50: .wall.p50.verdict}'";

const CHECK_EXAMPLES: &str = "\
EXAMPLES
  sudo tracer check
  sudo tracer check --format json | jq '.prerequisites[] | select(.status != \"ok\")'";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_seconds_unless_they_say_otherwise() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["0", "-1", "nan", "soon", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentages_are_of_nothing_or_more() {
        assert_eq!((percent("5"), percent("2.5%"), percent("0 %")), (Ok(5.0), Ok(2.5), Ok(0.0)));
        for bad in ["-1", "nan", "inf", "much", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ring_sizes_are_what_the_kernel_takes() {
        assert_eq!(ring_bytes("65536"), Ok(65_536));
        for bad in ["0", "5000", "2048", "4294967295", "many"] {
            assert!(ring_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_command_and_pids_exclude_each_other() {
        assert!(Cli::try_parse_from(["tracer", "record", "-p", "1", "--", "true"]).is_err());
        let cli = Cli::try_parse_from(["tracer", "record", "-p", "1", "-p", "2", "-d", "3"]).unwrap();
        let Command::Record(options) = cli.command else { panic!("not record") };
        assert_eq!((options.pids, options.duration), (vec![1, 2], Some(Duration::from_secs(3))));
    }
}
