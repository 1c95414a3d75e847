//! Where a probe finds a value at a point: in a register, or in memory at a register.

use super::x86::{Code, argument_point};

/// Where a value is at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    pub register: Register,
    /// `None`: the register holds the value. Else the value is in memory, at the register plus this.
    pub displacement: Option<i32>,
    /// Of the value, in bytes.
    pub size: u8,
    pub signed: bool,
}

impl Operand {
    /// A pointer that a register holds.
    pub fn pointer(register: Register) -> Operand {
        Operand { register, displacement: None, size: 8, signed: false }
    }

    /// A word in memory, at a register.
    pub fn memory(register: Register, displacement: i32) -> Operand {
        Operand { register, displacement: Some(displacement), size: 8, signed: false }
    }
}

/// The first emulated instruction of a function at which a general register still holds an argument, and which.
pub fn argument(code: &impl Code, function: u64, argument: iced_x86::Register) -> Option<(u64, Register)> {
    let point = argument_point(code, function, argument)?;
    Some((point.vaddr, Register::from_decoder(point.register)?))
}

/// A general register of x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Rbp,
    Rsp,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Register {
    /// The register that holds `register` as a whole; `None` for other than general registers.
    pub fn from_decoder(register: iced_x86::Register) -> Option<Register> {
        use iced_x86::Register as Decoder;
        Some(match register.full_register() {
            Decoder::RAX => Register::Rax,
            Decoder::RBX => Register::Rbx,
            Decoder::RCX => Register::Rcx,
            Decoder::RDX => Register::Rdx,
            Decoder::RSI => Register::Rsi,
            Decoder::RDI => Register::Rdi,
            Decoder::RBP => Register::Rbp,
            Decoder::RSP => Register::Rsp,
            Decoder::R8 => Register::R8,
            Decoder::R9 => Register::R9,
            Decoder::R10 => Register::R10,
            Decoder::R11 => Register::R11,
            Decoder::R12 => Register::R12,
            Decoder::R13 => Register::R13,
            Decoder::R14 => Register::R14,
            Decoder::R15 => Register::R15,
            _ => return None,
        })
    }

    /// The number that instructions have for it (Intel SDM volume 2, table 2-2).
    pub fn encoding(self) -> u8 {
        match self {
            Register::Rax => 0,
            Register::Rcx => 1,
            Register::Rdx => 2,
            Register::Rbx => 3,
            Register::Rsp => 4,
            Register::Rbp => 5,
            Register::Rsi => 6,
            Register::Rdi => 7,
            Register::R8 => 8,
            Register::R9 => 9,
            Register::R10 => 10,
            Register::R11 => 11,
            Register::R12 => 12,
            Register::R13 => 13,
            Register::R14 => 14,
            Register::R15 => 15,
        }
    }

    /// A register by the assembler's name of it or of its low part (`rax`, `eax`, `ax`, `al`).
    pub fn from_name(name: &str) -> Option<Register> {
        let numbered = name.strip_suffix(['d', 'w', 'b']).filter(|name| name.starts_with('r'));
        Some(match numbered.unwrap_or(name) {
            "rax" | "eax" | "ax" | "al" => Register::Rax,
            "rbx" | "ebx" | "bx" | "bl" => Register::Rbx,
            "rcx" | "ecx" | "cx" | "cl" => Register::Rcx,
            "rdx" | "edx" | "dx" | "dl" => Register::Rdx,
            "rsi" | "esi" | "si" | "sil" => Register::Rsi,
            "rdi" | "edi" | "di" | "dil" => Register::Rdi,
            "rbp" | "ebp" | "bp" | "bpl" => Register::Rbp,
            "rsp" | "esp" | "sp" | "spl" => Register::Rsp,
            "r8" => Register::R8,
            "r9" => Register::R9,
            "r10" => Register::R10,
            "r11" => Register::R11,
            "r12" => Register::R12,
            "r13" => Register::R13,
            "r14" => Register::R14,
            "r15" => Register::R15,
            _ => return None,
        })
    }
}
