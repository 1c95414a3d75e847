//! Programs that the kernel may preempt, and what must not be.

use core::arch::asm;

use tracer_ebpf::kfunc;

/// Runs what a program of a uprobe does, in a frame of its own: the kernel may preempt such a program, which may then run for
/// another thread on the same CPU. From 6.13 on a large frame is memory of the CPU's (`bpf_enable_priv_stack`,
/// kernel/bpf/verifier.c), which only programs of other kinds have for themselves: two of these would write into each other's
/// variables, and pointers among them. On 7.2 that was seen to stop the kernel. The caller's frame has to be empty, so all
/// that it may do is this.
#[inline(always)]
pub fn disabled(work: impl FnOnce()) {
    call::<{ kfunc::PREEMPT_DISABLE }>();
    work();
    call::<{ kfunc::PREEMPT_ENABLE }>();
}

#[inline(always)]
fn call<const FUNCTION: i32>() {
    // SAFETY: such a function takes nothing and gives nothing; like every call it may change the registers 0 to 5.
    unsafe {
        asm!(
            "call {}", const FUNCTION,
            out("r0") _, out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _
        );
    }
}
