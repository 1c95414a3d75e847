//! Where plaintext goes into OpenSSL (1.1.1 and newer) and comes out, and where its sessions begin and end.
//!
//! CPython's `_ssl` calls it: at the instruction that does the arguments are in their registers, and soon behind it the
//! result still is. Both are instructions that the kernel emulates, 0.65 us each, and neither is a return probe, which is a
//! danger to programs that switch stacks.
//!
//! Where `_ssl` calls it in another way, the library itself is probed. What that exports begins with `sub $8,%rsp` or
//! `endbr64`, which the kernel single-steps: measured, 17 us a hit. But `SSL_read` and `SSL_read_ex` both go through
//! `ssl_read_internal(ssl, buffer, size, count)`, those that write through `ssl_write_internal` (ssl/ssl_lib.c), which in
//! many builds begins with `push`: 1 us for a probe of its entry and one of its return. Python code runs under these in a
//! handshake alone, and they return in the order in which they were called unless that switches greenlets within.

use std::fs::File;

use iced_x86::{FlowControl, Instruction, Register as DecoderRegister};
use object::{ReadCache, ReadRef};

use super::binary::{PythonPoint, Role};
use super::elf::{Elf, ElfError};
use super::flow;
use super::operand::{Operand, Register, argument};
use super::x86::{Code, decode, follow_copies, return_point};

/// From `SSL_write_ex` it is two calls to `ssl_write_internal` from OpenSSL 3.3 on.
const DEPTH: usize = 3;

/// A wrapper hands its arguments on within a few instructions.
const WRAPPER_INSTRUCTIONS: usize = 16;

/// Bytes of a call.
const CALL_BYTES: u64 = 5;

/// Why a file can't be probed.
#[derive(Debug, thiserror::Error)]
pub enum NoOpenssl {
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error("it does not export {0}, as OpenSSL 1.1.1 and newer do")]
    Symbol(&'static str),
    #[error("it does not call {0} in a way that can be probed at little cost")]
    Call(&'static str),
    #[error("{0} does not hand on its arguments to a function that can be probed at little cost")]
    Code(&'static str),
}

/// Functions of a session's life, whose first argument it is: hit a few times a connection.
const SESSIONS: [(&str, Role); 3] = [
    ("SSL_set_connect_state", Role::TlsClient),
    ("SSL_do_handshake", Role::TlsHandshake),
    ("SSL_free", Role::TlsFreed),
];

/// Functions that transfer: the one that puts its count at its fourth argument (from CPython 3.10 on), and the one that
/// returns it.
const TRANSFERS: [(&str, &str, Role, Role); 2] = [
    ("SSL_read_ex", "SSL_read", Role::TlsRead, Role::TlsReadDone),
    ("SSL_write_ex", "SSL_write", Role::TlsWrite, Role::TlsWriteDone),
];

/// The points of a library of `_ssl`, or of an interpreter that it is built into.
pub fn module_points(file: &File) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let cache = ReadCache::new(file);
    find_calls(&Elf::parse(&cache)?)
}

fn find_calls<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let mut found = Vec::new();
    let is_call = |vaddr: &u64| decode(elf, *vaddr).is_some_and(|decoded| decoded.emulated);
    for (with_count, other, role, done) in TRANSFERS {
        let before = found.len();
        for (name, count) in [(with_count, Some(Operand::pointer(Register::Rcx))), (other, None)] {
            for vaddr in elf.calls_of(name).into_iter().filter(is_call) {
                // What it returned is in rax, behind it.
                let Some((behind, result)) =
                    argument(elf, vaddr.wrapping_add(CALL_BYTES), DecoderRegister::RAX)
                else {
                    continue;
                };
                found.extend(PythonPoint::at(elf, vaddr, role, count, false));
                found.extend(PythonPoint::at(elf, behind, done, Some(Operand::pointer(result)), false));
            }
        }
        if found.len() == before {
            return Err(NoOpenssl::Call(with_count));
        }
    }
    for (name, role) in SESSIONS {
        let calls = elf.calls_of(name).into_iter().filter(is_call);
        let session = Some(Operand::pointer(Register::Rdi));
        let before = found.len();
        found.extend(calls.filter_map(|vaddr| PythonPoint::at(elf, vaddr, role, session, false)));
        if found.len() == before {
            return Err(NoOpenssl::Call(name));
        }
    }
    Ok(found)
}

/// The points of a library of OpenSSL.
pub fn points(file: &File) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let cache = ReadCache::new(file);
    find(&Elf::parse(&cache)?)
}

fn find<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let exported = |name| elf.symbol(name).map(|function| function.vaddr).ok_or(NoOpenssl::Symbol(name));
    let mut found = Vec::new();
    for (outer, other, role, done) in TRANSFERS {
        let (inner, count) = inner(elf, exported(outer)?, exported(other)?).ok_or(NoOpenssl::Code(outer))?;
        let count = Register::from_decoder(count).map(Operand::pointer);
        found.extend(PythonPoint::at(elf, inner, role, count, false));
        found.extend(PythonPoint::at(elf, inner, done, None, false));
    }
    for (name, role) in SESSIONS {
        let function = exported(name)?;
        let emulated = argument(elf, function, DecoderRegister::RDI);
        let (vaddr, register) = emulated.unwrap_or((function, Register::Rdi));
        let operand = Some(Operand::pointer(register));
        found.extend(PythonPoint::at(elf, vaddr, role, operand, emulated.is_none()));
    }
    Ok(found)
}

/// Where the function that both of these go through can be probed at its entry and its return, with its arguments still in
/// their registers, and the register that says where its count goes.
fn inner(code: &impl Code, outer: u64, other: u64) -> Option<(u64, DecoderRegister)> {
    let others = flow::targets(code, other);
    let (mut function, mut count) = (outer, DecoderRegister::RCX);
    for _ in 0..DEPTH {
        (function, count) = handed_on(code, function, count)?;
        if others.contains(&function) {
            let point = return_point(code, function)?;
            return Some((point, kept(code, function, point, count)?));
        }
    }
    None
}

/// The function that another one calls first while its first three arguments are where they came in, and the register of
/// the count there.
fn handed_on(code: &impl Code, function: u64, count: DecoderRegister) -> Option<(u64, DecoderRegister)> {
    let mut next = function;
    let mut arguments = Arguments::new(count);
    for _ in 0..WRAPPER_INSTRUCTIONS {
        let instruction = decode(code, next)?.instruction;
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::UnconditionalBranch => {
                return Some((instruction.near_branch_target(), arguments.count()?));
            }
            FlowControl::Next => {}
            _ => return None,
        }
        arguments.follow(&instruction);
        next = instruction.next_ip();
    }
    None
}

/// The register of the count at a point, if the arguments are in place there.
fn kept(code: &impl Code, function: u64, point: u64, count: DecoderRegister) -> Option<DecoderRegister> {
    let mut next = function;
    let mut arguments = Arguments::new(count);
    while next != point {
        let instruction = decode(code, next)?.instruction;
        arguments.follow(&instruction);
        next = instruction.next_ip();
    }
    arguments.count()
}

/// The registers that hold each of the first three arguments of a function, and those that hold its count.
struct Arguments {
    fixed: [(DecoderRegister, Vec<DecoderRegister>); 3],
    count: Vec<DecoderRegister>,
}

impl Arguments {
    fn new(count: DecoderRegister) -> Arguments {
        let fixed = [DecoderRegister::RDI, DecoderRegister::RSI, DecoderRegister::RDX]
            .map(|register| (register, vec![register]));
        Arguments { fixed, count: vec![count] }
    }

    fn follow(&mut self, instruction: &Instruction) {
        self.fixed.iter_mut().for_each(|(_, holders)| follow_copies(instruction, holders));
        follow_copies(instruction, &mut self.count);
    }

    /// The register of the count; `None` where the others are not in place.
    fn count(&self) -> Option<DecoderRegister> {
        let in_place = self.fixed.iter().all(|(register, holders)| holders.contains(register));
        self.count.first().copied().filter(|_| in_place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::libc;
    use super::super::x86::tests::Bytes;
    use super::*;

    /// `sub $8,%rsp; call +N; add $8,%rsp; ret` at 0, the same at 0x10, and `push %rbx; ret` at 0x20.
    fn code(first: u8, second: u8) -> Vec<u8> {
        let wrapper = |to: u8| {
            let mut bytes = vec![0x48, 0x83, 0xec, 0x08, 0xe8, to, 0, 0, 0, 0x48, 0x83, 0xc4, 0x08, 0xc3];
            bytes.resize(0x10, 0x90);
            bytes
        };
        [wrapper(first), wrapper(second), vec![0x53, 0xc3]].concat()
    }

    #[test]
    fn the_common_function_is_probed() {
        let bytes = code(0x17, 0x07);
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), Some((0x20, DecoderRegister::RCX)));
        // By way of the other wrapper.
        let bytes = code(0x07, 0x07);
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), Some((0x20, DecoderRegister::RCX)));
        // mov %rcx,%r8; xor %ecx,%ecx; jmp: the count is another argument by then.
        let mut bytes = code(0x17, 0x07);
        bytes[..10].copy_from_slice(&[0x49, 0x89, 0xc8, 0x31, 0xc9, 0xe9, 0x16, 0, 0, 0]);
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), Some((0x20, DecoderRegister::R8)));
    }

    #[test]
    fn a_function_without_its_arguments_is_not() {
        let mut bytes = code(0x17, 0x07);
        // xor %edi,%edi; nop; nop
        bytes[..4].copy_from_slice(&[0x31, 0xff, 0x90, 0x90]);
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), None);
    }

    #[test]
    fn another_library_is_none() {
        assert!(matches!(points(&libc()), Err(NoOpenssl::Symbol("SSL_read_ex"))));
        assert!(matches!(module_points(&libc()), Err(NoOpenssl::Call("SSL_read_ex"))));
    }
}
