//! Where OpenSSL (1.1.1 and newer) is probed: where it takes and gives plaintext, and where its sessions begin and end.
//!
//! `SSL_read` and `SSL_read_ex` both go through `ssl_read_internal(ssl, buffer, size, count)`, those that write through
//! `ssl_write_internal` (ssl/ssl_lib.c). What is exported begins with `sub $8,%rsp`, which the kernel single-steps: measured,
//! 17 us a hit. What is inside begins with `push`: 1 us for entry and return together. A library in which it is not found is
//! not probed.
//!
//! The return probe is harmless: Python code runs under these functions in a handshake alone, and they return in the order in
//! which they were called unless that code switches greenlets within.

use std::fs::File;

use iced_x86::{FlowControl, Register as DecoderRegister};
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

/// Why a file can't be probed as OpenSSL.
#[derive(Debug, thiserror::Error)]
pub enum NoOpenssl {
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error("it does not export {0}, as OpenSSL 1.1.1 and newer do")]
    Symbol(&'static str),
    #[error("{0} does not hand on its arguments to a function that can be probed at little cost")]
    Code(&'static str),
}

/// The points of a library of OpenSSL, or of a program that exports its functions.
pub fn points(file: &File) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let cache = ReadCache::new(file);
    find(&Elf::parse(&cache)?)
}

fn find<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Vec<PythonPoint>, NoOpenssl> {
    let exported = |name| elf.symbol(name).map(|function| function.vaddr).ok_or(NoOpenssl::Symbol(name));
    let mut found = Vec::new();
    for (outer, other, roles) in [
        ("SSL_read_ex", "SSL_read", [Role::TlsRead, Role::TlsReadDone]),
        ("SSL_write_ex", "SSL_write", [Role::TlsWrite, Role::TlsWriteDone]),
    ] {
        let inner = inner(elf, exported(outer)?, exported(other)?).ok_or(NoOpenssl::Code(outer))?;
        found.extend(roles.into_iter().filter_map(|role| PythonPoint::at(elf, inner, role, None, false)));
    }
    for (name, role) in [
        ("SSL_set_connect_state", Role::TlsClient),
        ("SSL_do_handshake", Role::TlsHandshake),
        ("SSL_free", Role::TlsFreed),
    ] {
        let function = exported(name)?;
        // These are hit once or twice a connection.
        let emulated = argument(elf, function, DecoderRegister::RDI);
        let (vaddr, register) = emulated.unwrap_or((function, Register::Rdi));
        let operand = Some(Operand::pointer(register));
        found.extend(PythonPoint::at(elf, vaddr, role, operand, emulated.is_none()));
    }
    Ok(found)
}

/// Where the function that both of these go through can be probed at its entry and its return, with its arguments still in
/// their registers.
fn inner(code: &impl Code, outer: u64, other: u64) -> Option<u64> {
    let others = flow::targets(code, other);
    let mut function = outer;
    for _ in 0..DEPTH {
        function = handed_on(code, function)?;
        if others.contains(&function) {
            return return_point(code, function).filter(|point| keeps_arguments(code, function, *point));
        }
    }
    None
}

/// The function that another one calls first, while its first three arguments are where they came in.
fn handed_on(code: &impl Code, function: u64) -> Option<u64> {
    let mut next = function;
    let mut holders = Arguments::new();
    for _ in 0..WRAPPER_INSTRUCTIONS {
        let instruction = decode(code, next)?.instruction;
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::UnconditionalBranch => {
                return holders.are_in_place().then(|| instruction.near_branch_target());
            }
            FlowControl::Next => {}
            _ => return None,
        }
        holders.follow(&instruction);
        next = instruction.next_ip();
    }
    None
}

fn keeps_arguments(code: &impl Code, function: u64, point: u64) -> bool {
    let mut next = function;
    let mut holders = Arguments::new();
    while next != point {
        let Some(decoded) = decode(code, next) else { return false };
        holders.follow(&decoded.instruction);
        next = decoded.instruction.next_ip();
    }
    holders.are_in_place()
}

/// The first three arguments of a function, and the registers that hold each.
struct Arguments([(DecoderRegister, Vec<DecoderRegister>); 3]);

impl Arguments {
    fn new() -> Arguments {
        Arguments(
            [DecoderRegister::RDI, DecoderRegister::RSI, DecoderRegister::RDX]
                .map(|register| (register, vec![register])),
        )
    }

    fn follow(&mut self, instruction: &iced_x86::Instruction) {
        self.0.iter_mut().for_each(|(_, holders)| follow_copies(instruction, holders));
    }

    fn are_in_place(&self) -> bool {
        self.0.iter().all(|(register, holders)| holders.contains(register))
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
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), Some(0x20));
        // By way of the other wrapper.
        let bytes = code(0x07, 0x07);
        assert_eq!(inner(&Bytes(0, &bytes), 0, 0x10), Some(0x20));
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
    }
}
