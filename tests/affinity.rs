//! Which CPUs a process may run on.

use std::mem;

/// A choice of CPUs.
#[derive(Clone, Copy)]
pub enum Of {
    All,
    First,
    /// All where there is but one.
    AllButFirst,
}

/// Binds a process, which is the current one where `pid` is 0, and what it will start.
pub fn set(pid: u32, cpus: Of) {
    // SAFETY: sysconf has no preconditions.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } as usize;
    let chosen = match cpus {
        Of::First => 0..1,
        Of::AllButFirst if count > 1 => 1..count,
        Of::All | Of::AllButFirst => 0..count,
    };
    // SAFETY: a set of CPUs is plain bits, and none of them is chosen yet.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for cpu in chosen {
        // SAFETY: the set is ours, and the macro's function checks the number of the CPU.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the size is that of the set, which outlives the call.
    let result = unsafe { libc::sched_setaffinity(pid as i32, size_of_val(&set), &set) };
    assert_eq!(result, 0, "cannot bind process {pid} to CPUs: {}", std::io::Error::last_os_error());
}
