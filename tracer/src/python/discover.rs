//! Which processes of the host run Python.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use super::identity::FileId;
use super::process::{Expectation, expectation, is_libpython};
use super::procfs;

/// The processes that map CPython: their executable contains it, or they map a libpython.
pub fn scan() -> Vec<u32> {
    that_map_python(&processes())
}

/// All processes of the host, in order.
pub fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    found.sort_unstable();
    found
}

/// Whether a process has not ended.
pub fn is_there(tgid: u32) -> bool {
    Path::new("/proc").join(tgid.to_string()).exists()
}

/// Those of some processes that map CPython.
///
/// Executables are told apart by inode and looked into once each. A process that ends meanwhile, or that may
/// not be read, is left out.
pub fn that_map_python(processes: &[u32]) -> Vec<u32> {
    let mut executables = HashMap::new();
    processes.iter().copied().filter(|&tgid| maps_python(tgid, &mut executables)).collect()
}

fn maps_python(tgid: u32, executables: &mut HashMap<FileId, Expectation>) -> bool {
    let directory = Path::new("/proc").join(tgid.to_string());
    // Kernel threads have no executable.
    let Ok(exe) = File::open(directory.join("exe")) else { return false };
    let Ok(identity) = FileId::of(&exe) else { return false };
    match executables.entry(identity).or_insert_with(|| expectation(&exe)) {
        Expectation::Python => true,
        // A program that embeds Python may load it at any time.
        Expectation::Later | Expectation::Not => {
            let Ok(maps) = fs::read(directory.join("maps")) else { return false };
            let mappings = procfs::executable_mappings(&String::from_utf8_lossy(&maps));
            mappings.iter().any(|mapping| is_libpython(&mapping.path))
        }
    }
}
