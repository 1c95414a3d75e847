//! Points of CPython as uprobes.

use tracer_ebpf::cookie;

use crate::{
    attach::link::UprobePoint,
    python::{
        binary::{PythonPoint, Role},
        operand::Operand,
    },
};

/// The bucket that is unknown without a point.
pub fn bucket_of(role: Role) -> Option<&'static str> {
    match role {
        Role::GcStart | Role::GcDone => Some("python.gc"),
        Role::ImportStart | Role::ImportDone => Some("python.import"),
        Role::QueuePut | Role::QueueGet | Role::QueueGot => Some("wait.executor"),
        _ => Some("wait.loop"),
    }
}

/// What the kernel is to attach for a point.
pub fn uprobe_point(point: &PythonPoint) -> UprobePoint {
    use cookie::role;
    let role = match point.role {
        Role::ContextEnter => role::CONTEXT_RUN,
        Role::ContextExit => role::CONTEXT_LEAVE,
        Role::ContextEnterExported => role::CONTEXT_ENTER,
        Role::ContextExitExported => role::CONTEXT_EXIT,
        Role::ContextCopied => role::CONTEXT_COPY,
        Role::ContextMade => role::CONTEXT_NEW,
        Role::GreenletFreed => role::GREENLET_END,
        Role::GcStart => role::GC_START,
        Role::GcDone => role::GC_DONE,
        Role::ImportStart => role::IMPORT_START,
        Role::ImportDone => role::IMPORT_DONE,
        Role::QueuePut => role::QUEUE_PUT,
        Role::QueueGet => role::QUEUE_GET,
        Role::QueueGot => role::QUEUE_GOT,
        Role::FutureSet => role::FUTURE_SET,
        Role::GreenletCreated => role::GREENLET_NEW,
        Role::GreenletSwitched => role::GREENLET_SWITCH,
        Role::TlsRead => role::TLS_READ,
        Role::TlsReadDone => role::TLS_READ_DONE,
        Role::TlsWrite => role::TLS_WRITE,
        Role::TlsWriteDone => role::TLS_WRITE_DONE,
        Role::TlsClient => role::TLS_CLIENT,
        Role::TlsHandshake => role::TLS_HANDSHAKE,
        Role::TlsFreed => role::TLS_FREE,
    };
    UprobePoint {
        offset: point.point.offset,
        semaphore: point.point.semaphore,
        cookie: cookie::pack(role, point.operand.map_or(cookie::Operand::None, packed)),
        returns: point.returns(),
    }
}

/// An operand as cookies tell it.
pub fn packed(operand: Operand) -> cookie::Operand {
    let register = operand.register.encoding();
    match operand.displacement {
        None => cookie::Operand::Register(register),
        Some(displacement) => cookie::Operand::Memory { base: register, displacement },
    }
}
