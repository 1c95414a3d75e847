//! Functions of the kernel that programs call by the number of their type in its BTF. In the object stand numbers which no helper
//! has; user space writes those of the running kernel in their place, or leaves the calls out.

/// `bpf_preempt_disable()`, since 6.10 (kernel/bpf/helpers.c).
pub const PREEMPT_DISABLE: i32 = 0x00c0_0c20;

/// `bpf_preempt_enable()`.
pub const PREEMPT_ENABLE: i32 = 0x00c0_0c21;

/// All, with their names in BTF.
pub const ALL: [(i32, &str); 2] =
    [(PREEMPT_DISABLE, "bpf_preempt_disable"), (PREEMPT_ENABLE, "bpf_preempt_enable")];
