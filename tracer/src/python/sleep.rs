//! Which callables of a process end an `asyncio.sleep`.

use foldhash::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What `asyncio.sleep` has the loop call when the time is over (Lib/asyncio/tasks.py, `sleep`, 3.8 to 3.15).
const NAME: &[u8] = b"_set_result_unless_cancelled";

/// Where a function object points to its name (Include/funcobject.h, `func_name`): from 3.10 on, there in a
/// free-threaded build, and up to 3.9.
const NAME_POINTERS: [usize; 3] = [32, 48, 64];

/// Where an ASCII string has its length, and its text (Include/cpython/unicodeobject.h, `PyASCIIObject`): from
/// 3.12 on, up to 3.11, and in a free-threaded build.
const STRINGS: [(usize, usize); 3] = [(16, 40), (16, 48), (32, 56)];

/// Bytes of a function object, and of a string object with the name in it, as far as they are looked at.
const FUNCTION_BYTES: usize = 72;
const STRING_BYTES: usize = 56 + NAME.len();

/// Callables that are remembered. Most are made for one step, and their addresses used again and again.
const LIMIT: usize = 65_536;

/// Knows the function that ends an `asyncio.sleep` by its name, which it reads once for each address.
///
/// The function lives as long as its module, so what is found stays true; one that is freed before it is looked
/// at is only not found.
#[derive(Debug, Default)]
pub struct SleepEnds {
    known: HashMap<(u32, u64), bool>,
}

impl SleepEnds {
    /// Whether a callable of a process ends an `asyncio.sleep`; `false` also where its memory can't be read.
    pub fn contain(&mut self, tgid: u32, callable: u64) -> bool {
        if callable == 0 {
            return false;
        }
        if self.known.len() >= LIMIT {
            self.known.retain(|_, is_end| *is_end);
        }
        *self.known.entry((tgid, callable)).or_insert_with(|| ends_sleep(tgid, callable).unwrap_or(false))
    }

    /// The process runs another program now, or ended.
    pub fn forget(&mut self, tgid: u32) {
        self.known.retain(|(of, _), _| *of != tgid);
    }
}

fn ends_sleep(tgid: u32, callable: u64) -> io::Result<bool> {
    let memory = File::open(format!("/proc/{tgid}/mem"))?;
    let mut function = [0; FUNCTION_BYTES];
    memory.read_exact_at(&mut function, callable)?;
    let mut string = [0; STRING_BYTES];
    Ok(NAME_POINTERS.iter().filter_map(|&at| word(&function, at)).any(|name| {
        // What is not a pointer there can't be read.
        memory.read_exact_at(&mut string, name).is_ok() && is_name(&string)
    }))
}

fn is_name(string: &[u8]) -> bool {
    STRINGS.iter().any(|&(length, text)| {
        word(string, length) == Some(NAME.len() as u64)
            && string.get(text..text + NAME.len()).is_some_and(|text| text == NAME)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    const PROGRAM: &str = "import asyncio.futures, json, sys
print(id(asyncio.futures._set_result_unless_cancelled), id(json.loads), id(asyncio), flush=True)
sys.stdin.read()";

    #[test]
    fn the_function_is_told_from_others() {
        let pythons = ["/usr/bin/python3".to_owned()].into_iter().chain(pyenv());
        for python in pythons {
            let child = Command::new(&python)
                .args(["-c", PROGRAM])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut child) = child else {
                eprintln!("skipped {python}: it is not installed");
                continue;
            };
            let mut line = String::new();
            let stdout = child.stdout.take().expect("a pipe");
            BufReader::new(stdout).read_line(&mut line).expect("addresses");
            let addresses: Vec<u64> =
                line.split(' ').map(|id| id.trim().parse().expect("a number")).collect();
            let mut ends = SleepEnds::default();
            let found: Vec<bool> = addresses.iter().map(|&id| ends.contain(child.id(), id)).collect();
            drop(child.stdin.take());
            child.wait().expect("it ends");
            assert_eq!(found, [true, false, false], "{python}");
            // It is known, and is no longer read.
            assert!(ends.contain(child.id(), addresses[0]));
            ends.forget(child.id());
            assert!(!ends.contain(child.id(), addresses[0]), "{python} has ended");
        }
    }

    /// The Pythons that pyenv has, from 3.8 on.
    fn pyenv() -> Vec<String> {
        let versions = Command::new("pyenv").args(["versions", "--bare"]).output();
        let root = Command::new("pyenv").arg("root").output();
        let (Ok(versions), Ok(root)) = (versions, root) else { return Vec::new() };
        let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
        let versions = String::from_utf8_lossy(&versions.stdout).into_owned();
        let is_new = |version: &&str| {
            let minor = version.strip_prefix("3.").and_then(|rest| rest.split('.').next());
            minor.and_then(|minor| minor.parse().ok()).is_some_and(|minor: u32| minor >= 8)
        };
        versions
            .lines()
            .filter(is_new)
            .map(|version| format!("{root}/versions/{version}/bin/python3"))
            .collect()
    }

    #[test]
    fn nothing_is_read_where_nothing_is() {
        assert!(!SleepEnds::default().contain(std::process::id(), 0));
        assert!(!SleepEnds::default().contain(std::process::id(), 8));
    }
}
