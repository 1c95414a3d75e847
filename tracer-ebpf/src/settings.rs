//! What user space tells the probes: kernel field offsets, resolved from `/sys/kernel/btf/vmlinux` at start,
//! because Rust programs carry no CO-RE relocations.

/// Byte offsets of kernel fields, in the order of use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelOffsets {
    pub task_tgid: u32,
    pub task_pid: u32,
    pub task_state: u32,
    pub task_files: u32,
    pub files_fdt: u32,
    pub fdtable_max_fds: u32,
    pub fdtable_fd: u32,
    pub file_private_data: u32,
    pub file_inode: u32,
    pub inode_mode: u32,
    pub socket_sk: u32,
    pub sock_family: u32,
    pub sock_state: u32,
    pub sock_local_port: u32,
    pub sock_remote_port: u32,
    pub sock_local_v4: u32,
    pub sock_remote_v4: u32,
    pub sock_local_v6: u32,
    pub sock_remote_v6: u32,
    pub sock_protocol: u32,
    pub tcp_sock_copied_seq: u32,
    pub tcp_sock_rcv_nxt: u32,
    pub tcp_sock_srtt_us: u32,
    pub reserved: u32,
}
