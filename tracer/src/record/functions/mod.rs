//! How often functions are entered: counted for a while by CPython's function probes, where `--functions` asks for it.

mod pattern;
mod refuse;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ffi::{CStr, OsStr},
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use tracer_ebpf::{
    function::{self, FunctionKey, total},
    limits,
};

pub use pattern::Pattern;
pub use refuse::{fail_where_none_told, refuse};

use crate::{
    attach::{
        functions::FunctionCounter,
        link::{Attached, UprobePoint},
    },
    cli::RecordOptions,
    python::{
        functions::{self, FunctionPoint},
        identity::FileId,
        process::PythonProcess,
        program,
    },
    record::points::packed,
    report::{
        counts::{End, FunctionCount, FunctionCounts, LineCount, Told, Uncounted},
        text::format,
    },
};

/// What counting costs, as measured on CPython 3.11 and 3.15.
const COST: &str =
    "about 1 µs for each function entered, which makes code of many small functions up to 30 times slower";

pub struct Functions {
    pattern: Pattern,
    /// How long it is counted at most.
    limit: Duration,
    /// Files with CPython, and what they tell, or why they can't.
    files: HashMap<FileId, Result<Told, String>>,
    /// Dropping them detaches them.
    attached: Vec<Attached>,
    /// What the Python of each process tells.
    told: HashMap<u32, Told>,
    uncounted: BTreeMap<u32, String>,
    /// When the first file was attached.
    began: Option<Instant>,
    ended: Option<(End, Instant)>,
}

impl Functions {
    /// What the options ask for; says what it will cost.
    pub fn new(options: &RecordOptions) -> Option<Functions> {
        let pattern = options.functions.clone()?;
        let limit = options.functions_for;
        eprintln!(
            "tracer: counting functions costs {COST}, in every process of the same Python; it ends by itself after {} or \
             {} entries, and recording goes on",
            format::duration(limit.as_nanos() as u64),
            format::count(limits::COUNTED),
        );
        Some(Functions {
            pattern,
            limit,
            files: HashMap::new(),
            attached: Vec::new(),
            told: HashMap::new(),
            uncounted: BTreeMap::new(),
            began: None,
            ended: None,
        })
    }

    /// Attaches what a command will run before it does, where that can be told; else it is counted from when it is seen.
    pub fn expect(&mut self, counter: &FunctionCounter, program: &OsStr) {
        if let Some((path, file)) = program::interpreter(program)
            && let Ok(identity) = FileId::of(&file)
        {
            // What is wrong with it was said.
            let _ = self.attach(counter, &file, identity, &path);
        }
    }

    /// Counts in a process, too.
    pub fn add(&mut self, counter: &FunctionCounter, process: &PythonProcess) {
        let told: Vec<Result<Told, String>> = process
            .binaries
            .iter()
            .map(|mapped| self.attach(counter, &mapped.file, mapped.identity, Path::new(&mapped.path)))
            .collect();
        match told.iter().find_map(|told| told.as_ref().ok()) {
            Some(&told) => {
                self.told.insert(process.tgid, told);
                if has_jit(process.tgid) {
                    let reason = "what its JIT has compiled, as PYTHON_JIT is set".to_owned();
                    self.uncounted.insert(process.tgid, reason);
                }
            }
            None => {
                let reason = told.into_iter().find_map(Result::err).unwrap_or_default();
                self.uncounted.insert(process.tgid, reason);
            }
        }
    }

    /// A process is the copy of another one.
    pub fn forked(&mut self, tgid: u32, child_tgid: u32) {
        if let Some(&told) = self.told.get(&tgid) {
            self.told.insert(child_tgid, told);
        }
    }

    /// Attaches the function probes of a file, unless that was tried already. The error is a clause for the user.
    fn attach(
        &mut self,
        counter: &FunctionCounter,
        file: &File,
        identity: FileId,
        path: &Path,
    ) -> Result<Told, String> {
        if let Some(known) = self.files.get(&identity) {
            return known.clone();
        }
        if self.ended.is_some() {
            return Err("counting had ended before it started".to_owned());
        }
        let attached = functions::find(file).and_then(|probes| {
            let points: Vec<UprobePoint> = probes.points.iter().filter_map(uprobe_point).collect();
            if points.len() < probes.points.len() {
                return Err("its function probes keep names too far from their registers".to_owned());
            }
            let attached = counter.attach(file, &points).map_err(|error| error.to_string())?;
            // With some alone, counts would be too low and not say so.
            match attached.refused.first() {
                Some(refused) => Err(refused.reason.clone()),
                None => Ok((probes, attached)),
            }
        });
        let path = path.display().to_string();
        let path = format::printable(&path);
        let told = match attached {
            Ok((probes, attached)) => {
                let version = probes.version.unwrap_or_default();
                eprintln!(
                    "tracer: counting functions of {path} (CPython {version}): {}",
                    probes.told.meaning()
                );
                self.attached.push(attached);
                self.began.get_or_insert_with(Instant::now);
                Ok(probes.told)
            }
            Err(reason) => {
                eprintln!("tracer: functions of {path} can't be counted: {reason}");
                Err(reason)
            }
        };
        self.files.insert(identity, told.clone());
        told
    }

    /// Ends counting when its time is up or as many as may be are counted.
    pub fn look_again(&mut self, counter: &FunctionCounter) {
        let Some(began) = self.began.filter(|_| self.ended.is_none()) else { return };
        let why = if counter.total(total::COUNTED) >= limits::COUNTED {
            self.end(End::Limit);
            format!("{} entries were counted", format::count(limits::COUNTED))
        } else if began.elapsed() >= self.limit {
            self.end(End::Time);
            format!("{} are over", format::duration(self.limit.as_nanos() as u64))
        } else {
            return;
        };
        eprintln!("tracer: counting functions has ended, as {why}: its probes are gone, recording goes on");
    }

    fn end(&mut self, end: End) {
        self.attached.clear();
        self.ended.get_or_insert_with(|| (end, Instant::now()));
    }

    /// Ends counting; gives what was counted.
    pub fn finish(mut self, counter: &FunctionCounter) -> FunctionCounts {
        self.end(End::Recording);
        let (end, ended) = self.ended.unwrap_or((End::Recording, Instant::now()));
        let counted_ns = self.began.map(|began| ended.duration_since(began).as_nanos() as u64);
        FunctionCounts {
            pattern: self.pattern.to_string(),
            counted_ns,
            end,
            lost: counter.total(total::LOST),
            functions: self.matching(counter.counts()),
            uncounted: self.uncounted.into_iter().map(|(pid, reason)| Uncounted { pid, reason }).collect(),
        }
    }

    /// The functions that are meant, the lines of each in one.
    fn matching(&self, counts: Vec<(FunctionKey, u64)>) -> Vec<FunctionCount> {
        let mut lines_of = BTreeMap::<(String, String, u32), Vec<LineCount>>::new();
        for (key, count) in counts {
            let line = u32::try_from(key.line).ok().filter(|line| *line > 0);
            let lines = lines_of.entry((text(&key.file), text(&key.name), key.tgid)).or_default();
            lines.push(LineCount { line, count });
        }
        let meant =
            lines_of.into_iter().filter(|((file, function, _), _)| self.pattern.matches(file, function));
        let mut functions: Vec<FunctionCount> = meant
            .map(|((file, function, pid), mut lines)| {
                lines.sort_by_key(|line| (Reverse(line.count), line.line));
                let count = lines.iter().map(|line| line.count).sum();
                FunctionCount { pid, function, file, count, told: self.told_by(pid), lines }
            })
            .collect();
        functions.sort_by_key(|function| Reverse(function.count));
        functions
    }

    /// Of a process whose start was not told, it is what others tell.
    fn told_by(&self, tgid: u32) -> Told {
        let of_others = || self.files.values().find_map(|told| told.as_ref().ok());
        self.told.get(&tgid).or_else(of_others).copied().unwrap_or(Told::Entries)
    }
}

/// Whether a process may compile Python, which then tells of no functions.
fn has_jit(tgid: u32) -> bool {
    let environment = fs::read(format!("/proc/{tgid}/environ")).unwrap_or_default();
    let mut variables = environment.split(|&byte| byte == 0);
    variables.any(|variable| variable.starts_with(b"PYTHON_JIT=") && variable != b"PYTHON_JIT=0")
}

fn uprobe_point(point: &FunctionPoint) -> Option<UprobePoint> {
    Some(UprobePoint {
        offset: point.point.offset,
        semaphore: point.point.semaphore,
        cookie: function::pack(point.operands.map(packed))?,
        returns: false,
    })
}

/// A name as the probe copied it; what was cut ends in `…`.
fn text(bytes: &[u8]) -> String {
    let name = CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes);
    let cut = if name.len() + 1 >= bytes.len() { "…" } else { "" };
    // A character that was cut in two is none.
    String::from_utf8_lossy(name).trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned() + cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_cut_say_so() {
        assert_eq!(text(b"run\0\0\0\0\0"), "run");
        assert_eq!(text(b"\0\0\0\0"), "");
        assert_eq!(text(b"abcdefg\0"), "abcdefg…");
        assert_eq!(text("abcdef\u{e9}".as_bytes().first_chunk::<7>().unwrap()), "abcdef…");
    }
}
