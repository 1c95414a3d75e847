//! What functions the code objects of a process are.

use std::{collections::hash_map::Entry, fs::File, io, os::unix::fs::FileExt as _};

use foldhash::HashMap;
use tracer_ebpf::event::MORE_FRAMES;

use super::{
    http2::{StreamMethod, stream_method},
    layout::CodeLayout,
    native::Mapped,
};
use crate::event::{Body, Event, Function, Place};

/// Code objects that are remembered of all processes.
const LIMIT: usize = 262_144;

/// Memories of processes that are open at once.
const OPEN_MEMORIES: usize = 64;

/// The file of the code that 3.12 puts between a function in C and one in Python.
const SHIM: &str = "<shim>";

/// The file, and the name, of the code that CPython from 3.12 on runs behind an `__init__` that it called without leaving its
/// loop; it has no line, and tracebacks leave it out (Python/specialize.c, `_Py_InitCleanup`).
const CLEANUP: &str = "__init__";

/// How the folder begins into which a program in one file by Nuitka unpacks itself, another one each time.
const UNPACKED: &str = "/onefile_";

/// Bytes read of a name, and of the path of a file.
const NAME_BYTES: u64 = 128;
const FILE_BYTES: u64 = 512;

/// Bytes of a code object that its fields lie in which are looked at: all of it but its variable part, from 3.8 to 3.15.
const CODE_BYTES: usize = 176;

/// Bytes of a line table that is read: the longest of the standard library has 19,000.
const TABLE_BYTES: u64 = 1 << 20;

/// Knows code objects by their address, and reads each again only where it has become another one. Whether it has is looked at
/// for an event that is younger than the last look.
#[derive(Debug, Default)]
pub struct Codes {
    layouts: HashMap<u32, CodeLayout>,
    native: Mapped,
    known: HashMap<(u32, u64), Known>,
    /// Opened when it was needed first. After exec nothing can be read in what was the memory before.
    memories: HashMap<u32, File>,
    /// By process; those that were not taken yet.
    stream_methods: Vec<(u32, StreamMethod)>,
    /// What is looked at by now is not as it was before this.
    now_ns: u64,
}

#[derive(Debug)]
struct Known {
    mark: Mark,
    /// As of when there was nothing else at its address.
    looked_at_ns: u64,
    /// `None` where there is no code object.
    function: Option<Function>,
    /// Of the event before which it was told of. Others come later that are of a time before that.
    told_ns: u64,
    /// Its line table, once it was needed; empty where it can't be read.
    lines: Option<Box<[u8]>>,
}

/// What tells code objects at one address from each other: one may be freed, and its address used for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    file: u64,
    name: u64,
    line_table: u64,
    line: u32,
}

impl Codes {
    /// It is this time, or later.
    pub fn it_is(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// A process runs Python.
    pub fn found(&mut self, tgid: u32, layout: CodeLayout) {
        self.layouts.insert(tgid, layout);
        // The end of another process with this id may have been lost.
        self.memories.remove(&tgid);
        self.native.forget(tgid);
    }

    /// A process is the copy of another one.
    pub fn forked(&mut self, tgid: u32, child_tgid: u32) {
        if let Some(layout) = self.layouts.get(&tgid).copied() {
            self.layouts.insert(child_tgid, layout);
        }
    }

    /// The process has loaded a library.
    pub fn loaded(&mut self, tgid: u32) {
        self.native.loaded(tgid);
    }

    /// The process runs another program now, or ended.
    pub fn forget(&mut self, tgid: u32) {
        self.layouts.remove(&tgid);
        self.memories.remove(&tgid);
        self.native.forget(tgid);
        self.known.retain(|(of, _), _| *of != tgid);
    }

    /// Leaves code objects alone among the frames that an event has, and gives what is to be told of them before it. A sample
    /// begins with an instruction; what native code that is of stays as its innermost frame.
    pub fn name(&mut self, sample: &mut Event) -> Vec<Event> {
        let Event { ts_ns, tgid, tid, ref mut body } = *sample;
        let (instruction, frames) = match body {
            Body::Sample { frames } | Body::Collecting { frames } => {
                let instruction = if frames.is_empty() { None } else { Some(frames.remove(0)) };
                (instruction, frames)
            }
            Body::Waiting { frames }
            | Body::Creating { frames }
            | Body::Setting { frames }
            | Body::Awaited { frames, .. } => (None, frames),
            _ => return Vec::new(),
        };
        let Some(mut reading) = self.reading(tgid, ts_ns) else { return Vec::new() };
        if frames.last() == Some(&MORE_FRAMES) {
            reading.stand_in(MORE_FRAMES, Function::further_out);
        }
        frames.retain(|&address| reading.is_code(address));
        let (mut told, code_type) = (reading.told(tid), reading.layout.code_type);
        let native = instruction
            .filter(|_| !frames.is_empty())
            .and_then(|instruction| self.native.at(tgid, ts_ns, instruction, code_type));
        if let Some((address, new)) = native {
            frames.insert(0, address);
            let code = |function| Event { ts_ns, tgid, tid, body: Body::Code { address, function } };
            told.extend(new.map(code));
        }
        told
    }

    /// The same of who asks, whose places are in `copied`: fills in those of code objects, with their lines.
    pub fn place(&mut self, asking: &mut Event, copied: &[u8]) -> Vec<Event> {
        let Event { ts_ns, tgid, tid, ref mut body } = *asking;
        let Body::Asking { places } = body else { return Vec::new() };
        let Some(mut reading) = self.reading(tgid, ts_ns) else { return Vec::new() };
        let (words, _rest) = copied.as_chunks().0.as_chunks();
        for [code, instruction] in words {
            let [code, instruction] = [code, instruction].map(|word: &[u8; 8]| u64::from_ne_bytes(*word));
            if reading.is_code(code) {
                places.push(Place { code, line: reading.line(code, instruction) });
            }
        }
        reading.told(tid)
    }

    /// The methods that make exchanges over HTTP/2 which were found since the last time, by process.
    pub fn take_stream_methods(&mut self) -> impl Iterator<Item = (u32, StreamMethod)> {
        self.stream_methods.drain(..)
    }

    fn reading(&mut self, tgid: u32, at_ns: u64) -> Option<Reading<'_>> {
        let layout = self.layouts.get(&tgid)?;
        if self.known.len() >= LIMIT {
            self.known.clear();
        }
        if self.memories.len() >= OPEN_MEMORIES && !self.memories.contains_key(&tgid) {
            self.memories.clear();
        }
        let memory = match self.memories.entry(tgid) {
            Entry::Occupied(entry) => Some(&*entry.into_mut()),
            Entry::Vacant(entry) => {
                File::open(format!("/proc/{tgid}/mem")).ok().map(|memory| &*entry.insert(memory))
            }
        };
        let stream_methods = &mut self.stream_methods;
        Some(Reading {
            layout,
            known: &mut self.known,
            memory,
            tgid,
            at_ns,
            now_ns: self.now_ns,
            told: Vec::new(),
            stream_methods,
        })
    }
}

/// A look at code objects of a process.
struct Reading<'a> {
    layout: &'a CodeLayout,
    known: &'a mut HashMap<(u32, u64), Known>,
    /// `None` where it may not be read, or the process is gone.
    memory: Option<&'a File>,
    tgid: u32,
    /// Of the event that has their addresses.
    at_ns: u64,
    now_ns: u64,
    /// What is new or has changed.
    told: Vec<(u64, Function)>,
    stream_methods: &'a mut Vec<(u32, StreamMethod)>,
}

impl Reading<'_> {
    /// Whether there is a code object at an address, by now or when it could be read last.
    fn is_code(&mut self, address: u64) -> bool {
        let key = (self.tgid, address);
        if self.known.get(&key).is_none_or(|known| known.looked_at_ns < self.at_ns) {
            self.look_at(address);
        }
        let Some(Known { function: Some(function), told_ns, .. }) = self.known.get_mut(&key) else {
            return false;
        };
        if self.at_ns < *told_ns {
            *told_ns = self.at_ns;
            self.told.push((address, function.clone()));
        }
        true
    }

    /// Where there is no code object something stands for, as if there were.
    fn stand_in(&mut self, address: u64, function: fn() -> Function) {
        let mark = Mark { file: 0, name: 0, line_table: 0, line: 0 };
        let known = || Known {
            mark,
            looked_at_ns: u64::MAX,
            function: Some(function()),
            // It is told of before the first event.
            told_ns: u64::MAX,
            lines: None,
        };
        self.known.entry((self.tgid, address)).or_insert_with(known);
    }

    /// Reads what is at an address, if that is not what is known of it.
    fn look_at(&mut self, address: u64) {
        let (Some(memory), layout) = (self.memory, self.layout) else { return };
        let Ok(mark) = mark(memory, layout, address) else { return };
        let known = self.known.entry((self.tgid, address));
        let before = match known {
            Entry::Occupied(mut entry) if entry.get().mark == mark => {
                entry.get_mut().looked_at_ns = self.now_ns;
                return;
            }
            Entry::Occupied(entry) => entry.remove().function,
            Entry::Vacant(_) => None,
        };
        let function = read(memory, layout, address, mark).ok();
        if let Some(function) = function.as_ref().filter(|function| before.as_ref() != Some(function)) {
            self.told.push((address, function.clone()));
            let method = stream_method(memory, layout, address, function);
            self.stream_methods.extend(method.map(|method| (self.tgid, method)));
        }
        let known = Known { mark, looked_at_ns: self.now_ns, function, told_ns: self.at_ns, lines: None };
        self.known.insert((self.tgid, address), known);
    }

    /// The line that a code object has come to.
    fn line(&mut self, address: u64, instruction: u64) -> Option<u32> {
        let key = (self.tgid, address);
        let Known { mark, lines, .. } = self.known.get(&key)?;
        if let (None, table) = (lines, mark.line_table) {
            let layout = self.layout;
            let lines = self.memory.and_then(|memory| line_table(memory, layout, table).ok());
            self.known.get_mut(&key)?.lines = Some(lines.unwrap_or_default());
        }
        let known = self.known.get(&key)?;
        let (function, table) = (known.function.as_ref()?, known.lines.as_deref()?);
        self.layout.lines.line(address, instruction, function.line, table)
    }

    fn told(&mut self, tid: u32) -> Vec<Event> {
        let (tgid, ts_ns) = (self.tgid, self.at_ns);
        let event = |(address, function)| Event { ts_ns, tgid, tid, body: Body::Code { address, function } };
        self.told.drain(..).map(event).collect()
    }
}

/// The word at an address.
pub fn word(memory: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    memory.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_le_bytes(bytes))
}

fn line_table(memory: &File, layout: &CodeLayout, table: u64) -> io::Result<Box<[u8]>> {
    let length = word(memory, table.wrapping_add(layout.table_length))?;
    if length > TABLE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    memory.read_exact_at(&mut bytes, table.wrapping_add(layout.table))?;
    Ok(bytes.into())
}

/// The mark of what is at an address, in one read, whether or not it is a code object.
fn mark(memory: &File, layout: &CodeLayout, address: u64) -> io::Result<Mark> {
    let mut bytes = [0; CODE_BYTES];
    memory.read_exact_at(&mut bytes, address)?;
    let word = |at: u64| {
        let word = bytes.get(at as usize..).and_then(|rest| rest.first_chunk());
        word.map(|word| u64::from_le_bytes(*word)).ok_or(io::ErrorKind::InvalidData)
    };
    Ok(Mark {
        file: word(layout.file)?,
        name: word(layout.name)?,
        line_table: word(layout.line_table)?,
        line: word(layout.line)? as u32,
    })
}

fn read(memory: &File, layout: &CodeLayout, address: u64, mark: Mark) -> io::Result<Function> {
    if word(memory, address.wrapping_add(layout.object_type))? != layout.code_type {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let file = text(memory, layout, mark.file, FILE_BYTES)?;
    if file == SHIM || file == CLEANUP && mark.line == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let name = text(memory, layout, mark.name, NAME_BYTES)?;
    Ok(Function { name, file: within(&file).to_owned(), line: mark.line })
}

/// What a string at an address begins with, so many characters at most; `?` for one that no name and no path is.
pub fn text(memory: &File, layout: &CodeLayout, string: u64, most: u64) -> io::Result<String> {
    let length = word(memory, string.wrapping_add(layout.length))?.min(most);
    let state = word(memory, string.wrapping_add(layout.length + STATE_BEHIND_LENGTH))?;
    let characters = Characters::of(state as u32).ok_or(io::ErrorKind::InvalidData)?;
    let place = layout.text + if characters == Characters::Ascii { 0 } else { layout.behind_ascii() };
    let mut bytes = vec![0; length as usize * characters.bytes()];
    memory.read_exact_at(&mut bytes, string.wrapping_add(place))?;
    let text = characters.decode(&bytes);
    Ok(if text.contains(char::is_control) { "?".to_owned() } else { text })
}

/// `PyASCIIObject.state`, behind `length` and `hash` (Include/cpython/unicodeobject.h, 3.8 to 3.15).
const STATE_BEHIND_LENGTH: u64 = 16;

/// How a string has its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Characters {
    Ascii,
    Latin1,
    Ucs2,
    Ucs4,
}

impl Characters {
    /// `kind`, `compact` and `ascii` of a string's state, behind `interned`: which has two bits, or without a GIL eight.
    fn of(state: u32) -> Option<Characters> {
        [2, 8].into_iter().find_map(|shift| match state >> shift & 0b1_1111 {
            0b1_1001 => Some(Characters::Ascii),
            0b0_1001 => Some(Characters::Latin1),
            0b0_1010 => Some(Characters::Ucs2),
            0b0_1100 => Some(Characters::Ucs4),
            _ => None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Characters::Ascii | Characters::Latin1 => 1,
            Characters::Ucs2 => 2,
            Characters::Ucs4 => 4,
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let code_point = |bytes: &[u8]| bytes.iter().rev().fold(0, |code, byte| code << 8 | u32::from(*byte));
        let character = |bytes| char::from_u32(code_point(bytes)).unwrap_or(char::REPLACEMENT_CHARACTER);
        bytes.chunks_exact(self.bytes()).map(character).collect()
    }
}

/// A path without the folder that is another one each time, so that a function is the same one in each run.
fn within(file: &str) -> &str {
    let unpacked = file.split_once(UNPACKED).and_then(|(_, rest)| rest.split_once('/'));
    unpacked.map_or(file, |(_folder, within)| within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::lines::Lines;

    const CODE: u64 = 0x1000;

    fn codes() -> Codes {
        let layout = CodeLayout {
            code_type: 0,
            object_type: 8,
            file: 112,
            name: 120,
            line: 68,
            line_table: 136,
            table_length: 16,
            table: 32,
            lines: Lines::Steps,
            length: 16,
            text: 40,
            local_names: 96,
            items: 24,
        };
        let mut codes = Codes::default();
        codes.found(u32::MAX, layout);
        let function = Some(Function { name: "ask".to_owned(), ..Function::default() });
        let mark = Mark { file: 1, name: 2, line_table: 3, line: 4 };
        // A process of this id there is not, so nothing of it can be read.
        codes
            .known
            .insert((u32::MAX, CODE), Known { mark, looked_at_ns: 0, function, told_ns: 200, lines: None });
        codes
    }

    #[test]
    fn an_event_of_before_is_told_the_same() {
        let mut codes = codes();
        let mut told = |ts_ns| {
            let body = Body::Waiting { frames: vec![CODE, CODE + 8] };
            let mut event = Event { ts_ns, tgid: u32::MAX, tid: 1, body };
            let told = codes.name(&mut event);
            assert_eq!(event.body, Body::Waiting { frames: vec![CODE] });
            told.iter().map(|event| event.ts_ns).collect::<Vec<_>>()
        };
        assert_eq!(told(250), [0; 0]);
        assert_eq!(told(199), [199]);
        assert_eq!(told(199), [0; 0]);
    }

    #[test]
    fn of_frames_further_out_one_stands_for_all() {
        let mut codes = codes();
        let mut told = |frames: Vec<u64>| {
            let body = Body::Sample { frames: [vec![0], frames].concat() };
            let mut event = Event { ts_ns: 300, tgid: u32::MAX, tid: 1, body };
            let told = codes.name(&mut event);
            let Body::Sample { frames } = event.body else { panic!("it is another one: {event:?}") };
            (frames, told.into_iter().map(|event| event.body).collect::<Vec<_>>())
        };
        let code = Body::Code { address: MORE_FRAMES, function: Function::further_out() };
        assert_eq!(told(vec![CODE, MORE_FRAMES]), (vec![CODE, MORE_FRAMES], vec![code]));
        assert_eq!(told(vec![CODE, MORE_FRAMES]), (vec![CODE, MORE_FRAMES], Vec::new()));
    }

    #[test]
    fn strings_tell_how_they_have_their_characters() {
        for (state, characters) in [
            // Interned, and ready up to 3.11.
            (0b1110_0101, Some(Characters::Ascii)),
            (0b1010_0100, Some(Characters::Latin1)),
            (0b0010_1000, Some(Characters::Ucs2)),
            (0b0011_0010, Some(Characters::Ucs4)),
            // Without a GIL.
            (0x1903, Some(Characters::Ascii)),
            (0x0a00, Some(Characters::Ucs2)),
            // Not compact, as no name is.
            (0b0000_0100, None),
            (0, None),
        ] {
            assert_eq!(Characters::of(state), characters, "{state:#b}");
        }
        assert_eq!(Characters::Latin1.decode(b"br\xfble"), "brûle");
        assert_eq!(Characters::Ucs2.decode(&[0xc3, 0x71, 0x28, 0xd8]), "燃\u{fffd}");
        assert_eq!(Characters::Ucs4.decode(&[0x00, 0xf6, 0x01, 0x00, 0xff]), "😀");
    }

    #[test]
    fn what_nuitka_unpacked_is_the_same_in_each_run() {
        for folder in ["/tmp/onefile_71_226_8nW", "/tmp/onefile_72_226_s7v"] {
            assert_eq!(within(&format!("{folder}/http/client.py")), "http/client.py");
        }
        for file in ["/srv/onefile.py", "/srv/onefile_app", "app.py"] {
            assert_eq!(within(file), file);
        }
    }
}
