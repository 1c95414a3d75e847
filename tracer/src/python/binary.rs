//! Where to probe a file that contains CPython. All offsets are file offsets, ready for a uprobe.

use std::fs::File;

use object::{ReadCache, ReadRef};

use super::elf::{Elf, ElfError};
use super::identity::FileId;
use super::methods;
use super::operand::Operand;
use super::points::Points;
use super::version;

/// A point for a uprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Offset of the instruction in the file.
    pub offset: u64,
    /// File offset of the semaphore that enables a USDT point; 0 where there is none.
    pub semaphore: u64,
}

/// What happens at a point of CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `context_run` is entered, maybe in vain; `rdi` is the context, `rsi` points to the callable.
    ContextEnter,
    /// `context_run` has left its context. An ordinary uprobe, once for each enter that succeeded.
    ContextExit,
    /// The context of the operand is being entered by an exported function. The operand need not be in the
    /// argument's register: in Debian's builds it is in `rsi` for `PyContext_Enter(context)`.
    ContextEnterExported,
    /// The context of the operand is being left by an exported function.
    ContextExitExported,
    /// The operand is a new context, a copy, or NULL. Without an operand it is a return probe, and `rax` is that. Up to
    /// CPython 3.11 the function may start a garbage collection; a finaliser that switches greenlets in it would make a
    /// return probe fail, so a process that maps greenlet is at a very small risk there. From 3.12 on nothing runs below
    /// it.
    ContextCopied,
    /// As [`Role::ContextCopied`], of a context that is empty: what was at its address is gone. How the others end is
    /// of no interest, as their addresses are used again by contexts whose beginning is seen.
    ContextMade,
    GcStart,
    GcDone,
    /// The operand points to the module's name, a NUL-terminated string.
    ImportStart,
    ImportDone,
    /// The operand is an item that a thread puts into a `SimpleQueue`.
    QueuePut,
    /// A thread asks a `SimpleQueue` for an item: it is done with what it got before.
    QueueGet,
    /// The operand is the item that it got, or 0; for some calls it is told twice.
    QueueGot,
    /// `Future.set_result` of asyncio: the operand is the context of who waits for it.
    FutureSet,
    /// The operand is a new greenlet.
    GreenletCreated,
    /// The greenlet of the operand is about to be freed.
    GreenletFreed,
    /// A thread turns to the greenlet in the operand's register; the displacement leads from the point to the virtual
    /// table of main greenlets.
    GreenletSwitched,
    /// OpenSSL is called to give plaintext that it received. The operand is where the count goes; none where that is
    /// returned.
    TlsRead,
    /// It has: the operand is what it returned. Without one it is a return probe.
    TlsReadDone,
    /// OpenSSL is called to take plaintext to send.
    TlsWrite,
    /// It has.
    TlsWriteDone,
    /// The TLS session of the operand becomes a client's.
    TlsClient,
    /// The TLS session of the operand goes on with its handshake.
    TlsHandshake,
    /// The TLS session of the operand is about to be freed.
    TlsFreed,
}

impl Role {
    /// Whether it is that a context is left.
    pub fn is_exit(self) -> bool {
        matches!(self, Role::ContextExit | Role::ContextExitExported)
    }
}

/// A point of CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonPoint {
    pub point: Point,
    pub role: Role,
    /// Where the value is that the role speaks of.
    pub operand: Option<Operand>,
    /// No instruction that the kernel emulates would do: in a virtual machine each hit costs 16 to 60 µs.
    pub stepped: bool,
}

impl PythonPoint {
    /// The point at an address of a file; `None` where the file does not hold it.
    pub fn at<'data, R: ReadRef<'data>>(
        elf: &Elf<'data, R>,
        vaddr: u64,
        role: Role,
        operand: Option<Operand>,
        stepped: bool,
    ) -> Option<PythonPoint> {
        let point = Point { offset: elf.file_offset(vaddr)?, semaphore: 0 };
        Some(PythonPoint { point, role, operand, stepped })
    }

    /// Whether the point wants a return probe. None of these functions runs Python code by itself.
    pub fn returns(&self) -> bool {
        match self.role {
            Role::ContextCopied | Role::ContextMade | Role::TlsReadDone | Role::TlsWriteDone => {
                self.operand.is_none()
            }
            _ => false,
        }
    }
}

/// What a file may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Contexts as a whole.
    Contexts,
    /// The end of a step: it then lasts until the thread's next sign.
    ContextExit,
    /// From which context another was copied.
    ContextCopies,
    Gc,
    Imports,
    /// Which futexes are the GIL.
    Gil,
}

/// Something that a file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: Subject,
    /// A clause for the user: what the build has not, and what would have it.
    pub reason: String,
}

/// A file that contains CPython.
#[derive(Clone, Debug)]
pub struct Binary {
    pub identity: FileId,
    /// `3.12.1`, or `3.12` where only that is known.
    pub version: Option<String>,
    pub points: Vec<PythonPoint>,
    /// Virtual address and size in bytes of `_PyRuntime`.
    pub runtime: Option<(u64, u64)>,
    /// Bytes of `PyObject`: 16, or 32 in free-threaded builds.
    pub object_head: u64,
    /// Virtual address of `PyCode_Type`.
    pub code_type: Option<u64>,
    pub missing: Vec<Missing>,
}

/// Why a file cannot be probed as CPython.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("read the file's identity: {0}")]
    Identity(#[source] std::io::Error),
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// None of CPython's symbols is exported by it.
    #[error(
        "the file exports none of CPython's symbols (PyContext_Type, _PyRuntime, PyInterpreterState_Head)"
    )]
    NotPython,
}

/// Finds everything that is probed in a file that contains CPython. Reads only the parts it needs.
pub fn inspect(file: &File) -> Result<Binary, InspectError> {
    let identity = FileId::of(file).map_err(InspectError::Identity)?;
    let cache = ReadCache::new(file);
    examine(identity, &Elf::parse(&cache)?)
}

/// Whether a file exports the symbols of CPython. Reads only its headers and its dynamic symbols.
pub fn is_python(file: &File) -> bool {
    let cache = ReadCache::new(file);
    Elf::parse(&cache).is_ok_and(|elf| exports_python(&elf))
}

pub(super) fn exports_python<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> bool {
    // The last one is for CPython up to 3.6, which has neither of the others.
    ["PyContext_Type", "_PyRuntime", "PyInterpreterState_Head"].iter().any(|name| elf.symbol(name).is_some())
}

pub(super) fn examine<'data, R: ReadRef<'data>>(
    identity: FileId,
    elf: &Elf<'data, R>,
) -> Result<Binary, InspectError> {
    if !exports_python(elf) {
        return Err(InspectError::NotPython);
    }
    let Points { found, mut missing } = Points::of(elf);
    let runtime = elf.symbol("_PyRuntime").filter(|runtime| runtime.size > 0);
    let reason = runtime
        .is_none()
        .then_some("this Python exports no _PyRuntime, which holds the GIL from CPython 3.7 on");
    missing.extend(reason.map(|reason| Missing { what: Subject::Gil, reason: reason.to_owned() }));
    Ok(Binary {
        identity,
        version: version::version(elf),
        points: found,
        runtime: runtime.map(|runtime| (runtime.vaddr, runtime.size)),
        object_head: methods::object_head(elf),
        code_type: elf.symbol("PyCode_Type").map(|code_type| code_type.vaddr),
        missing,
    })
}
