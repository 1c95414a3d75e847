//! Which processes of the host run Python.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use super::identity::FileId;
use super::process::{Expectation, expectation, is_libpython};
use super::procfs;

/// The processes that map CPython: their executable contains it, or they map a libpython.
///
/// Executables are told apart by inode and looked into once each. A process that ends meanwhile, or that may
/// not be read, is left out.
pub fn scan() -> Vec<u32> {
    let mut executables = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<u32> = names
        .filter_map(|name| name.parse().ok())
        .filter(|&tgid| maps_python(tgid, &mut executables))
        .collect();
    found.sort_unstable();
    found
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
