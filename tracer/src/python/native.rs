//! What native code a thread of Python runs: by the file that it was mapped from.

use std::{fs, ops::Range};

use foldhash::HashMap;

use super::procfs;
use crate::event::Function;

/// The mappings of a process are read again for code that they don't have: once where it has loaded a library, else not before
/// so long; where that code is from no file, as what compilers of Python make, twice as long each time.
const REREAD_NS: u64 = 1_000_000_000;
const LONGEST_REREAD_NS: u64 = 60_000_000_000;

/// Where the kernel's own addresses begin on processors of 64 bits, and what is said to be the address of all its code.
const KERNEL: u64 = 1 << 63;

/// The native code of processes.
#[derive(Debug, Default)]
pub struct Mapped(HashMap<u32, Process>);

#[derive(Debug)]
struct Process {
    /// It has loaded a library since they were read.
    is_stale: bool,
    read_ns: u64,
    reread_ns: u64,
    /// In order of their addresses.
    regions: Vec<Region>,
    /// Addresses of what was told of, and the time of the event before which it was.
    told_ns: HashMap<u64, u64>,
}

#[derive(Debug)]
struct Region {
    vaddrs: Range<u64>,
    /// `None` for the interpreter.
    library: Option<String>,
}

impl Mapped {
    /// What stands for the code that an instruction is of among addresses of code objects: its first address, as it is mapped
    /// there. With what it is, where that is new. `None` for the interpreter itself, and for what comes from no file.
    /// `code_type` is an address within the interpreter's data.
    pub fn at(
        &mut self,
        tgid: u32,
        at_ns: u64,
        instruction: u64,
        code_type: u64,
    ) -> Option<(u64, Option<Function>)> {
        let process = self.0.entry(tgid).or_insert_with(|| Process::read(tgid, at_ns, code_type));
        if instruction < KERNEL && process.region(instruction).is_none() && process.may_read_again(at_ns) {
            process.read_again(&maps(tgid), at_ns, code_type, instruction);
        }
        let (address, name) = if instruction >= KERNEL {
            (KERNEL, "[kernel]")
        } else {
            let region = process.region(instruction)?;
            (region.vaddrs.start, region.library.as_deref()?)
        };
        // An event may come later that is of a time before.
        if process.told_ns.get(&address).is_some_and(|told_ns| *told_ns <= at_ns) {
            return Some((address, None));
        }
        let function = Function::native(name.to_owned());
        process.told_ns.insert(address, at_ns);
        Some((address, Some(function)))
    }

    /// The process has loaded a library.
    pub fn loaded(&mut self, tgid: u32) {
        if let Some(process) = self.0.get_mut(&tgid) {
            process.is_stale = true;
        }
    }

    /// The process runs another program now, or ended.
    pub fn forget(&mut self, tgid: u32) {
        self.0.remove(&tgid);
    }
}

impl Process {
    fn read(tgid: u32, read_ns: u64, code_type: u64) -> Process {
        Process::of(&maps(tgid), read_ns, code_type)
    }

    fn of(maps: &str, read_ns: u64, code_type: u64) -> Process {
        let regions = regions(maps, code_type);
        Process { is_stale: false, read_ns, reread_ns: REREAD_NS, regions, told_ns: HashMap::default() }
    }

    fn may_read_again(&self, at_ns: u64) -> bool {
        self.is_stale || at_ns >= self.read_ns.saturating_add(self.reread_ns)
    }

    fn read_again(&mut self, maps: &str, at_ns: u64, code_type: u64, instruction: u64) {
        self.regions = regions(maps, code_type);
        self.is_stale = false;
        self.read_ns = at_ns;
        let found = self.region(instruction).is_some();
        self.reread_ns = if found { REREAD_NS } else { LONGEST_REREAD_NS.min(2 * self.reread_ns) };
    }

    fn region(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.vaddrs.start <= address);
        self.regions[..after].last().filter(|region| region.vaddrs.contains(&address))
    }
}

/// Of a process that is gone there are none.
fn maps(tgid: u32) -> String {
    fs::read_to_string(format!("/proc/{tgid}/maps")).unwrap_or_default()
}

/// The code that is mapped from files, and the kernel's own in user space.
fn regions(maps: &str, code_type: u64) -> Vec<Region> {
    let mappings = procfs::mappings(maps);
    let interpreter = mappings.iter().find(|mapping| mapping.vaddrs.contains(&code_type));
    let interpreter = interpreter.filter(|mapping| mapping.ino != 0);
    let code = mappings.iter().filter(|mapping| mapping.executes && !mapping.path.is_empty());
    let region = |mapping: &procfs::Mapping| {
        let is_interpreter = interpreter.is_some_and(|of| of.ino == mapping.ino && of.path == mapping.path);
        let name = mapping.path.rsplit('/').next().unwrap_or_default();
        Region { vaddrs: mapping.vaddrs.clone(), library: (!is_interpreter).then(|| name.to_owned()) }
    };
    let mut regions: Vec<Region> = code.map(region).collect();
    regions.sort_unstable_by_key(|region| region.vaddrs.start);
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_known_by_its_file_but_that_of_the_interpreter() {
        let maps = "\
1000-2000 r--p 00000000 fe:00 77 /usr/lib/libpython3.12.so.1.0
2000-4000 r-xp 00001000 fe:00 77 /usr/lib/libpython3.12.so.1.0
4000-5000 rw-p 00003000 fe:00 77 /usr/lib/libpython3.12.so.1.0
6000-7000 r-xp 00000000 fe:00 78 /usr/lib/libcrypto.so.3 (deleted)
7000-8000 rwxp 00000000 00:00 0
9000-a000 r-xp 00000000 00:00 0                          [vdso]
";
        let process = Process::of(maps, 0, 0x4100);
        let library = |address| process.region(address).map(|region| region.library.as_deref());
        assert_eq!(library(0x2fff), Some(None));
        assert_eq!(library(0x6000), Some(Some("libcrypto.so.3")));
        assert_eq!(library(0x9abc), Some(Some("[vdso]")));
        // Data, code that was made as the program ran, and nothing.
        assert_eq!([0x1000, 0x7000, 0x8000].map(library), [None; 3]);
    }

    #[test]
    fn what_is_loaded_later_is_found_and_what_is_of_no_file_is_not_looked_for_all_the_time() {
        let mut process = Process::of("", 0, 0);
        let lib = "1000-2000 r-xp 00000000 fe:00 78 /usr/lib/libz.so.1";
        let reads: Vec<u64> = (0..100)
            .map(|second| second * REREAD_NS)
            .filter(|at_ns| {
                let reads = process.may_read_again(*at_ns);
                if reads {
                    process.read_again(lib, *at_ns, 0, 0x5000);
                }
                reads
            })
            .collect();
        assert_eq!(reads, [1, 3, 7, 15, 31, 63].map(|second| second * REREAD_NS));
        process.read_again(lib, 0, 0, 0x1000);
        assert_eq!(process.reread_ns, REREAD_NS);
    }

    #[test]
    fn what_was_just_loaded_is_looked_for_at_once() {
        let mut mapped = Mapped::default();
        mapped.0.insert(7, Process::of("", 0, 0));
        let may_read_again = |mapped: &Mapped| mapped.0[&7].may_read_again(1);
        assert!(!may_read_again(&mapped));
        mapped.loaded(7);
        mapped.loaded(8);
        assert!(may_read_again(&mapped));
        mapped.at(7, 1, 0x1234, 0);
        assert!(!may_read_again(&mapped), "once");
    }

    #[test]
    fn what_is_new_is_told_once() {
        let mut mapped = Mapped::default();
        mapped.0.insert(7, Process::of("1000-2000 r-xp 00000000 fe:00 78 /usr/lib/libz.so.1", 0, 0));
        let mut at = |instruction| mapped.at(7, 1, instruction, 0);
        let native = |name: &str| Some(Function::native(name.to_owned()));
        assert_eq!(at(0x1234), Some((0x1000, native("libz.so.1"))));
        assert_eq!(at(0x1235), Some((0x1000, None)));
        let mut at = |instruction| mapped.at(7, 0, instruction, 0);
        assert_eq!(at(0x1236), Some((0x1000, native("libz.so.1"))), "for an event of before");
        assert_eq!(at(0x1236), Some((0x1000, None)));
        assert_eq!(at(0x5000), None);
        assert_eq!(at(u64::MAX - 5), Some((KERNEL, native("[kernel]"))));
    }
}
