//! The program that counts how often functions are entered, loaded where that is asked for.

use std::fs::File;

use aya::{
    Btf, Ebpf,
    maps::{HashMap, MapData},
};
use tracer_ebpf::function::{FunctionKey, total};

use super::{
    counts::Counts,
    link::{AttachError, Attached, UprobePoint, Uprobes},
    load::{LoadError, OBJECT, map_error, take},
    program::Programs,
    uprobe::{FUNCTIONS, Way},
};

/// Loaded, and attached to nothing yet.
pub struct FunctionCounter {
    uprobes: Result<Uprobes, String>,
    counts: HashMap<MapData, Key, u64>,
    totals: Counts<{ total::LIMIT }>,
}

impl FunctionCounter {
    /// Takes its maps from what aya has loaded.
    pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Result<FunctionCounter, LoadError> {
        let programs = Programs::new(OBJECT, ebpf, btf);
        Ok(FunctionCounter {
            uprobes: programs.and_then(|programs| Way::choose(programs, FUNCTIONS)).map(Uprobes::new),
            counts: HashMap::try_from(take(ebpf, "FUNCTIONS")?).map_err(map_error)?,
            totals: Counts::new(take(ebpf, "FUNCTION_TOTALS")?)
                .map_err(|error| LoadError::Object(format!("reading the map `FUNCTION_TOTALS`: {error}")))?,
        })
    }

    /// Attaches points with cookies of [`tracer_ebpf::function::pack`], in every process; only traced ones are counted.
    pub fn attach(&self, file: &File, points: &[UprobePoint]) -> Result<Attached, AttachError> {
        match &self.uprobes {
            Ok(uprobes) => uprobes.attach(file, points, None),
            Err(reason) => Err(AttachError::NotLoaded(reason.clone())),
        }
    }

    /// One of [`tracer_ebpf::function::total`].
    pub fn total(&self, index: usize) -> u64 {
        self.totals.of(index)
    }

    /// How often each function was entered. Takes a system call for each, during which older kernels may leave runs of the program
    /// out: for when it is detached.
    pub fn counts(&self) -> Vec<(FunctionKey, u64)> {
        self.counts.iter().filter_map(Result::ok).map(|(Key(key), count)| (key, count)).collect()
    }
}

/// What the map of counts is asked by.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Key(FunctionKey);

// SAFETY: a struct of integers without padding.
unsafe impl aya::Pod for Key {}
