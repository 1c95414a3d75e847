//! Where `_queue.SimpleQueue`, which hands work to the threads of a pool, is probed (Modules/_queuemodule.c, 3.8 to
//! 3.15).
//!
//! It is in a library of its own, or built into the interpreter. No symbol names its functions; the table of its
//! methods does.

use std::fs::File;

use iced_x86::Register as DecoderRegister;
use object::{ReadCache, ReadRef};

use super::binary::{PythonPoint, Role};
use super::elf::{Elf, ElfError};
use super::flow;
use super::methods::method_at;
use super::operand::{Operand, Register, argument};

const PUTS: [&str; 2] = ["put", "put_nowait"];
/// Both return the item, or NULL.
const GETS: [&str; 2] = ["get", "get_nowait"];

/// Why a file can't be probed as `_queue`.
#[derive(Debug, thiserror::Error)]
pub enum NoQueue {
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error("it has no method `{0}` of SimpleQueue")]
    Method(&'static str),
}

/// The points of a library of `_queue`.
pub fn points(file: &File) -> Result<Vec<PythonPoint>, NoQueue> {
    let cache = ReadCache::new(file);
    let elf = Elf::parse(&cache)?;
    find(&elf, &table(&elf))
}

/// The points of gevent's library of queues, all of which hand work to its greenlets.
pub fn greenlet_points(file: &File) -> Result<Vec<PythonPoint>, NoQueue> {
    let cache = ReadCache::new(file);
    let elf = Elf::parse(&cache)?;
    let named = PUTS.into_iter().chain(GETS).map(|name| (name, elf.pointers_to(name)));
    let methods: Vec<(&str, Method)> = named
        .flat_map(|(name, slots)| slots.into_iter().map(move |slot| (name, slot)))
        .filter_map(|(name, slot)| Some((name, Method::at(&elf, slot)?)))
        .collect();
    find(&elf, &methods)
}

fn find<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    methods: &[(&'static str, Method)],
) -> Result<Vec<PythonPoint>, NoQueue> {
    let mut found: Vec<PythonPoint> = Vec::new();
    let mut add = |vaddr: u64, role, operand, stepped| {
        let Some(point) = PythonPoint::at(elf, vaddr, role, operand, stepped) else { return };
        // The methods share code.
        if !found.contains(&point) {
            found.push(point);
        }
    };
    let named = |name| {
        let mut named =
            methods.iter().filter(move |(of, _)| *of == name).map(|(_, method)| *method).peekable();
        named.peek().is_some().then_some(named).ok_or(NoQueue::Method(name))
    };
    for name in PUTS {
        for Method { function, item_at, .. } in named(name)? {
            let emulated = argument(elf, function, DecoderRegister::RSI);
            let (vaddr, register) = emulated.unwrap_or((function, Register::Rsi));
            let item = Operand { displacement: item_at, ..Operand::pointer(register) };
            add(vaddr, Role::QueuePut, Some(item), emulated.is_none());
        }
    }
    for name in GETS {
        for Method { function, .. } in named(name)? {
            let emulated = argument(elf, function, DecoderRegister::RDI).map(|(vaddr, _)| vaddr);
            add(emulated.unwrap_or(function), Role::QueueGet, None, emulated.is_none());
            for vaddr in flow::returns(elf, function) {
                add(vaddr, Role::QueueGot, Some(Operand::pointer(Register::Rax)), true);
            }
        }
    }
    Ok(found)
}

/// The methods of the queue, wherever their table is: other types have a `get` too, but no `put_nowait`.
fn table<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Vec<(&'static str, Method)> {
    let is = |name: &str, value: u64| elf.string(value) == Some(name.as_bytes());
    let methods = |of: u64| {
        let entries = (0..2 * METHODS).map(|index| of.wrapping_add(index * METHOD_SIZE));
        let entries = entries.map(|slot| slot.wrapping_sub(METHODS * METHOD_SIZE));
        let named = entries.filter_map(|slot| {
            let value = elf.pointer(slot)?;
            let name = PUTS.into_iter().chain(GETS).find(|name| is(name, value))?;
            Some((name, Method::at(elf, slot)?))
        });
        named.collect::<Vec<_>>()
    };
    let tables = elf.pointers_to("put_nowait").into_iter().map(methods);
    tables.max_by_key(Vec::len).unwrap_or_default()
}

/// A method of a queue.
#[derive(Clone, Copy, Debug)]
struct Method {
    function: u64,
    /// Where its first argument is, from what `rsi` holds: that itself, or in an array, or in a tuple.
    item_at: Option<i32>,
}

impl Method {
    /// What the entry of a method table at `slot` says; `None` where there is none.
    fn at<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, slot: u64) -> Option<Method> {
        let function = method_at(elf, slot)?;
        let flags: [u8; 4] = elf.bytes(slot.checked_add(16)?, 4)?.try_into().ok()?;
        let item_at = match u32::from_le_bytes(flags) {
            flags if flags & METH_FASTCALL != 0 => Some(0),
            flags if flags & METH_O != 0 => None,
            _ => Some(TUPLE_ITEMS),
        };
        Some(Method { function, item_at })
    }
}

/// `PyMethodDef` (Include/methodobject.h): name, function, flags, doc.
const METHOD_SIZE: u64 = 32;
/// More than the queue has.
const METHODS: u64 = 8;

/// How a method takes its arguments (Include/methodobject.h): as an array, or a single one; else as a tuple.
const METH_FASTCALL: u32 = 0x80;
const METH_O: u32 = 0x8;

/// `PyTupleObject.ob_item` (Include/cpython/tupleobject.h).
const TUPLE_ITEMS: i32 = 24;

#[cfg(test)]
mod tests {
    use super::super::elf::tests::libc;
    use super::*;

    #[test]
    fn another_library_is_none() {
        let file = libc();
        assert!(matches!(points(&file), Err(NoQueue::Method("put"))));
    }
}
