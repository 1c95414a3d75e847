//! The bpf(2) and perf_event_open(2) calls that aya 0.14 does not make for us.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_id, bpf_insn, bpf_prog_info, bpf_prog_type, perf_event_attr,
};

use super::link::UprobePoint;

/// What a program is for; the kernel binds it to that at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    Uprobe(UprobeKind),
    /// A raw tracepoint, by the id of its type in the kernel's BTF.
    RawTracepoint(u32),
    /// A perf event of a tracepoint.
    Tracepoint,
    /// A perf event of another kind.
    Event,
}

/// How the kernel is to attach a uprobe program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UprobeKind {
    /// Many points by one link, 6.6 and later.
    Multi,
    /// A perf event for each point.
    Single,
}

/// Licence of the programs, as in their object.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";

/// Bytes for what the verifier says when it refuses: before 6.4 a longer log has no end.
const LOG_BYTES: usize = 4 << 20;

/// Lines at its end that say why.
const LOG_LINES: usize = 4;

/// Opcodes, include/uapi/linux/bpf.h: `BPF_JMP | BPF_CALL`, `BPF_JMP | BPF_EXIT`.
pub const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// `PERF_EVENT_IOC_SET_BPF`, include/uapi/linux/perf_event.h.
const SET_BPF: libc::c_ulong = 0x4004_2408;

/// Flag of a `uprobe_multi` link, `BPF_F_UPROBE_MULTI_RETURN` in include/uapi/linux/bpf.h.
const MULTI_RETURN: u32 = 1;

/// Asks the verifier for the last line of its log alone, `BPF_LOG_STATS` in include/linux/bpf_verifier.h.
const LOG_STATS: u32 = 4;
/// Asks it for everything.
const LOG_ALL: u32 = 1;

/// Loads a program under this name, as far as the kernel keeps it (15 bytes). The error ends in the last lines of the
/// verifier's log.
pub fn load_program(name: &str, instructions: &[bpf_insn], kind: ProgramKind) -> io::Result<OwnedFd> {
    let mut attr = load_attr(name, instructions, kind);
    bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).or_else(|_| {
        // The log is asked for only now: it makes a load several times as slow.
        let (result, log) = load_with_log(&mut attr, LOG_ALL);
        result.map_err(|error| io::Error::new(error.kind(), format!("{error}: {}", tail(&log))))
    })
}

/// What the verifier says at the end of its log of a program, which is not kept: among it how many instructions it went
/// through.
pub fn verify_program(name: &str, instructions: &[bpf_insn], kind: ProgramKind) -> io::Result<String> {
    let mut attr = load_attr(name, instructions, kind);
    let (result, log) = load_with_log(&mut attr, LOG_STATS);
    match result {
        Ok(_) => Ok(log),
        Err(_) => load_program(name, instructions, kind).map(|_| log),
    }
}

fn load_attr(name: &str, instructions: &[bpf_insn], kind: ProgramKind) -> bpf_attr {
    let mut attr = empty_attr();
    // SAFETY: writes the member of the union that BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = match kind {
        ProgramKind::Uprobe(_) => bpf_prog_type::BPF_PROG_TYPE_KPROBE,
        ProgramKind::RawTracepoint(_) => bpf_prog_type::BPF_PROG_TYPE_TRACING,
        ProgramKind::Tracepoint => bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT,
        ProgramKind::Event => bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT,
    } as u32;
    load.insn_cnt = instructions.len() as u32;
    load.insns = instructions.as_ptr() as u64;
    load.license = LICENSE.as_ptr() as u64;
    let [kept @ .., _nul] = &mut load.prog_name;
    kept.iter_mut().zip(name.bytes()).for_each(|(kept, byte)| *kept = byte as _);
    match kind {
        ProgramKind::Uprobe(UprobeKind::Multi) => {
            load.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
        }
        ProgramKind::RawTracepoint(type_id) => {
            load.expected_attach_type = bpf_attach_type::BPF_TRACE_RAW_TP as u32;
            load.attach_btf_id = type_id;
        }
        ProgramKind::Uprobe(UprobeKind::Single) | ProgramKind::Tracepoint | ProgramKind::Event => {}
    }
    attr
}

/// Loads what `attr` describes; also gives the verifier's log.
fn load_with_log(attr: &mut bpf_attr, level: u32) -> (io::Result<OwnedFd>, String) {
    let mut log = vec![0_u8; LOG_BYTES];
    // SAFETY: writes the member of the union that BPF_PROG_LOAD reads; the buffer outlives the call.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.log_level = level;
    load.log_size = log.len() as u32;
    load.log_buf = log.as_mut_ptr() as u64;
    let result = bpf(bpf_cmd::BPF_PROG_LOAD, attr);
    (result, String::from_utf8_lossy(&log).trim_end_matches('\0').trim_end().to_owned())
}

/// The last lines of a verifier's log, in one.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("; ")
}

/// Whether the kernel links a multi program: it must object to a path that is no regular file, not to the
/// kind of link.
pub fn has_uprobe_multi(program: &OwnedFd) -> bool {
    let point = UprobePoint { offset: 0, semaphore: 0, cookie: 0, returns: false };
    let result = link_uprobe_multi(program, "/", &[point], false, None);
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

/// Whether programs of uprobes can ask for the cookie of their point.
pub fn has_attach_cookies() -> bool {
    // Its context is in the register of the first argument.
    let asking = bpf_insn { imm: bpf_func_id::BPF_FUNC_get_attach_cookie as i32, ..instruction(CALL) };
    let code = [asking, instruction(EXIT)];
    bpf(bpf_cmd::BPF_PROG_LOAD, &mut load_attr("tracer_test", &code, ProgramKind::Uprobe(UprobeKind::Single)))
        .is_ok()
}

/// An instruction without operands, by its opcode.
pub fn instruction(code: u8) -> bpf_insn {
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1: bpf_insn::new_bitfield_1(0, 0), off: 0, imm: 0 }
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

/// Attaches a program to a perf event until that is closed, without a link, which 5.15 brought.
pub fn set_program_of_event(event: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    // SAFETY: both are descriptors that outlive the call; the argument is a number.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF as _, program.as_raw_fd()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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

/// Runs of a program that the kernel left out because it had interrupted one on the same CPU. 0 before 5.12, which brought the
/// count.
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all zeros is a value of this plain struct.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = empty_attr();
    // SAFETY: writes the member of the union that BPF_OBJ_GET_INFO_BY_FD reads.
    let get = unsafe { &mut attr.info };
    get.bpf_fd = program.as_raw_fd() as u32;
    get.info_len = size_of_val(&info) as u32;
    get.info = (&raw mut info) as u64;
    // SAFETY: `attr` is a whole `bpf_attr`, and `info` as long as it says; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    if result == 0 { Ok(info.recursion_misses) } else { Err(io::Error::last_os_error()) }
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
