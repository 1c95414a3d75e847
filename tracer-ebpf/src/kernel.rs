//! Reading kernel structures at the offsets that user space resolved.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_kernel};
use tracer_ebpf::settings::{KernelOffsets, reading};

use crate::maps::{TRACED, WATCH};

/// Set by user space before load, constant from then on.
#[unsafe(no_mangle)]
static OFFSETS: KernelOffsets = KernelOffsets::ZERO;

/// One of [`tracer_ebpf::settings::reading`], as [`OFFSETS`] is.
#[unsafe(no_mangle)]
static READING: u32 = 0;

/// Address families, include/linux/socket.h.
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// `IPPROTO_TCP`, `IPPROTO_UDP`, include/uapi/linux/in.h.
pub const TCP: u16 = 6;
pub const UDP: u16 = 17;

/// States of a TCP socket, include/net/tcp_states.h.
pub const TCP_ESTABLISHED: u32 = 1;
pub const TCP_SYN_SENT: u32 = 2;
pub const TCP_CLOSE: u32 = 7;
pub const TCP_CLOSE_WAIT: u32 = 8;
pub const TCP_LISTEN: u32 = 10;

/// File types in `inode.i_mode`, include/uapi/linux/stat.h.
const S_IFMT: u16 = 0o170000;
const S_IFREG: u16 = 0o100000;
const S_IFBLK: u16 = 0o060000;
const S_IFDIR: u16 = 0o040000;

#[inline(always)]
pub fn offsets() -> KernelOffsets {
    // SAFETY: a static of that type. Volatile, because the compiler may not take the initial value for the
    // final one.
    unsafe { core::ptr::read_volatile(&raw const OFFSETS) }
}

/// Whether bodies of calls are copied.
#[inline(always)]
pub fn reads_bodies() -> bool {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const READING) >= reading::BODIES }
}

/// Reads a field. `None` where the address is none of the kernel's.
#[inline(always)]
pub fn read<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// Reads a field of a tracepoint's argument, at a third of what [`read`] costs.
///
/// # Safety
///
/// `base` is an argument as it came, whose type has a `T` at `offset`: the verifier refuses others. A load that faults
/// gives 0.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: u64, offset: u32) -> T {
    // SAFETY: as the caller says.
    unsafe { core::ptr::read_volatile((base + u64::from(offset)) as *const T) }
}

/// Whether events of the process are wanted.
#[inline(always)]
pub fn is_traced(tgid: u32) -> bool {
    flags_of(tgid) & tracer_ebpf::settings::traced::EMIT != 0
}

/// [`tracer_ebpf::settings::traced`] flags of a process; 0 when it is not traced.
#[inline(always)]
pub fn flags_of(tgid: u32) -> u32 {
    // SAFETY: a value of four bytes can't be torn.
    unsafe { TRACED.get(&tgid) }.copied().unwrap_or(0)
}

/// Whether the exec of any process is to be told.
#[inline(always)]
pub fn watches_exec() -> bool {
    WATCH.get(0).is_some_and(|flags| flags & tracer_ebpf::settings::watch::EXEC != 0)
}

/// What a file descriptor of the current process is.
pub enum Opened {
    /// Perhaps of a kind that we don't follow.
    Socket(Sock),
    /// A file, a directory or a block device.
    Disk,
    /// A pipe, a terminal, an eventfd, or nothing that could be read.
    Other,
}

/// A socket by its addresses in the kernel.
#[derive(Clone, Copy)]
pub struct Sock {
    /// Of `struct sock`.
    pub address: u64,
    /// Of `struct file`.
    pub file: u64,
}

/// Follows `current->files->fdt->fd[descriptor]` to what it is.
#[inline(always)]
pub fn opened(descriptor: u64) -> Opened {
    look_up(descriptor).unwrap_or(Opened::Other)
}

#[inline(always)]
fn look_up(descriptor: u64) -> Option<Opened> {
    let at = offsets();
    // SAFETY: has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read(task, at.task_files)?;
    let table: u64 = read(files, at.files_fdt)?;
    let FdTable { max_fds, array } = read(table, at.fdtable_max_fds)?;
    // The syscalls take an int: the upper half of the register may hold anything.
    let descriptor = descriptor & 0xffff_ffff;
    if descriptor >= u64::from(max_fds) {
        return None;
    }
    let file: u64 = read(array + descriptor * 8, 0)?;
    if file == 0 {
        return None;
    }
    // What is private to a socket's file is the socket, which points back.
    let private: u64 = read(file, at.file_private_data)?;
    if let Some(socket) = read::<Socket>(private, at.socket_file)
        && socket.file == file
    {
        return (socket.sk != 0).then_some(Opened::Socket(Sock { address: socket.sk, file }));
    }
    let inode: u64 = read(file, at.file_inode)?;
    let mode: u16 = read(inode, at.inode_mode)?;
    matches!(mode & S_IFMT, S_IFREG | S_IFBLK | S_IFDIR).then_some(Opened::Disk)
}

/// The beginning of `struct fdtable` (include/linux/fdtable.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct FdTable {
    max_fds: u32,
    array: u64,
}

/// Fields of `struct socket` that follow each other (include/linux/net.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct Socket {
    file: u64,
    sk: u64,
}

/// The protocol of a `struct sock`, where it is one that we follow: TCP or UDP over IPv4 or IPv6.
#[inline(always)]
pub fn followed_protocol(sock: u64) -> Option<u16> {
    let at = offsets();
    let family: u16 = read(sock, at.sock_family)?;
    if family != AF_INET && family != AF_INET6 {
        return None;
    }
    let protocol = if at.sock_protocol_is_byte != 0 {
        u16::from(read::<u8>(sock, at.sock_protocol)?)
    } else {
        read::<u16>(sock, at.sock_protocol)?
    };
    (protocol == TCP || protocol == UDP).then_some(protocol)
}

/// State of a socket, as in include/net/tcp_states.h.
#[inline(always)]
pub fn state(sock: u64) -> u32 {
    u32::from(read::<u8>(sock, offsets().sock_state).unwrap_or(0))
}

/// Local port in host order; 0 while there is none.
#[inline(always)]
pub fn local_port(sock: u64) -> u16 {
    read(sock, offsets().sock_local_port).unwrap_or(0)
}

/// Whether the current process holds the only reference to a `struct file`.
#[inline(always)]
pub fn is_last_reference(file: u64) -> bool {
    let at = offsets();
    read::<u64>(file, at.file_count).is_some_and(|count| count == u64::from(at.file_count_of_one))
}
