//! The code of the eBPF object, made ready for the kernel: for the programs that we load ourselves.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
};

use aya::{Btf, Ebpf, maps::Map};
use aya_obj::{Object, generated::bpf_insn};

use super::{kfunc::Kfuncs, load::with_sources};

/// Programs that use the maps which aya made, and keep them.
#[derive(Debug)]
pub struct Programs {
    object: Object,
    _maps: Vec<OwnedFd>,
}

impl Programs {
    /// Reads an eBPF object again, from which `ebpf` was loaded, and makes its code use the maps of that, and the kernel's
    /// functions. The error is a clause for the user.
    pub fn new(object: &[u8], ebpf: &Ebpf, btf: &Btf) -> Result<Programs, String> {
        let kfuncs = Kfuncs::find(btf)?;
        let mut object = Object::parse(object).map_err(|error| with_sources(&error))?;
        let text = object.functions.keys().map(|(section, _)| *section).collect();
        let kept: Vec<(String, OwnedFd, aya_obj::Map)> = object
            .maps
            .iter()
            .filter_map(|(name, map)| Some((name.clone(), descriptor(ebpf.map(name)?)?, map.clone())))
            .map(|(name, descriptor, map)| Ok((name, descriptor.try_clone_to_owned()?, map)))
            .collect::<io::Result<_>>()
            .map_err(|error| format!("keeping the maps: {error}"))?;
        let maps: Vec<(&str, RawFd, &aya_obj::Map)> =
            kept.iter().map(|(name, descriptor, map)| (name.as_str(), descriptor.as_raw_fd(), map)).collect();
        object.relocate_maps(maps.into_iter(), &text).map_err(|error| with_sources(&error))?;
        object.relocate_calls(&text).map_err(|error| with_sources(&error))?;
        for function in object.functions.values_mut() {
            kfuncs.write_into(&mut function.instructions);
        }
        Ok(Programs { object, _maps: kept.into_iter().map(|(_, descriptor, _)| descriptor).collect() })
    }

    /// The instructions of a program.
    pub fn code(&self, name: &str) -> Result<&[bpf_insn], String> {
        let program = self.object.programs.get(name).ok_or_else(|| format!("no program `{name}`"))?;
        let function = self.object.functions.get(&program.function_key());
        Ok(&function.ok_or_else(|| format!("no code of program `{name}`"))?.instructions)
    }

    /// Names of the programs, and what they are for.
    pub fn all(&self) -> impl Iterator<Item = (&str, &aya_obj::ProgramSection)> {
        self.object.programs.iter().map(|(name, program)| (name.as_str(), &program.section))
    }
}

/// The types of map that the probes use.
fn descriptor(map: &Map) -> Option<BorrowedFd<'_>> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => Some(data.fd().as_fd()),
        _ => None,
    }
}
