//! Samples: what Python runs on each CPU, by a timer.

use aya_ebpf::{EbpfContext as _, macros::perf_event, programs::PerfEventContext};

use crate::{arch::Registers, connection::now_ns, emit::Ids, kernel, stack};

/// SAMPLE, for a thread of a traced process that runs Python. Others cost one lookup in TRACED.
///
/// Cost: 1,700 ns a run.
#[perf_event]
pub fn sample(ctx: PerfEventContext) -> u32 {
    let ids = Ids::current();
    if kernel::is_traced(ids.tgid)
        && let Some(layout) = stack::layout(ids.tgid)
    {
        // SAFETY: registers are what the context of such a program begins with (bpf_perf_event_data, uapi/linux/bpf_perf_event.h).
        let registers = unsafe { &*ctx.as_ptr().cast::<Registers>() };
        // A thread that runs no Python has no stack.
        let _ = stack::emit_sample(now_ns(), ids, layout, registers.instruction());
    }
    0
}
