//! The bpf(2) and perf_event_open(2) calls that aya 0.14 does not make for us.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type, perf_event_attr};

use super::link::UprobePoint;

/// How the kernel is to attach a uprobe program; it is bound to that at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// Many points by one link, 6.6 and later.
    Multi,
    /// A perf event for each point.
    Single,
}

/// Licence of the programs, as in their object.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";

/// Bytes for what the verifier says when it refuses.
const LOG_BYTES: usize = 64 << 10;

/// Flag of a `uprobe_multi` link, `BPF_F_UPROBE_MULTI_RETURN` in include/uapi/linux/bpf.h.
const MULTI_RETURN: u32 = 1;

/// Loads a uprobe program under this name, as far as the kernel keeps it (15 bytes). The error ends in the last lines of the verifier's log.
pub fn load_uprobe_program(name: &str, instructions: &[bpf_insn], kind: ProgramKind) -> io::Result<OwnedFd> {
    let mut log = vec![0_u8; LOG_BYTES];
    let mut attr = empty_attr();
    // SAFETY: writes the member of the union that BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.insn_cnt = instructions.len() as u32;
    load.insns = instructions.as_ptr() as u64;
    load.license = LICENSE.as_ptr() as u64;
    let [kept @ .., _nul] = &mut load.prog_name;
    kept.iter_mut().zip(name.bytes()).for_each(|(kept, byte)| *kept = byte as _);
    if kind == ProgramKind::Multi {
        load.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    }
    bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).or_else(|_| {
        // The log is asked for only now: it makes a load several times as slow.
        // SAFETY: as above; the buffers outlive the call.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.log_level = 1;
        load.log_size = log.len() as u32;
        load.log_buf = log.as_mut_ptr() as u64;
        bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).map_err(|error| {
            let text = String::from_utf8_lossy(&log);
            let text = text.trim_end_matches('\0').trim_end();
            let tail: Vec<&str> = text.lines().rev().take(3).collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("; ");
            io::Error::new(error.kind(), format!("{error}: {tail}"))
        })
    })
}

/// Whether the kernel links a multi program: it must object to a path that is no regular file, not to the
/// kind of link.
pub fn has_uprobe_multi(program: &OwnedFd) -> bool {
    let point = UprobePoint { offset: 0, semaphore: 0, cookie: 0, returns: false };
    let result = link_uprobe_multi(program, "/", &[point], false, None);
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

/// Attaches a multi program to all points of the file at `path`, of one process or of every.
pub fn link_uprobe_multi(
    program: &OwnedFd,
    path: &str,
    points: &[UprobePoint],
    returns: bool,
    tgid: Option<u32>,
) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let offsets: Vec<u64> = points.iter().map(|point| point.offset).collect();
    let semaphores: Vec<u64> = points.iter().map(|point| point.semaphore).collect();
    let cookies: Vec<u64> = points.iter().map(|point| point.cookie).collect();
    let mut attr = empty_attr();
    // SAFETY: writes the members of the unions that BPF_LINK_CREATE reads for this type of link; the arrays
    // and the path outlive the call.
    unsafe {
        let create = &mut attr.link_create;
        create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
        let multi = &mut create.__bindgen_anon_3.uprobe_multi;
        multi.path = path.as_ptr() as u64;
        multi.offsets = offsets.as_ptr() as u64;
        multi.ref_ctr_offsets = semaphores.as_ptr() as u64;
        multi.cookies = cookies.as_ptr() as u64;
        multi.cnt = points.len() as u32;
        multi.flags = if returns { MULTI_RETURN } else { 0 };
        multi.pid = tgid.unwrap_or(0);
    }
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a program to a perf event.
pub fn link_perf_event(program: &OwnedFd, event: &OwnedFd, cookie: u64) -> io::Result<OwnedFd> {
    let mut attr = empty_attr();
    // SAFETY: writes the members of the unions that BPF_LINK_CREATE reads for this type of link.
    unsafe {
        let create = &mut attr.link_create;
        create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
        create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
        create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    }
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Opens the perf event of a uprobe, of every process. The layout of `config` is that of the files in
/// /sys/bus/event_source/devices/uprobe/format: bit 0 for returns, bits 32 to 63 for the semaphore.
pub fn open_uprobe_event(path: &str, point: &UprobePoint) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let semaphore = u32::try_from(point.semaphore)
        .map_err(|_| io::Error::other(format!("semaphore {:#x} is beyond 4 GiB", point.semaphore)))?;
    // SAFETY: all zeros is a value of this plain struct.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr.type_ = uprobe_event_type()?;
    attr.config = u64::from(semaphore) << 32 | u64::from(point.returns);
    attr.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attr.__bindgen_anon_4.probe_offset = point.offset;
    let any_process: libc::pid_t = -1;
    let first_cpu: libc::c_int = 0;
    let no_group: libc::c_int = -1;
    // SAFETY: `attr` and the path outlive the call. A uprobe event of every process counts on all CPUs,
    // whichever it is opened for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw mut attr,
            any_process,
            first_cpu,
            no_group,
            libc::c_ulong::from(aya_obj::generated::PERF_FLAG_FD_CLOEXEC),
        )
    };
    owned(result)
}

fn uprobe_event_type() -> io::Result<u32> {
    const PATH: &str = "/sys/bus/event_source/devices/uprobe/type";
    let text = fs::read_to_string(PATH)
        .map_err(|error| io::Error::new(error.kind(), format!("{PATH}: {error}; CONFIG_UPROBE_EVENTS=y?")))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{PATH} holds `{}`, no number", text.trim())))
}

fn empty_attr() -> bpf_attr {
    // SAFETY: all zeros is a value of every member of this union of plain structs.
    unsafe { std::mem::zeroed() }
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is a whole `bpf_attr`, so the kernel reads no more than there is.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    owned(result)
}

/// The descriptor that a syscall gave, or its error.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: a new descriptor of ours, owned by nobody else.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
