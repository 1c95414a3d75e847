//! Where greenlet (2.0 and newer, which is C++ and exports its functions) is probed: where it makes a greenlet, turns to
//! one, and frees one.
//!
//! `Greenlet::g_switchstack()` is what every switch goes through, also the first one to a greenlet and the last one from
//! it, with the greenlet that is turned to as `this` (src/greenlet/TGreenlet.cpp): in `rsi`, as `rdi` says where the result
//! goes. An ordinary uprobe at its entry is harmless: that runs on the stack that is left.

use std::fs::File;

use iced_x86::Register as DecoderRegister;
use object::{ReadCache, ReadRef};

use super::binary::{PythonPoint, Role};
use super::elf::{Elf, ElfError};
use super::operand::{Operand, argument};

/// `greenlet::Greenlet::g_switchstack()`.
const SWITCH: &str = "_ZN8greenlet8Greenlet13g_switchstackEv";
/// `greenlet::UserGreenlet::UserGreenlet(...)`: the types of its arguments changed their names.
const CONSTRUCTOR: &str = "_ZN8greenlet12UserGreenletC1E";
/// `greenlet::Greenlet::~Greenlet()`.
const DESTRUCTOR: &str = "_ZN8greenlet8GreenletD2Ev";
/// The virtual table of `greenlet::MainGreenlet`. Objects point behind its first two words (Itanium C++ ABI, 2.5.2).
const MAIN: &str = "_ZTVN8greenlet12MainGreenletE";
const TABLE_HEAD: u64 = 16;

/// Why a file can't be probed as greenlet.
#[derive(Debug, thiserror::Error)]
pub enum NoGreenlet {
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error("it does not export {0}, as greenlet 2.0 and newer do")]
    Symbol(&'static str),
    #[error("{0} does not begin as functions do that are probed")]
    Code(&'static str),
}

/// The points of a library of greenlet.
pub fn points(file: &File) -> Result<Vec<PythonPoint>, NoGreenlet> {
    let cache = ReadCache::new(file);
    find(&Elf::parse(&cache)?)
}

fn find<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Vec<PythonPoint>, NoGreenlet> {
    let main = elf.symbol(MAIN).ok_or(NoGreenlet::Symbol(MAIN))?.vaddr.wrapping_add(TABLE_HEAD);
    let mut found = Vec::new();
    for (name, role, this) in [
        (SWITCH, Role::GreenletSwitched, DecoderRegister::RSI),
        (CONSTRUCTOR, Role::GreenletCreated, DecoderRegister::RDI),
        (DESTRUCTOR, Role::GreenletFreed, DecoderRegister::RDI),
    ] {
        let function = elf.symbol_that_begins(name).ok_or(NoGreenlet::Symbol(name))?;
        let (vaddr, register) = argument(elf, function.vaddr, this).ok_or(NoGreenlet::Code(name))?;
        let operand = match role {
            Role::GreenletSwitched => {
                let distance = i32::try_from(main.wrapping_sub(vaddr) as i64);
                Operand::memory(register, distance.map_err(|_| NoGreenlet::Code(name))?)
            }
            _ => Operand::pointer(register),
        };
        let point = PythonPoint::at(elf, vaddr, role, Some(operand), false);
        found.push(point.ok_or(NoGreenlet::Code(name))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::libc;
    use super::*;

    #[test]
    fn another_library_is_none() {
        let file = libc();
        assert!(matches!(points(&file), Err(NoGreenlet::Symbol(MAIN))));
    }
}
