//! Where a running CPython keeps its threads, frames and code, by its version: offsets of fields, which no symbol tells.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use tracer_ebpf::settings::{NONE, PythonLayout, StreamLayout};

use super::{lines::Lines, task};
use crate::report::bucket::Bucket;

/// Where the fields of a code object and of its strings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLayout {
    /// Address of `PyCode_Type`, which tells code objects from others.
    pub code_type: u64,
    /// In any object: the pointer to its type.
    pub object_type: u64,
    /// In a code object: the pointers to its file and its name, and its first line.
    pub file: u64,
    pub name: u64,
    pub line: u64,
    /// In a code object: the pointer to its line table, bytes whose count and content are at these offsets of their own.
    pub line_table: u64,
    pub table_length: u64,
    pub table: u64,
    pub lines: Lines,
    /// In a string: its length, and its text where that is ASCII.
    pub length: u64,
    pub text: u64,
    /// In a code object: the pointer to the names of its locals, a tuple that has its items there.
    pub local_names: u64,
    pub items: u64,
}

impl CodeLayout {
    /// How much further back the text of a string is that is not ASCII: what a `PyCompactUnicodeObject` has more than a
    /// `PyASCIIObject` (Include/cpython/unicodeobject.h), which up to 3.11 has a `wstr` and another length for it.
    pub fn behind_ascii(&self) -> u64 {
        let has_wstr = self.text - self.length == 32;
        if has_wstr { 24 } else { 16 }
    }
}

/// Both layouts of a process whose `_PyRuntime` is from the first to before the second of `runtime`, and whose `PyCode_Type` is at `code_type`; `None` for
/// a version that is not known. `memory` is its memory.
pub fn layouts(
    version: &str,
    runtime: (u64, u64),
    code_type: u64,
    memory: &File,
) -> Option<(PythonLayout, CodeLayout)> {
    let (runtime_start, runtime_end) = runtime;
    let minor: u32 = version.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
    let whole = |(frames, code): (PythonLayout, CodeLayout)| {
        let object_type = code.object_type as u32;
        let tasks = task::layout(minor, code_type, object_type);
        // An int begins as a string does, with one word more.
        let streams = StreamLayout { digit: object_type + 16, ..frames.streams };
        let code = CodeLayout { items: tasks.tuple_items.into(), ..code };
        (PythonLayout { runtime_start, runtime_end, tasks, streams, ..frames }, code)
    };
    if let Some(fields) = FIELDS.iter().find(|fields| fields.minors.contains(&minor)) {
        return Some(whole(fields.layouts(runtime_start, code_type)));
    }
    let words = Words::read(memory, runtime_start)?;
    let places = DEBUG_OFFSETS.iter().find(|places| places.minor == minor)?;
    places.layouts(&words, runtime_start, code_type).map(whole)
}

/// Buckets that samples tell of which know this much of a process, where no probe does.
pub fn sampled(layout: &PythonLayout) -> impl Iterator<Item = Bucket> + use<> {
    let gc = (layout.collecting != NONE).then_some(Bucket::PythonGc);
    [Some(Bucket::PythonImport), gc].into_iter().flatten()
}

/// Offsets of versions before `_Py_DebugOffsets`, by DWARF of their builds: PyThreadState, PyInterpreterState and
/// _PyRuntimeState (Include/internal), PyFrameObject or _PyInterpreterFrame, PyCodeObject.
struct Fields {
    minors: std::ops::RangeInclusive<u32>,
    main_interpreter: u64,
    first_thread: u32,
    thread_id: u32,
    thread_frame: u32,
    holder_frame: u32,
    caller: u32,
    code: u32,
    instruction: u32,
    thread_context: u32,
    /// `f_localsplus` of PyFrameObject, `localsplus` of _PyInterpreterFrame.
    first_local: u32,
    /// `gc.collecting` of PyInterpreterState; in 3.8 the runtime has it.
    collecting: u32,
    holder: GilHolder,
    file: u64,
    name: u64,
    line: u64,
    line_table: u64,
    lines: Lines,
    /// `co_varnames`, `co_localsplusnames`.
    local_names: u64,
    text: u64,
}

/// What tells which thread has the GIL.
#[derive(Clone, Copy)]
enum GilHolder {
    /// `gilstate.tstate_current` of the runtime, at this offset.
    Runtime(u64),
    /// `_status` of PyThreadState.
    Thread(u32),
}

const FIELDS_3_8: Fields = Fields {
    minors: 8..=8,
    main_interpreter: 40,
    first_thread: 8,
    thread_id: 176,
    thread_frame: 24,
    holder_frame: NONE,
    caller: 24,
    code: 32,
    instruction: 104,
    thread_context: 240,
    first_local: 360,
    collecting: NONE,
    holder: GilHolder::Runtime(1_368),
    file: 104,
    name: 112,
    line: 40,
    line_table: 120,
    lines: Lines::Steps,
    local_names: 72,
    text: 48,
};

const FIELDS_3_9: Fields =
    Fields { minors: 9..=9, collecting: 816, holder: GilHolder::Runtime(568), ..FIELDS_3_8 };

const FIELDS: [Fields; 5] = [
    FIELDS_3_8,
    FIELDS_3_9,
    Fields { minors: 10..=10, instruction: 96, first_local: 352, lines: Lines::Ranges, ..FIELDS_3_9 },
    Fields {
        minors: 11..=11,
        main_interpreter: 48,
        first_thread: 16,
        thread_id: 152,
        // Of `_PyCFrame`.
        thread_frame: 56,
        holder_frame: 8,
        caller: 48,
        code: 32,
        instruction: 56,
        thread_context: 224,
        first_local: 72,
        collecting: 848,
        holder: GilHolder::Runtime(576),
        file: 112,
        name: 128,
        line: 72,
        line_table: 136,
        lines: Lines::Locations { first_instruction: 184 },
        local_names: 96,
        text: 48,
    },
    Fields {
        minors: 12..=12,
        main_interpreter: 48,
        first_thread: 72,
        thread_id: 136,
        thread_frame: 56,
        holder_frame: 0,
        caller: 8,
        code: 0,
        instruction: 56,
        thread_context: 208,
        first_local: 72,
        collecting: 312,
        holder: GilHolder::Thread(24),
        file: 112,
        name: 128,
        line: 68,
        line_table: 136,
        lines: Lines::Locations { first_instruction: 192 },
        local_names: 96,
        text: 40,
    },
];

impl Fields {
    fn layouts(&self, runtime: u64, code_type: u64) -> (PythonLayout, CodeLayout) {
        let (current_thread, thread_status) = match self.holder {
            GilHolder::Runtime(offset) => (runtime.wrapping_add(offset), NONE),
            GilHolder::Thread(offset) => (0, offset),
        };
        let frames = PythonLayout {
            main_interpreter: runtime.wrapping_add(self.main_interpreter),
            current_thread,
            first_thread: self.first_thread,
            next_thread: 8,
            thread_id: self.thread_id,
            thread_frame: self.thread_frame,
            holder_frame: self.holder_frame,
            caller: self.caller,
            code: self.code,
            instruction: self.instruction,
            collecting: self.collecting,
            thread_status,
            thread_context: self.thread_context,
            streams: StreamLayout { first_local: self.first_local, ..StreamLayout::default() },
            ..PythonLayout::default()
        };
        let Fields { file, name, line, line_table, lines, local_names, text, .. } = *self;
        let code = CodeLayout {
            code_type,
            object_type: 8,
            file,
            name,
            line,
            line_table,
            table_length: 16,
            table: 32,
            lines,
            length: 16,
            text,
            local_names,
            items: 0,
        };
        (frames, code)
    }
}

/// What `_PyRuntime` begins with from 3.13 on: `_Py_DebugOffsets` (Include/internal/pycore_debug_offsets.h), 64-bit
/// words that give the offsets of the build at hand.
struct Words([u64; 128]);

impl Words {
    fn read(memory: &File, runtime: u64) -> Option<Words> {
        let mut bytes = [0; 1_024];
        memory.read_exact_at(&mut bytes, runtime).ok()?;
        let (words, _) = bytes.as_chunks();
        let mut values = [0; 128];
        values.iter_mut().zip(words).for_each(|(value, word)| *value = u64::from_le_bytes(*word));
        (bytes.starts_with(b"xdebugpy")).then_some(Words(values))
    }

    fn at(&self, index: usize) -> Option<u32> {
        u32::try_from(*self.0.get(index)?).ok()
    }
}

/// Which of the words is what, in a version.
struct Places {
    minor: u32,
    /// This one no word tells: the offset of `context` in PyThreadState (Include/cpython/pystate.h), which
    /// `context_ver` follows.
    thread_context: u32,
    thread_next: usize,
    thread_frame: usize,
    thread_id: usize,
    thread_status: usize,
    /// Of `gc` in PyInterpreterState, and of `collecting` in that.
    gc: usize,
    collecting: usize,
    /// Of `previous`, which `executable`, `instr_ptr` and `localsplus` follow.
    caller: usize,
    /// Of `filename`, which `name`, `qualname`, `linetable`, `firstlineno`, `argcount`, `localsplusnames`,
    /// `localspluskinds` and `co_code_adaptive` follow.
    file: usize,
    object_type: usize,
}

/// `interpreters_head`, behind which the runtime has the main interpreter, and `threads_head`, in every version.
const INTERPRETERS: usize = 5;
const THREADS: usize = 9;

const DEBUG_OFFSETS: [Places; 3] = [
    Places {
        minor: 13,
        thread_context: 208,
        thread_next: 21,
        thread_frame: 23,
        thread_id: 24,
        thread_status: 27,
        gc: 10,
        collecting: 72,
        caller: 29,
        file: 35,
        object_type: 45,
    },
    Places {
        minor: 14,
        thread_context: 208,
        thread_next: 24,
        thread_frame: 26,
        thread_id: 27,
        thread_status: 30,
        gc: 11,
        collecting: 82,
        caller: 32,
        file: 40,
        object_type: 51,
    },
    Places {
        minor: 15,
        thread_context: 232,
        thread_next: 24,
        thread_frame: 26,
        thread_id: 30,
        thread_status: 33,
        gc: 11,
        collecting: 95,
        caller: 40,
        file: 48,
        object_type: 59,
    },
];

impl Places {
    fn layouts(&self, words: &Words, runtime: u64, code_type: u64) -> Option<(PythonLayout, CodeLayout)> {
        let at = |index| words.at(index);
        let frames = PythonLayout {
            main_interpreter: runtime.wrapping_add(u64::from(at(INTERPRETERS)?)).wrapping_add(8),
            first_thread: at(THREADS)?,
            next_thread: at(self.thread_next)?,
            thread_id: at(self.thread_id)?,
            thread_frame: at(self.thread_frame)?,
            holder_frame: NONE,
            caller: at(self.caller)?,
            code: at(self.caller + 1)?,
            instruction: at(self.caller + 2)?,
            collecting: at(self.gc)?.checked_add(at(self.collecting)?)?,
            thread_status: at(self.thread_status)?,
            thread_context: self.thread_context,
            streams: StreamLayout { first_local: at(self.caller + 3)?, ..StreamLayout::default() },
            ..PythonLayout::default()
        };
        let object_type = u64::from(at(self.object_type)?);
        // A string begins with the object's header, its length, its hash and its state; bytes have no state.
        let code = CodeLayout {
            code_type,
            object_type,
            file: at(self.file)?.into(),
            name: at(self.file + 2)?.into(),
            line: at(self.file + 4)?.into(),
            line_table: at(self.file + 3)?.into(),
            table_length: object_type + 8,
            table: object_type + 24,
            lines: Lines::Locations { first_instruction: at(self.file + 8)?.into() },
            length: object_type + 8,
            text: object_type + 32,
            local_names: at(self.file + 6)?.into(),
            items: 0,
        };
        Some((frames, code))
    }
}
