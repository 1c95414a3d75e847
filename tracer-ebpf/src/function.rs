//! How often functions are entered, as the probe of CPython's function probes counts it.

use crate::cookie::Operand;

/// Bytes of a function's name that are kept, with the final NUL.
pub const NAME_BYTES: usize = 64;

/// Bytes of the path of its file that are kept, with the final NUL.
pub const FILE_BYTES: usize = 256;

/// Which function. The texts stand here and not their addresses: memory of code is used again, as that of a module's own
/// code is at once. Behind their end are zeros.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct FunctionKey {
    pub tgid: u32,
    /// Where it is entered or returned, as CPython tells it: 0 or less for none.
    pub line: i32,
    pub name: [u8; NAME_BYTES],
    pub file: [u8; FILE_BYTES],
}

/// What is counted of all functions together, as indices.
pub mod total {
    /// Entries, up to [`crate::limits::COUNTED`].
    pub const COUNTED: usize = 0;
    /// Of these, the ones that found the table of functions full.
    pub const LOST: usize = 1;
    /// How many there are.
    pub const LIMIT: usize = 2;
}

/// Bits of an operand: four for its register, one for whether it is in memory, the others for its displacement.
const OPERAND_BITS: u32 = 20;
const DISPLACEMENT_BITS: u32 = OPERAND_BITS - 5;
const MEMORY: u64 = 1 << 4;

/// Set in every cookie, so that none is [`crate::cookie::PLACEHOLDER`].
const MARK: u64 = 1 << 63;

/// The cookie of a function probe: where the names of the file and of the function are, and the line. `None` where one of them is
/// further from its register than the cookie can say.
pub fn pack(operands: [Operand; 3]) -> Option<u64> {
    let mut cookie = MARK;
    for (index, operand) in (0..).zip(operands) {
        let packed = match operand {
            Operand::None => return None,
            Operand::Register(register) => u64::from(register & 0xf),
            Operand::Memory { base, displacement } => {
                let limit = 1 << (DISPLACEMENT_BITS - 1);
                if !(-limit..limit).contains(&displacement) {
                    return None;
                }
                let displacement = displacement as u64 & ((1 << DISPLACEMENT_BITS) - 1);
                u64::from(base & 0xf) | MEMORY | displacement << 5
            }
        };
        cookie |= packed << (OPERAND_BITS * index);
    }
    Some(cookie)
}

/// One of the three operands that [`pack`] was given, counted from 0.
#[inline(always)]
pub const fn unpack(cookie: u64, index: u32) -> Operand {
    let packed = cookie >> (OPERAND_BITS * index);
    let register = packed as u8 & 0xf;
    if packed & MEMORY == 0 {
        return Operand::Register(register);
    }
    // Shifted up and down again, it has its sign.
    let displacement = ((packed >> 5) as i32) << (32 - DISPLACEMENT_BITS) >> (32 - DISPLACEMENT_BITS);
    Operand::Memory { base: register, displacement }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::PLACEHOLDER;

    #[test]
    fn unpack_gives_what_was_packed() {
        let all = [
            Operand::Register(0),
            Operand::Register(15),
            Operand::Memory { base: 4, displacement: 0 },
            Operand::Memory { base: 5, displacement: -0x4000 },
            Operand::Memory { base: 12, displacement: 0x3fff },
        ];
        for first in all {
            for second in all {
                for third in all {
                    let cookie = pack([first, second, third]).expect("it has room");
                    assert_eq!([0, 1, 2].map(|index| unpack(cookie, index)), [first, second, third]);
                    assert_ne!(cookie, PLACEHOLDER);
                }
            }
        }
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let register = Operand::Register(0);
        for operand in [
            Operand::None,
            Operand::Memory { base: 4, displacement: 0x4000 },
            Operand::Memory { base: 4, displacement: -0x4001 },
        ] {
            assert_eq!(pack([register, operand, register]), None, "{operand:?}");
        }
    }
}
