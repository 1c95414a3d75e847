//! What `/proc` says of a process, parsed from bytes.

use std::ops::Range;

/// A line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub vaddrs: Range<u64>,
    pub executes: bool,
    /// Offset in the file of the first mapped byte.
    pub offset: u64,
    /// 0 where it comes from no file.
    pub ino: u64,
    /// As in the process's own mount namespace; what else it is, as `[vdso]`; often nothing.
    pub path: String,
}

/// The executable file mappings among the lines of `/proc/PID/maps`.
pub fn executable_mappings(maps: &str) -> Vec<Mapping> {
    let mut mappings = mappings(maps);
    mappings.retain(|mapping| mapping.executes && mapping.ino != 0);
    mappings
}

/// All lines of `/proc/PID/maps`.
pub fn mappings(maps: &str) -> Vec<Mapping> {
    maps.lines().filter_map(mapping).collect()
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = fields.next()?;
    let _device = fields.next()?;
    let ino: u64 = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        vaddrs: hex(start)?..hex(end)?,
        executes: permissions.contains('x'),
        offset: hex(offset)?,
        ino,
        path: path.strip_suffix(" (deleted)").unwrap_or(path).to_owned(),
    })
}

/// The start time in clock ticks since boot, field 22 of `/proc/PID/stat`. The name, field 2, is in
/// parentheses and may itself hold spaces and parentheses.
pub fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// The process's number in its innermost pid namespace, the last of `NSpid` in `/proc/PID/status`.
pub fn namespaced_pid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_mappings() {
        let maps = "\
00400000-0041f000 r--p 00000000 fe:00 77 /usr/bin/python3.11
0041f000-006b2000 r-xp 0001f000 fe:00 77 /usr/bin/python3.11
7f00-8f00 r-xp 00000000 00:31 5                          /opt/my app/libpython3.12.so.1.0 (deleted)
7ffd0000-7ffd2000 r-xp 00000000 00:00 0                  [vdso]
";
        let mappings = executable_mappings(maps);
        let paths: Vec<&str> = mappings.iter().map(|mapping| mapping.path.as_str()).collect();
        assert_eq!(paths, ["/usr/bin/python3.11", "/opt/my app/libpython3.12.so.1.0"]);
        assert_eq!(mappings[0].vaddrs, 0x41f000..0x6b2000);
        assert_eq!((mappings[0].offset, mappings[0].ino), (0x1f000, 77));
    }

    #[test]
    fn reads_the_start_behind_a_hostile_name() {
        let stat = "7 (a) R 1) b) S 1 7 7 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 12345 0 0";
        assert_eq!(start_ticks(stat), Some(12345));
        assert_eq!(start_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn reads_the_innermost_pid() {
        assert_eq!(namespaced_pid("Name:\tx\nNSpid:\t4711\t12\t1\n"), Some(1));
        assert_eq!(namespaced_pid("Name:\tx\n"), None);
    }

    proptest! {
        #[test]
        fn survives_any_text(text in "\\PC*") {
            executable_mappings(&text);
            start_ticks(&text);
            namespaced_pid(&text);
        }
    }
}
