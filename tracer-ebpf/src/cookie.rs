//! What the attach cookie of a uprobe says: what the point means, and where its argument is.
//!
//! Bits 0 to 7 are the [`role`], 8 to 15 the form of the operand, 16 to 23 its register, 32 to 63 its
//! displacement.

/// Stands in the programs where user space writes the cookie of the only point that a copy is for, on kernels that give
/// programs none (before 5.15). No cookie: 0x1e is no role.
pub const PLACEHOLDER: u64 = 0x00c0_0c1e;

/// What reaching a point means.
pub mod role {
    /// `context_run(self, args, ...)`: runs the callable `args[0]` in `self`.
    pub const CONTEXT_RUN: u8 = 1;
    /// `PyContext_Enter(context)`: the operand holds the context.
    pub const CONTEXT_ENTER: u8 = 2;
    /// An instruction that `context_run` leaves by; the context is not known there.
    pub const CONTEXT_LEAVE: u8 = 3;
    /// `PyContext_Exit(context)`: the operand holds the context.
    pub const CONTEXT_EXIT: u8 = 4;
    /// A function gives a new context: the operand holds it, or there is none, at its return.
    pub const CONTEXT_COPY: u8 = 5;
    /// The same of an empty context.
    pub const CONTEXT_NEW: u8 = 6;
    /// USDT `gc__start`, `gc__done`.
    pub const GC_START: u8 = 7;
    pub const GC_DONE: u8 = 8;
    /// USDT `import__find__load__start`: the operand holds the address of the module's name.
    pub const IMPORT_START: u8 = 9;
    /// USDT `import__find__load__done`.
    pub const IMPORT_DONE: u8 = 10;
    /// `SimpleQueue.put`: the operand holds the item.
    pub const QUEUE_PUT: u8 = 11;
    /// `SimpleQueue.get` is entered.
    pub const QUEUE_GET: u8 = 12;
    /// It returns: the operand holds the item, or 0.
    pub const QUEUE_GOT: u8 = 13;
    /// The constructor of a greenlet: the operand holds its address.
    pub const GREENLET_NEW: u8 = 14;
    /// A thread turns to the greenlet in the operand's register. The operand's displacement leads from the probed
    /// instruction to the virtual table of main greenlets.
    pub const GREENLET_SWITCH: u8 = 15;
    /// The destructor of a greenlet: the operand holds its address.
    pub const GREENLET_END: u8 = 16;
    /// `Future.set_result` of asyncio: the operand holds the context of who waits for it, or 0.
    pub const FUTURE_SET: u8 = 17;
    /// `SSL_read_ex(ssl, buffer, size, count)` or `SSL_read(ssl, buffer, size)` is called: the operand says where the
    /// count goes, or there is none.
    pub const TLS_READ: u8 = 18;
    /// The same of `SSL_write_ex` and `SSL_write`.
    pub const TLS_WRITE: u8 = 19;
    /// `SSL_set_connect_state`: the operand holds the session, which is a client's.
    pub const TLS_CLIENT: u8 = 20;
    /// `SSL_do_handshake`: the operand holds the session.
    pub const TLS_HANDSHAKE: u8 = 21;
    /// `SSL_free`: the operand holds the session, or 0.
    pub const TLS_FREE: u8 = 22;
    /// What TLS_READ told of has returned: the operand holds the result, or there is none, at its return.
    pub const TLS_READ_DONE: u8 = 23;
    /// The same of TLS_WRITE.
    pub const TLS_WRITE_DONE: u8 = 24;

    /// All of them.
    pub const EVERY_ROLE: [u8; TLS_WRITE_DONE as usize] = {
        let mut roles = [0; TLS_WRITE_DONE as usize];
        let mut index = 0;
        while index < roles.len() {
            roles[index] = index as u8 + 1;
            index += 1;
        }
        roles
    };
}

/// Where the argument of a point is. Registers have the numbers that instructions have
/// for them: on x86-64 from rax 0 to r15 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// There is none, or it is of no interest.
    None,
    Register(u8),
    /// In the eight bytes at `base + displacement`.
    Memory {
        base: u8,
        displacement: i32,
    },
}

const FORM_REGISTER: u64 = 1;
const FORM_MEMORY: u64 = 2;

/// The cookie for a point.
pub const fn pack(role: u8, operand: Operand) -> u64 {
    let operand = match operand {
        Operand::None => 0,
        Operand::Register(register) => FORM_REGISTER << 8 | (register as u64) << 16,
        Operand::Memory { base, displacement } => {
            FORM_MEMORY << 8 | (base as u64) << 16 | (displacement as u32 as u64) << 32
        }
    };
    role as u64 | operand
}

/// What [`pack`] was given. A form that it never makes is read as no operand.
#[inline(always)]
pub const fn unpack(cookie: u64) -> (u8, Operand) {
    let register = (cookie >> 16) as u8;
    let operand = match (cookie >> 8) & 0xff {
        FORM_REGISTER => Operand::Register(register),
        FORM_MEMORY => Operand::Memory { base: register, displacement: (cookie >> 32) as i32 },
        _ => Operand::None,
    };
    (cookie as u8, operand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_gives_what_was_packed() {
        for operand in [
            Operand::None,
            Operand::Register(0),
            Operand::Register(15),
            Operand::Memory { base: 5, displacement: -0x1d8 },
            Operand::Memory { base: 4, displacement: i32::MAX },
            Operand::Memory { base: 12, displacement: i32::MIN },
        ] {
            for role in [role::CONTEXT_RUN, role::IMPORT_START, u8::MAX] {
                assert_eq!(unpack(pack(role, operand)), (role, operand));
            }
        }
    }

    #[test]
    fn a_cookie_of_nobody_has_no_operand() {
        assert_eq!(unpack(0xff00), (0, Operand::None));
    }
}
