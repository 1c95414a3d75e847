//! Samples: what Python runs on each CPU, by a timer.

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};
use tracer_ebpf::{event::kind, limits::STACK_FRAMES};

use crate::{connection::now_ns, emit::Ids, kernel, maps::STACK, stack};

/// SAMPLE, for a thread of a traced process that runs Python. Others cost one lookup in TRACED.
///
/// Cost: 1,700 ns a run.
#[perf_event]
pub fn sample(_ctx: PerfEventContext) -> u32 {
    let ids = Ids::current();
    if kernel::is_traced(ids.tgid)
        && let Some(layout) = stack::layout(ids.tgid)
    {
        // A thread that runs no Python has no stack.
        let _ = stack::emit::<STACK_FRAMES>(kind::SAMPLE, now_ns(), ids, layout, &STACK);
    }
    0
}
