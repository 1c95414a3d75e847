//! What a process holds of the kernel.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aya::{
    maps::{HashMap, Map, MapData, loaded_maps},
    programs::loaded_programs,
};

use crate::lab::LIMIT;

const POLL: Duration = Duration::from_millis(100);

/// How many files a process has open, of whatever kind.
pub fn open_files(pid: u32) -> usize {
    entries(format!("/proc/{pid}/fd")).len()
}

/// Processes that the probes of a tracer trace, by its process id.
pub fn traced(tracer: u32) -> BTreeSet<u32> {
    let held = numbers(tracer, "map_id");
    let mut maps = loaded_maps().flatten();
    let map = maps.find(|map| held.contains(&map.id()) && map.name_as_str() == Some("TRACED"));
    let data = MapData::from_id(map.expect("it has that map").id()).expect("it is there");
    let map = HashMap::<_, u32, u32>::try_from(Map::HashMap(data)).expect("its kind");
    map.keys().flatten().collect()
}

/// Programs that are loaded now.
pub fn programs() -> BTreeSet<u32> {
    loaded_programs().flatten().map(|program| program.id()).collect()
}

/// Programs that are loaded and held by no process.
pub fn programs_of_nobody() -> BTreeSet<u32> {
    let all = programs();
    let processes =
        entries("/proc").into_iter().filter_map(|entry| entry.file_name()?.to_str()?.parse().ok());
    let held: BTreeSet<u32> = processes.flat_map(|pid| numbers(pid, "prog_id")).collect();
    all.difference(&held).copied().collect()
}

/// Of programs that nobody holds there are no more than before.
#[track_caller]
pub fn nothing_is_left(before: &BTreeSet<u32>) {
    let left = || &programs_of_nobody() - before;
    let deadline = Instant::now() + LIMIT;
    while !left().is_empty() {
        assert!(Instant::now() < deadline, "programs stay in the kernel: {:?}", left());
        thread::sleep(POLL);
    }
}

/// The values of a field of what is told of a process's open files.
fn numbers(pid: u32, field: &str) -> BTreeSet<u32> {
    let files =
        entries(format!("/proc/{pid}/fdinfo")).into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let value = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok())
    };
    files.filter_map(value).collect()
}

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
