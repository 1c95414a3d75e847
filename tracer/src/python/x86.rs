//! Which instruction of a function to probe.
//!
//! A uprobe replaces an instruction by a breakpoint. The kernel emulates a few simple instructions; any other
//! one it copies aside and single-steps, which in a virtual machine costs 16 to 60 µs a hit against 0.45 µs.
//! So a probe stands on an instruction that is emulated, as near to the wanted place as one is found.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

/// Code by virtual address.
pub trait Code {
    /// Up to 15 bytes from `vaddr` on; empty where there is no code.
    fn at(&self, vaddr: u64) -> &[u8];
}

/// Arguments are moved and control flow begins within the first few instructions of a function.
const STRAIGHT_LINE_LIMIT: usize = 64;

/// Whether all supported kernels emulate the instruction that `bytes` are, instead of single-stepping it.
///
/// As in arch/x86/kernel/uprobes.c (`branch_setup_xol_ops`, `push_setup_xol_ops`): one-byte `nop`, `jmp`,
/// `call` and conditional jumps with a relative target, `push` of a register. Later kernels emulate more; an
/// instruction that some kernel refuses to probe at all (a 16-bit branch, a segment or lock prefix) is none.
pub fn is_emulated(bytes: &[u8]) -> bool {
    let legacy = bytes.iter().take_while(|byte| matches!(byte, 0x66 | 0xf2 | 0xf3)).count();
    let (prefixes, rest) = bytes.split_at(legacy);
    let (rex, opcode) = match rest {
        [rex @ 0x40..=0x4f, opcode @ ..] => (Some(*rex), opcode),
        opcode => (None, opcode),
    };
    match opcode {
        // With REX.B this would be an exchange of registers.
        [0x90] => rex.is_none(),
        [0x70..=0x7f | 0xe8 | 0xe9 | 0xeb, ..] | [0x0f, 0x80..=0x8f, ..] => !prefixes.contains(&0x66),
        [0x50..=0x57] => prefixes.is_empty() && matches!(rex, None | Some(0x41)),
        _ => false,
    }
}

/// An instruction, and whether the kernel emulates it.
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    pub instruction: Instruction,
    pub emulated: bool,
}

/// Decodes the instruction at `vaddr`; `None` where there is none.
pub fn decode(code: &impl Code, vaddr: u64) -> Option<Decoded> {
    let bytes = code.at(vaddr);
    let instruction = Decoder::with_ip(64, bytes, vaddr, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return None;
    }
    Some(Decoded { instruction, emulated: is_emulated(bytes.get(..instruction.len())?) })
}

/// A place where an argument of a function can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentPoint {
    pub vaddr: u64,
    /// The register that holds the argument there.
    pub register: Register,
}

/// The first emulated instruction that is reached straight from `entry` while a register still holds the
/// argument that came in `argument`.
pub fn argument_point(code: &impl Code, entry: u64, argument: Register) -> Option<ArgumentPoint> {
    let mut holders = vec![argument];
    for decoded in straight_line(code, entry) {
        if decoded.emulated {
            return holders
                .first()
                .map(|&register| ArgumentPoint { vaddr: decoded.instruction.ip(), register });
        }
        follow_copies(&decoded.instruction, &mut holders);
    }
    None
}

/// The first emulated instruction that is reached straight from `entry` while the stack pointer still points
/// to the return address, which is what a return probe replaces.
pub fn return_point(code: &impl Code, entry: u64) -> Option<u64> {
    for decoded in straight_line(code, entry) {
        if decoded.emulated {
            return Some(decoded.instruction.ip());
        }
        if writes(&decoded.instruction).contains(&Register::RSP) {
            return None;
        }
    }
    None
}

/// Updates the registers that hold a value by what an instruction writes. Those that a call may change under
/// the System V calling convention are lost at a call.
pub fn follow_copies(instruction: &Instruction, holders: &mut Vec<Register>) {
    let copied = (instruction.mnemonic() == Mnemonic::Mov
        && instruction.op_count() == 2
        && (0..2).all(|operand| instruction.op_kind(operand) == OpKind::Register)
        && holders.contains(&instruction.op1_register()))
    .then(|| instruction.op0_register());
    if matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
        holders.retain(|register| CALLEE_SAVED.contains(register));
    }
    let written = writes(instruction);
    holders.retain(|register| !written.contains(register));
    holders.extend(copied.filter(|register| register.is_gpr64()));
}

/// What a called function leaves as it was (System V ABI, AMD64).
pub const CALLEE_SAVED: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// The instructions from `entry` to the first one that another than the next may follow, with that one.
fn straight_line(code: &impl Code, entry: u64) -> impl Iterator<Item = Decoded> {
    let mut next = Some(entry);
    std::iter::from_fn(move || {
        let decoded = decode(code, next?)?;
        let straight = decoded.instruction.flow_control() == FlowControl::Next;
        next = straight.then(|| decoded.instruction.next_ip());
        Some(decoded)
    })
    .take(STRAIGHT_LINE_LIMIT)
}

/// How an instruction uses one of its operands.
pub fn access(instruction: &Instruction, operand: u32) -> OpAccess {
    InstructionInfoFactory::new().info(instruction).op_access(operand)
}

/// The registers that an instruction changes, as a whole.
pub fn writes(instruction: &Instruction) -> Vec<Register> {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers();
    used.iter()
        .filter(|register| {
            !matches!(
                register.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
        })
        .map(|register| register.register().full_register())
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Code that starts at an address.
    pub struct Bytes<'a>(pub u64, pub &'a [u8]);

    impl Code for Bytes<'_> {
        fn at(&self, vaddr: u64) -> &[u8] {
            let start = vaddr.checked_sub(self.0).and_then(|start| usize::try_from(start).ok());
            let rest = start.and_then(|start| self.1.get(start..)).unwrap_or(&[]);
            rest.get(..15).unwrap_or(rest)
        }
    }

    #[test]
    fn knows_what_the_kernel_emulates() {
        for emulated in [
            &[0x55][..],               // push %rbp
            &[0x41, 0x57],             // push %r15
            &[0x90],                   // nop
            &[0x66, 0x90],             // 2-byte nop
            &[0x74, 0x02],             // je
            &[0x0f, 0x8e, 0, 0, 0, 0], // jle, 32-bit target
            &[0xe8, 0, 0, 0, 0],       // call
            &[0xe9, 0, 0, 0, 0],       // jmp
            &[0xeb, 0xfe],             // jmp, 8-bit target
            &[0xf2, 0xe9, 0, 0, 0, 0], // bnd jmp
        ] {
            assert!(is_emulated(emulated), "{emulated:02x?} is emulated");
        }
        for stepped in [
            &[0xf3, 0x0f, 0x1e, 0xfa][..],         // endbr64
            &[0xc3],                               // ret
            &[0x48, 0x89, 0xe5],                   // mov %rsp,%rbp
            &[0x48, 0x83, 0xec, 0x08],             // sub $8,%rsp
            &[0xff, 0xd0],                         // call *%rax
            &[0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0], // call with prefixes: the kernel refuses it
            &[0x2e, 0x74, 0x02],                   // je with a segment prefix: refused too
            &[0x49, 0x90],                         // xchg %r8,%rax
            &[0xff, 0x74, 0x24, 0x08],             // push 8(%rsp)
            &[0x6a, 0x00],                         // push $0
            &[0x0f, 0x1f, 0x44, 0, 0],             // 5-byte nop: only later kernels
            &[],
        ] {
            assert!(!is_emulated(stepped), "{stepped:02x?} is single-stepped or refused");
        }
    }

    #[test]
    fn finds_the_argument_where_it_moved() {
        // mov %rdi,%rsi; mov 0(%rip),%rdi; jmp: Debian's PyContext_Enter.
        let stub = [0x48, 0x89, 0xfe, 0x48, 0x8b, 0x3d, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0];
        let point = argument_point(&Bytes(0x1000, &stub), 0x1000, Register::RDI);
        assert_eq!(point, Some(ArgumentPoint { vaddr: 0x100a, register: Register::RSI }));
    }

    #[test]
    fn skips_endbr64_and_stops_at_a_lost_argument() {
        let function = [0xf3, 0x0f, 0x1e, 0xfa, 0x55];
        let point = argument_point(&Bytes(0x1000, &function), 0x1000, Register::RDI);
        assert_eq!(point, Some(ArgumentPoint { vaddr: 0x1004, register: Register::RDI }));
        // xor %edi,%edi; push %rbp
        assert_eq!(argument_point(&Bytes(0, &[0x31, 0xff, 0x55]), 0, Register::RDI), None);
        // ret; push %rbp
        assert_eq!(argument_point(&Bytes(0, &[0xc3, 0x55]), 0, Register::RDI), None);
    }

    #[test]
    fn returns_only_where_the_return_address_is_on_top() {
        // xor %eax,%eax; push %rbp
        assert_eq!(return_point(&Bytes(0, &[0x31, 0xc0, 0x55]), 0), Some(2));
        // sub $8,%rsp; push %rbp
        assert_eq!(return_point(&Bytes(0, &[0x48, 0x83, 0xec, 0x08, 0x55]), 0), None);
        // mov 0x18(%rdi),%rdi; jmp: a tail call
        assert_eq!(return_point(&Bytes(0, &[0x48, 0x8b, 0x7f, 0x18, 0xe9, 0, 0, 0, 0]), 0), Some(4));
    }
}
