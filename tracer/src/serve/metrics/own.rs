//! What the tracer itself takes.

use std::{fs, sync::OnceLock};

use crate::record::pipeline::clocks;

/// The unit of CPU time in `/proc` (USER_HZ, 100 in a second on x86-64).
const TICK_NS: u64 = 10_000_000;

/// Of this process; 0 where `/proc` does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub cpu_ns: u64,
    pub resident_bytes: u64,
    pub open_files: u64,
    /// When this was first asked for.
    pub start_unix_ns: u64,
}

impl Own {
    pub fn read() -> Own {
        static START: OnceLock<u64> = OnceLock::new();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Own {
            cpu_ns: cpu_ns(&stat).unwrap_or_default(),
            resident_bytes: resident_bytes(&status).unwrap_or_default(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64,
            start_unix_ns: *START.get_or_init(|| clocks().1),
        }
    }
}

/// `/proc/PID/stat`: the 14th and 15th field are the ticks in the program and in the kernel for it; the name, which may have
/// spaces in it, ends with the last parenthesis.
fn cpu_ns(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * TICK_NS)
}

/// `VmRSS:` of `/proc/PID/status`, in kB.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_takes() {
        let own = Own::read();
        assert_eq!(cpu_ns("1 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0"), Some(420_000_000));
        assert!(own.resident_bytes > 1 << 20 && own.open_files > 2, "{own:?}");
        assert!(own.start_unix_ns > 0 && Own::read().start_unix_ns == own.start_unix_ns);
    }
}
