//! Offsets of kernel fields, from the kernel's own type information.
//!
//! The format is that of Documentation/bpf/btf.rst. Read here are struct members alone, which aya's reader
//! keeps to itself.

use std::{fs, path::Path};

use tracer_ebpf::settings::KernelOffsets;

/// Where the kernel shows its type information, with `CONFIG_DEBUG_INFO_BTF`.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The offsets of the running kernel.
pub fn kernel_offsets() -> Result<KernelOffsets, BtfError> {
    let path = Path::new(VMLINUX);
    let bytes = fs::read(path).map_err(|source| BtfError::Read { source })?;
    offsets(&Btf::parse(&bytes)?)
}

#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("cannot read {VMLINUX}: {source}; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y")]
    Read { source: std::io::Error },
    #[error("{VMLINUX} is no BTF of this machine's byte order: {what} at byte {at}")]
    Malformed { what: &'static str, at: usize },
    #[error("this kernel's BTF has no struct `{0}`, whose fields the probes read")]
    NoStruct(String),
    #[error("this kernel's BTF has no field `{path}` in struct `{root}`, which the probes read")]
    NoField { root: String, path: String },
    #[error("field `{path}` of struct `{root}` is {bits} bits wide at bit {at}: the probes read whole bytes")]
    BitField { root: String, path: String, at: u32, bits: u32 },
    #[error("field `{next}` of struct `{root}` does not follow `{path}`: the probes read both at once")]
    Apart { root: String, path: String, next: String },
}

/// The offsets, by the type information of any kernel from 5.5 on.
pub fn offsets(btf: &Btf) -> Result<KernelOffsets, BtfError> {
    let find = |root: &str, path: &str| btf.offset(root, path);
    // Renamed in 5.14.
    let task_state = find("task_struct", "__state").or_else(|_| find("task_struct", "state"))?;
    // `f_ref` counts references beyond the first, from 6.13 on.
    let (file_count, file_count_of_one) = match find("file", "f_ref") {
        Ok(offset) => (offset, 0),
        Err(_) => (find("file", "f_count")?, 1),
    };
    // A bit field of 8 bits, byte-aligned and in the second byte of its word, before 5.6.
    let (sock_protocol, sock_protocol_is_byte) = match find("sock", "sk_protocol") {
        Ok(offset) => (offset, 0),
        Err(BtfError::BitField { at, bits: 8, .. }) if at % 8 == 0 => (at / 8, 1),
        Err(error) => return Err(error),
    };
    Ok(KernelOffsets {
        task_tgid: find("task_struct", "tgid")?,
        task_pid: find("task_struct", "pid")?,
        task_state,
        task_cpu_ns: find("task_struct", "se.sum_exec_runtime")?,
        task_thread_pointer: find("task_struct", "thread.fsbase")?,
        task_signal: find("task_struct", "signal")?,
        signal_live: find("signal_struct", "live")?,
        task_files: find("task_struct", "files")?,
        files_fdt: find("files_struct", "fdt")?,
        fdtable_max_fds: btf.offset_before("fdtable", "max_fds", "fd")?,
        file_private_data: find("file", "private_data")?,
        file_inode: find("file", "f_inode")?,
        file_count,
        file_count_of_one,
        inode_mode: find("inode", "i_mode")?,
        socket_file: btf.offset_before("socket", "file", "sk")?,
        sock_family: find("sock", "__sk_common.skc_family")?,
        sock_state: find("sock", "__sk_common.skc_state")?,
        sock_local_port: find("sock", "__sk_common.skc_num")?,
        sock_remote_port: find("sock", "__sk_common.skc_dport")?,
        sock_local_v4: find("sock", "__sk_common.skc_rcv_saddr")?,
        sock_remote_v4: find("sock", "__sk_common.skc_daddr")?,
        sock_local_v6: find("sock", "__sk_common.skc_v6_rcv_saddr")?,
        sock_remote_v6: find("sock", "__sk_common.skc_v6_daddr")?,
        sock_protocol,
        sock_protocol_is_byte,
        tcp_sock_copied_seq: find("tcp_sock", "copied_seq")?,
        tcp_sock_rcv_nxt: find("tcp_sock", "rcv_nxt")?,
        tcp_sock_srtt_us: find("tcp_sock", "srtt_us")?,
        sk_buff_len: find("sk_buff", "len")?,
        sk_buff_data: find("sk_buff", "data")?,
    })
}

/// Type information, with an index of its types.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type starts in `types`; the first has id 1.
    starts: Vec<u32>,
}

/// Kinds of types, include/uapi/linux/btf.h.
mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

const MAGIC: u16 = 0xeb9f;

/// Bytes of `struct btf_type`, and of `struct btf_member`.
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;

/// Types through which a member is looked for: more than any kernel nests, and an end to a loop of types.
const DEPTH: u32 = 16;

/// Where a member is, in bits from the start of the struct; `bits` is 0 unless it is a bit field.
#[derive(Clone, Copy)]
struct Found {
    at: u32,
    bits: u32,
    type_id: u32,
}

impl<'a> Btf<'a> {
    /// Indexes the types. Fails on bytes that are no BTF, on another byte order, and on kinds of types that
    /// came after 6.18.
    pub fn parse(bytes: &'a [u8]) -> Result<Btf<'a>, BtfError> {
        let header = |at| word(bytes, at).ok_or(BtfError::Malformed { what: "a cut header", at });
        if bytes.get(..2) != Some(&MAGIC.to_ne_bytes()) {
            return Err(BtfError::Malformed { what: "no magic", at: 0 });
        }
        // magic, version, flags, then hdr_len, type_off, type_len, str_off, str_len.
        let section = |offset: u32, length: u32| {
            let start = (header(4).ok()? as usize).checked_add(offset as usize)?;
            bytes.get(start..start.checked_add(length as usize)?)
        };
        let types = section(header(8)?, header(12)?)
            .ok_or(BtfError::Malformed { what: "a cut type section", at: 8 })?;
        let strings = section(header(16)?, header(20)?)
            .ok_or(BtfError::Malformed { what: "a cut string section", at: 16 })?;
        let mut starts = Vec::new();
        let mut at = 0;
        while at < types.len() {
            let cut = BtfError::Malformed { what: "a cut type", at };
            let Some(info) = word(types, at + 4) else { return Err(cut) };
            let count = (info & 0xffff) as usize;
            let rest = match info >> 24 & 0x1f {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => 0,
                kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION => count * MEMBER_BYTES,
                kind::DATASEC | kind::ENUM64 => count * 12,
                kind::ENUM | kind::FUNC_PROTO => count * 8,
                _ => return Err(BtfError::Malformed { what: "an unknown kind of type", at }),
            };
            starts.push(at as u32);
            at += TYPE_BYTES + rest;
        }
        if at > types.len() {
            return Err(BtfError::Malformed { what: "a cut type", at });
        }
        Ok(Btf { types, strings, starts })
    }

    /// Offset in bytes of a field, whose path has dots between named structs; anonymous ones are gone into.
    pub fn offset(&self, root: &str, path: &str) -> Result<u32, BtfError> {
        let no_field = || BtfError::NoField { root: root.to_owned(), path: path.to_owned() };
        let mut type_id = self.struct_named(root).ok_or_else(|| BtfError::NoStruct(root.to_owned()))?;
        let mut found = Found { at: 0, bits: 0, type_id };
        let mut at = 0_u32;
        for name in path.split('.') {
            found = self.member(type_id, name, DEPTH).ok_or_else(no_field)?;
            at = at.checked_add(found.at).ok_or_else(no_field)?;
            type_id = found.type_id;
        }
        if found.bits != 0 || !at.is_multiple_of(8) {
            let (root, path) = (root.to_owned(), path.to_owned());
            return Err(BtfError::BitField { root, path, at, bits: found.bits });
        }
        Ok(at / 8)
    }

    /// The offset of a field of eight bytes, or of four and padding, which another one follows.
    fn offset_before(&self, root: &str, path: &str, next: &str) -> Result<u32, BtfError> {
        let offset = self.offset(root, path)?;
        if self.offset(root, next)? != offset + 8 {
            return Err(BtfError::Apart {
                root: root.to_owned(),
                path: path.to_owned(),
                next: next.to_owned(),
            });
        }
        Ok(offset)
    }

    fn struct_named(&self, name: &str) -> Option<u32> {
        (1..=self.starts.len() as u32).find(|&id| {
            self.info(id).is_some_and(|info| info >> 24 & 0x1f == kind::STRUCT)
                && self.name_of(id) == Some(name.as_bytes())
        })
    }

    fn member(&self, type_id: u32, name: &str, depth: u32) -> Option<Found> {
        let depth = depth.checked_sub(1)?;
        let type_id = self.underlying(type_id)?;
        let info = self.info(type_id)?;
        let start = *self.starts.get(type_id.checked_sub(1)? as usize)? as usize + TYPE_BYTES;
        for index in 0..(info & 0xffff) as usize {
            let member = start + index * MEMBER_BYTES;
            let member_type = word(self.types, member + 4)?;
            let position = word(self.types, member + 8)?;
            // With the kind flag the upper eight bits are the width of a bit field.
            let (at, bits) =
                if info >> 31 == 1 { (position & 0xff_ffff, position >> 24) } else { (position, 0) };
            match self.string(word(self.types, member)?)? {
                b"" => {
                    if let Some(inner) = self.member(member_type, name, depth) {
                        return Some(Found { at: at.checked_add(inner.at)?, ..inner });
                    }
                }
                found if found == name.as_bytes() => return Some(Found { at, bits, type_id: member_type }),
                _ => {}
            }
        }
        None
    }

    /// The struct or union behind type definitions and qualifiers.
    fn underlying(&self, mut type_id: u32) -> Option<u32> {
        for _ in 0..DEPTH {
            match self.info(type_id)? >> 24 & 0x1f {
                kind::STRUCT | kind::UNION => return Some(type_id),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    type_id = self.field(type_id, 8)?;
                }
                _ => return None,
            }
        }
        None
    }

    fn info(&self, type_id: u32) -> Option<u32> {
        self.field(type_id, 4)
    }

    fn name_of(&self, type_id: u32) -> Option<&'a [u8]> {
        self.string(self.field(type_id, 0)?)
    }

    fn field(&self, type_id: u32, offset: usize) -> Option<u32> {
        word(self.types, *self.starts.get(type_id.checked_sub(1)? as usize)? as usize + offset)
    }

    fn string(&self, offset: u32) -> Option<&'a [u8]> {
        self.strings.get(offset as usize..)?.split(|&byte| byte == 0).next()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of `struct outer { u32 a; struct { u8 pad[8]; union { u32 deep; }; }; u32 bit : 8; };`.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0a\0deep\0bit\0int\0";
        let mut types = Vec::new();
        let mut put = |words: &[u32]| words.iter().for_each(|word| types.extend(word.to_ne_bytes()));
        // 1: int
        put(&[18, kind::INT << 24, 4, 32]);
        // 2: anonymous union { int deep; }
        put(&[0, kind::UNION << 24 | 1, 4, 9, 1, 0]);
        // 3: anonymous struct { at 64 bits: the union }
        put(&[0, kind::STRUCT << 24 | 1, 12, 0, 2, 64]);
        // 4: struct outer, with bit fields
        put(&[1, 1 << 31 | kind::STRUCT << 24 | 3, 20, 7, 1, 0, 0, 3, 32, 14, 1, 8 << 24 | 128]);
        let mut bytes = Vec::from(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn fields_are_found_through_anonymous_members() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", "a").unwrap(), 0);
        assert_eq!(btf.offset("outer", "deep").unwrap(), 12);
        assert!(matches!(btf.offset_before("outer", "a", "deep"), Err(BtfError::Apart { .. })));
        assert!(matches!(btf.offset("outer", "bit"), Err(BtfError::BitField { at: 128, bits: 8, .. })));
    }

    #[test]
    fn what_is_missing_is_named() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        let field = btf.offset("outer", "a.b").unwrap_err().to_string();
        assert!(field.contains("`a.b`") && field.contains("`outer`"), "{field}");
        assert!(btf.offset("inner", "a").unwrap_err().to_string().contains("`inner`"));
    }

    #[test]
    fn no_cut_makes_it_panic() {
        let bytes = sample();
        for length in 0..bytes.len() {
            if let Ok(btf) = Btf::parse(&bytes[..length]) {
                let _ = btf.offset("outer", "deep");
            }
        }
    }

    #[test]
    fn the_running_kernel_has_every_field() {
        let bytes = match fs::read(VMLINUX) {
            Ok(bytes) => bytes,
            Err(error) => return eprintln!("skipped: {VMLINUX}: {error}"),
        };
        let found = offsets(&Btf::parse(&bytes).unwrap()).unwrap();
        assert_ne!(found.task_tgid, found.task_pid);
        // `struct sock_common` opens with the IPv4 addresses, on every kernel since 3.9.
        assert_eq!((found.sock_remote_v4, found.sock_local_v4), (0, 4));
        for length in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
            assert!(Btf::parse(&bytes[..length]).is_err());
        }
    }
}
