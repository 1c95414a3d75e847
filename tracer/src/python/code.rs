//! What functions the code objects of a process are.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::layout::CodeLayout;
use crate::event::{Body, Event, Function};

/// Code objects that are remembered of all processes.
const LIMIT: usize = 262_144;

/// What was read is read again after this time: a code object may be freed, and its address used for another.
const TRUSTED_NS: u64 = 10_000_000_000;

/// The file of the code that 3.12 puts between a function in C and one in Python.
const SHIM: &str = "<shim>";

/// Bytes read of a name, and of the path of a file.
const NAME_BYTES: u64 = 128;
const FILE_BYTES: u64 = 512;

/// Knows code objects by their address, and reads each once in a while.
#[derive(Debug, Default)]
pub struct Codes {
    layouts: HashMap<u32, CodeLayout>,
    known: HashMap<(u32, u64), Known>,
}

#[derive(Debug)]
struct Known {
    read_ns: u64,
    /// `None` where there is no code object.
    function: Option<Function>,
}

impl Codes {
    /// A process runs Python.
    pub fn found(&mut self, tgid: u32, layout: CodeLayout) {
        self.layouts.insert(tgid, layout);
    }

    /// A process is the copy of another one.
    pub fn forked(&mut self, tgid: u32, child_tgid: u32) {
        if let Some(layout) = self.layouts.get(&tgid).copied() {
            self.layouts.insert(child_tgid, layout);
        }
    }

    /// The process runs another program now, or ended.
    pub fn forget(&mut self, tgid: u32) {
        self.layouts.remove(&tgid);
        self.known.retain(|(of, _), _| *of != tgid);
    }

    /// Leaves code objects alone among the frames that an event has, and gives what is to be told of them before it.
    pub fn name(&mut self, sample: &mut Event) -> Vec<Event> {
        let Event { ts_ns, tgid, tid, ref mut body } = *sample;
        let (Body::Sample { frames }
        | Body::Waiting { frames }
        | Body::Creating { frames }
        | Body::Setting { frames }) = body
        else {
            return Vec::new();
        };
        let Some(layout) = self.layouts.get(&tgid) else { return Vec::new() };
        if self.known.len() >= LIMIT {
            self.known.clear();
        }
        let mut memory = None;
        let mut told = Vec::new();
        frames.retain(|&address| {
            let known = self.known.entry((tgid, address)).or_insert(Known { read_ns: 0, function: None });
            if known.read_ns == 0 || ts_ns.saturating_sub(known.read_ns) > TRUSTED_NS {
                let memory = memory.get_or_insert_with(|| File::open(format!("/proc/{tgid}/mem")));
                let function = memory.as_ref().ok().and_then(|memory| read(memory, layout, address).ok());
                known.read_ns = ts_ns;
                // What can no longer be read was right when it was.
                if let Some(function) = function.filter(|function| known.function.as_ref() != Some(function))
                {
                    told.push(Event {
                        ts_ns,
                        tgid,
                        tid,
                        body: Body::Code { address, function: function.clone() },
                    });
                    known.function = Some(function);
                }
            }
            known.function.is_some()
        });
        told
    }
}

fn read(memory: &File, layout: &CodeLayout, address: u64) -> io::Result<Function> {
    let word = |at: u64| -> io::Result<u64> {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    if word(address.wrapping_add(layout.object_type))? != layout.code_type {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let text = |field: u64, limit: u64| -> io::Result<String> {
        let string = word(address.wrapping_add(field))?;
        let length = word(string.wrapping_add(layout.length))?.min(limit);
        let mut bytes = vec![0; length as usize];
        memory.read_exact_at(&mut bytes, string.wrapping_add(layout.text))?;
        let is_text = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
        // Others are stored elsewhere, in one, two or four bytes for each character.
        Ok(if is_text { String::from_utf8_lossy(&bytes).into_owned() } else { "?".to_owned() })
    };
    let file = text(layout.file, FILE_BYTES)?;
    if file == SHIM {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let line = word(address.wrapping_add(layout.line))? as u32;
    Ok(Function { name: text(layout.name, NAME_BYTES)?, file, line })
}
