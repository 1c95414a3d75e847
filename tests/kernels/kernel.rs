//! What a machine left of a kernel.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tests::truth::Truth;
use tracer::{
    attach::support::{SAMPLES, TRACEPOINTS, UPROBES},
    report::{bucket::Bucket, types::Report},
};

/// Half of what the verifier goes through of a program (`BPF_COMPLEXITY_LIMIT_INSNS`, include/linux/bpf.h).
pub const MOST_INSTRUCTIONS: u32 = 500_000;

/// The first versions that give something which older ones don't: attach cookies, then `uprobe_multi`. (`sk_data_ready` came
/// in between, in 6.3, of which Debian has no kernel.)
const AGES: [&str; 3] = ["5.10", "5.15", "6.6"];

pub struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    folder: PathBuf,
    probes: Vec<Probe>,
    unknown: Vec<Unknown>,
    programs: Vec<Program>,
}

/// A prerequisite of `tracer check`.
#[derive(Deserialize)]
pub struct Probe {
    pub name: String,
    status: String,
    found: String,
    buckets: Vec<String>,
}

/// A bucket that `tracer check` says can't be seen.
#[derive(Deserialize)]
struct Unknown {
    bucket: String,
    reason: String,
}

/// What the verifier says of a program.
pub struct Program {
    pub name: String,
    /// `None` where it is refused.
    pub instructions: Option<u32>,
    /// Stack of its first function.
    pub frame_bytes: Option<u32>,
    pub reason: String,
}

#[derive(Deserialize)]
struct Check {
    ok: bool,
    prerequisites: Vec<Probe>,
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    unknown: Vec<Unknown>,
}

impl Kernel {
    /// Those that ran, the oldest first.
    pub fn all() -> Vec<Kernel> {
        let results = env::var_os("TRACER_TEST_KERNELS")
            .expect("TRACER_TEST_KERNELS names no results: run this by `cargo xtask test kernels`");
        let mut kernels: Vec<Kernel> = fs::read_dir(results)
            .expect("read the results")
            .map(|entry| Kernel::read(&entry.expect("an entry").path()))
            .collect();
        kernels.sort_by_key(|kernel| numbers(&kernel.release));
        assert!(!kernels.is_empty(), "no kernel ran");
        kernels
    }

    fn read(folder: &Path) -> Kernel {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let release = folder.file_name().expect("it has a name").to_string_lossy().into_owned();
        let check: Check = serde_json::from_str(&text("check.json")).unwrap_or_else(|error| {
            panic!("{release}: `tracer check` answered no JSON: {error}\n{}", text("check.stderr"))
        });
        assert!(check.ok, "{release}: tracing is not possible:\n{}", text("check.json"));
        let [process] = <[Process; 1]>::try_from(check.processes)
            .unwrap_or_else(|processes| panic!("{release}: {} Pythons were found, not one", processes.len()));
        Kernel {
            release,
            folder: folder.to_path_buf(),
            probes: check.prerequisites.into_iter().filter(|item| item.is_probe()).collect(),
            unknown: process.unknown,
            programs: text("verifier").lines().map(Program::read).collect(),
        }
    }

    /// The first two numbers of the release.
    pub fn version(&self) -> String {
        let [major, minor, ..] = numbers(&self.release);
        format!("{major}.{minor}")
    }

    /// The youngest of [`AGES`] that it has.
    pub fn age(&self) -> &'static str {
        let reached = |age: &&&str| numbers(age) <= numbers(&self.version());
        AGES.iter().rev().find(reached).expect("it is no older than the oldest")
    }

    pub fn probe_names(&self) -> impl Iterator<Item = &str> {
        self.probes.iter().map(|probe| probe.name.as_str())
    }

    pub fn program_names(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(|program| program.name.as_str())
    }

    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// What became of a probe.
    pub fn probe(&self, name: &str) -> String {
        match self.probes.iter().find(|probe| probe.name == name).map(|probe| probe.status.as_str()) {
            Some("ok") => "available",
            Some("fallback") => "fallback",
            _ => "unknown",
        }
        .to_owned()
    }

    /// What is known of a bucket: by what `tracer check` says, and by what stands in the report.
    pub fn bucket(&self, name: &str) -> String {
        let bucket = Bucket::from_name(name).expect("a bucket");
        let told = self.unknown.iter().any(|unknown| unknown.bucket == name);
        let seen = self.report().requests.iter().all(|request| request.buckets.get(bucket).is_some());
        let stands_in = self.probes.iter().any(|probe| probe.stands_in_for(name));
        match (told, seen) {
            (false, true) if stands_in => "fallback",
            (false, true) => "available",
            (true, false) => "unknown",
            (true, true) => "told unknown, but seen",
            (false, false) => "not seen, and not told",
        }
        .to_owned()
    }

    pub fn instructions(&self, name: &str) -> String {
        let program = self.programs.iter().find(|program| program.name == name);
        program
            .and_then(|program| program.instructions)
            .map_or_else(|| "-".to_owned(), |count| count.to_string())
    }

    /// Why what is not available is not, a line each.
    pub fn reasons(&self) -> String {
        let probes =
            self.probes.iter().filter(|probe| probe.status != "ok").map(|probe| (&probe.name, &probe.found));
        let buckets = self.unknown.iter().map(|unknown| (&unknown.bucket, &unknown.reason));
        let lines: Vec<String> =
            probes.chain(buckets).map(|(name, why)| format!("\n  {name}: {why}")).collect();
        if lines.is_empty() { " everything is available".to_owned() } else { lines.concat() }
    }

    /// What is expected of every kernel of its age.
    pub fn summary(&self) -> String {
        let probes =
            self.probes.iter().map(|probe| format!("probe {} {}\n", probe.name, self.probe(&probe.name)));
        let buckets = Bucket::ALL
            .iter()
            .map(|bucket| format!("bucket {} {}\n", bucket.name(), self.bucket(bucket.name())));
        probes.chain(buckets).collect()
    }

    /// Of the application that calls a vendor.
    pub fn report(&self) -> Report {
        self.report_of("truth")
    }

    /// Of the host with containers.
    pub fn containers(&self) -> Report {
        self.report_of("containers")
    }

    fn report_of(&self, name: &str) -> Report {
        serde_json::from_str(&self.text(&format!("{name}.json"))).unwrap_or_else(|error| {
            panic!("{}: no report: {error}\n{}", self.release, self.text(&format!("{name}.stderr")))
        })
    }

    /// Runs of probes that it may leave out. From 7.0 on it may preempt user space in the middle of a call of bpf(2), and runs no
    /// program of a perf event on that CPU until that is done: in an emulated machine, where a call takes long, that is met. Raw
    /// tracepoints lost 1,300 there.
    pub fn most_missed(&self) -> u64 {
        if numbers(&self.release) >= [7, 0] { 20 } else { 0 }
    }

    pub fn truth(&self) -> Truth {
        Truth::read(&self.folder.join("lab"))
    }

    /// A file that the machine left.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Probe {
    fn is_probe(&self) -> bool {
        let of_tracepoints = TRACEPOINTS.iter().map(|tracepoint| tracepoint.name);
        of_tracepoints.chain([UPROBES, SAMPLES]).any(|name| name == self.name)
    }

    fn stands_in_for(&self, bucket: &str) -> bool {
        self.status == "fallback" && self.buckets.iter().any(|filled| filled == bucket)
    }
}

impl Program {
    /// Reads a line of the example `verifier`.
    fn read(line: &str) -> Program {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = rest.split(' ').map(|number| number.parse().ok());
        Program {
            name: name.to_owned(),
            instructions: numbers.next().flatten(),
            frame_bytes: numbers.next().flatten(),
            reason: rest.to_owned(),
        }
    }
}

/// The first two numbers of a version.
fn numbers(version: &str) -> [u32; 2] {
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}
