//! Where a running CPython keeps what the tasks of asyncio wait in, by its version: offsets of fields, which no symbol tells.

use tracer_ebpf::settings::{NONE, TaskLayout};

/// The layout of a minor version of Python 3 whose `PyCode_Type` is at `code_type` and whose objects have the pointer to their
/// type at `object_type`; one without tasks for a version that is not known.
pub fn layout(minor: u32, code_type: u64, object_type: u32) -> TaskLayout {
    let known = FIELDS.iter().find(|fields| fields.minors.contains(&minor));
    known.map_or(UNKNOWN, |fields| TaskLayout { code_type, ..fields.layout(object_type) })
}

const UNKNOWN: TaskLayout = TaskLayout {
    code_type: 0,
    object_type: NONE,
    tuple_items: NONE,
    list_items: NONE,
    waker_task: NONE,
    task_coroutine: NONE,
    task_context: NONE,
    coroutine_frame: NONE,
    stack: NONE,
    stack_depth: NONE,
    awaited: 0,
    reserved: 0,
    frame_is_apart: 0,
    stack_is_apart: 0,
    has_depth: 0,
};

/// Offsets by what a suspended task of each version has in its memory. Those of objects count from the end of their head
/// (`PyObject_HEAD`), which a free-threaded build has longer.
struct Fields {
    minors: std::ops::RangeInclusive<u32>,
    /// `ob_item` of PyTupleObject (Include/cpython/tupleobject.h).
    tuple_items: u32,
    /// `m_self` of PyCFunctionObject; up to 3.9 `ww_task` of TaskWakeupMethWrapper (Modules/_asynciomodule.c).
    waker_task: u32,
    /// `task_coro` and `task_context` of TaskObj (same file).
    task_coroutine: u32,
    task_context: u32,
    /// `gi_iframe` of PyGenObject, or `gi_frame`, a pointer (Include/genobject.h).
    coroutine_frame: u32,
    frame_is_apart: bool,
    stack: Stack,
}

/// Where a frame has the end of its stack.
#[derive(Clone, Copy)]
enum Stack {
    /// `f_stacktop`, `stackpointer`: a pointer to it, so far behind what is awaited.
    End { at: u32, awaited: u32 },
    /// `f_stackdepth` and the pointer `f_valuestack`; `stacktop` and `localsplus` itself.
    Depth { at: u32, start: u32, is_apart: bool },
}

const FIELDS_3_8: Fields = Fields {
    minors: 8..=8,
    tuple_items: 8,
    waker_task: 0,
    task_coroutine: 96,
    task_context: 112,
    coroutine_frame: 0,
    frame_is_apart: true,
    stack: Stack::End { at: 72, awaited: 8 },
};

const FIELDS_3_12: Fields = Fields {
    minors: 12..=12,
    tuple_items: 8,
    waker_task: 8,
    task_coroutine: 120,
    task_context: 136,
    coroutine_frame: 56,
    frame_is_apart: false,
    stack: Stack::Depth { at: 64, start: 72, is_apart: false },
};

const FIELDS_3_14: Fields = Fields {
    minors: 14..=14,
    tuple_items: 16,
    task_coroutine: 112,
    task_context: 128,
    stack: Stack::End { at: 64, awaited: 8 },
    ..FIELDS_3_12
};

const FIELDS: [Fields; 8] = [
    FIELDS_3_8,
    Fields { minors: 9..=9, task_coroutine: 136, task_context: 152, ..FIELDS_3_8 },
    Fields {
        minors: 10..=10,
        waker_task: 8,
        task_coroutine: 144,
        task_context: 160,
        stack: Stack::Depth { at: 80, start: 64, is_apart: true },
        ..FIELDS_3_8
    },
    Fields { minors: 11..=11, coroutine_frame: 64, ..FIELDS_3_12 },
    FIELDS_3_12,
    Fields { minors: 13..=13, task_coroutine: 104, task_context: 120, ..FIELDS_3_12 },
    FIELDS_3_14,
    // An iterator that is sent to has a second value, which is none here (Python/bytecodes.c, SEND).
    Fields { minors: 15..=15, stack: Stack::End { at: 64, awaited: 16 }, ..FIELDS_3_14 },
];

impl Fields {
    fn layout(&self, object_type: u32) -> TaskLayout {
        let head = object_type + 8;
        let known = TaskLayout {
            object_type,
            tuple_items: head + self.tuple_items,
            list_items: head + 8,
            waker_task: head + self.waker_task,
            task_coroutine: head + self.task_coroutine,
            task_context: head + self.task_context,
            coroutine_frame: head + self.coroutine_frame,
            frame_is_apart: all_bits(self.frame_is_apart),
            ..UNKNOWN
        };
        match self.stack {
            Stack::End { at, awaited } => {
                TaskLayout { stack: at, stack_depth: at, awaited, stack_is_apart: all_bits(true), ..known }
            }
            Stack::Depth { at, start, is_apart } => TaskLayout {
                stack: start,
                stack_depth: at,
                awaited: 8,
                stack_is_apart: all_bits(is_apart),
                has_depth: all_bits(true),
                ..known
            },
        }
    }
}

fn all_bits(of: bool) -> u64 {
    if of { u64::MAX } else { 0 }
}
