//! Where asyncio's `Future` is given its result (Modules/_asynciomodule.c, 3.8 to 3.15): from then on who waits for it is
//! ready. Locks, queues, semaphores and events of asyncio and anyio end waits by it.

use std::fs::File;

use iced_x86::Register as DecoderRegister;
use object::{ReadCache, ReadRef};

use super::binary::{PythonPoint, Role};
use super::elf::{Elf, ElfError};
use super::methods::method_at;
use super::operand::{Operand, argument};

/// Where a future keeps the context of the first who waits for it, from the end of its `PyObject` (`FutureObj_HEAD`):
/// behind its loop, and what is to be called.
const CONTEXT: u64 = 16;

/// Why a file can't be probed as `_asyncio`.
#[derive(Debug, thiserror::Error)]
pub enum NoFuture {
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error("it has no method `set_result`")]
    Method,
}

/// The points of a library of `_asyncio`, or of an interpreter that it is built into.
pub fn points(file: &File, object_head: u64) -> Result<Vec<PythonPoint>, NoFuture> {
    let cache = ReadCache::new(file);
    find(&Elf::parse(&cache)?, object_head)
}

/// A future's `set_result`, and a task's, which only raises: who waits for a task is not told.
fn find<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    object_head: u64,
) -> Result<Vec<PythonPoint>, NoFuture> {
    let functions = elf.pointers_to("set_result").into_iter().filter_map(|entry| method_at(elf, entry));
    let points: Vec<PythonPoint> = functions
        .filter_map(|function| {
            let (vaddr, register) = argument(elf, function, DecoderRegister::RDI)?;
            let operand = Operand::memory(register, i32::try_from(object_head + CONTEXT).ok()?);
            PythonPoint::at(elf, vaddr, Role::FutureSet, Some(operand), false)
        })
        .collect();
    if points.is_empty() { Err(NoFuture::Method) } else { Ok(points) }
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::libc;
    use super::*;

    #[test]
    fn another_library_is_none() {
        let file = libc();
        assert!(matches!(points(&file, 16), Err(NoFuture::Method)));
    }
}
