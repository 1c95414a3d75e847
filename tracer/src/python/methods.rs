//! Static functions of `Context`, found through the exported `PyContext_Type`.

use object::ReadRef;

use super::elf::Elf;

/// Addresses of the functions behind `contextvars.Context`, none of which is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextType {
    /// `context_run(self, args, nargs, kwnames)`.
    pub run: u64,
    /// `Context.copy`.
    pub copy: u64,
    /// `context_tp_new(type, args, kwargs)`.
    pub new: u64,
}

/// Why the functions were not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoContextType {
    #[error("this Python exports no PyContext_Type: contextvars came with CPython 3.7")]
    NotExported,
    #[error(
        "PyContext_Type of this Python, at {vaddr:#x}, has no method table with `run` and `copy` where \
         CPython 3.7 to 3.15 keep it"
    )]
    UnknownLayout { vaddr: u64 },
}

/// Offsets in `PyTypeObject` (Include/cpython/object.h) of `tp_new` and `tp_methods`: the object header
/// is 24 bytes with the GIL and 40 without (3.13t).
const LAYOUTS: [(u64, u64); 2] = [(312, 232), (328, 248)];

/// Bytes of `PyObject` (Include/object.h), which is a word less than the header of a type, in the same order.
const OBJECT_HEADS: [u64; 2] = [16, 32];

/// `PyMethodDef` (Include/methodobject.h): name, function, flags, doc.
const METHOD_SIZE: u64 = 32;
/// The largest table of the types we look at has 8 methods.
const METHODS_LIMIT: u64 = 64;

/// Finds the functions of `Context`. The layout is the one whose method table names them.
pub fn context_type<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<ContextType, NoContextType> {
    let vaddr = elf.symbol("PyContext_Type").ok_or(NoContextType::NotExported)?.vaddr;
    LAYOUTS
        .iter()
        .find_map(|&(new, methods)| {
            let table = elf.pointer(vaddr.checked_add(methods)?)?;
            Some(ContextType {
                run: method(elf, table, "run")?,
                copy: method(elf, table, "copy")?,
                new: elf.pointer(vaddr.checked_add(new)?).filter(|&function| elf.is_code(function))?,
            })
        })
        .ok_or(NoContextType::UnknownLayout { vaddr })
}

/// Bytes of `PyObject`; 16 where that does not show.
pub fn object_head<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> u64 {
    let vaddr = elf.symbol("PyContext_Type").map_or(0, |symbol| symbol.vaddr);
    let has_methods = |&(_, methods): &(u64, u64)| {
        let table = vaddr.checked_add(methods).and_then(|slot| elf.pointer(slot));
        table.is_some_and(|table| method(elf, table, "run").is_some())
    };
    let layout = LAYOUTS.iter().position(has_methods).unwrap_or(0);
    OBJECT_HEADS[layout]
}

/// The function of a method in the `PyMethodDef` table at `table`.
pub fn method<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, table: u64, name: &str) -> Option<u64> {
    for index in 0..METHODS_LIMIT {
        let entry = table.checked_add(index * METHOD_SIZE)?;
        // The entry without a name ends the table.
        let found = elf.string(elf.pointer(entry).filter(|&name| name != 0)?)?;
        if found == name.as_bytes() {
            return method_at(elf, entry);
        }
    }
    None
}

/// The function of an entry of a method table.
pub fn method_at<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, entry: u64) -> Option<u64> {
    elf.pointer(entry.checked_add(8)?).filter(|&function| elf.is_code(function))
}
