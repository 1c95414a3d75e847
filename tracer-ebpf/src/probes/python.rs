//! Points in CPython and in the libraries beside it. What a point means is in its cookie, so one program serves them all.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{bpf_get_attach_cookie, bpf_probe_read_user_str},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use tracer_ebpf::{
    cookie::{self, Operand, role},
    event::{Context, Greenlet, Header, Import, Queued, kind},
    limits::MODULE_BYTES,
};

use crate::{
    arch::Registers,
    connection::now_ns,
    emit::{Ids, count_drop, emit, header, wake_flags},
    kernel,
    maps::EVENTS,
    preemption,
    probes::tls,
    stack, task, thread_state,
};

/// Any point that is an instruction: CONTEXT_ENTER, CONTEXT_EXIT, CONTEXT_READY, GC_START, GC_DONE, IMPORT_START,
/// IMPORT_DONE, QUEUE_PUT, QUEUE_GET, QUEUE_GOT, and of greenlets CONTEXT_COPY, CONTEXT_END and GREENLET_SWITCH, by
/// cookie; each behind CONTEXT_CURRENT where that is due. TLS_START and TLS_END, which are of no context. Other processes
/// cost one lookup in TRACED.
///
/// Cost: 318 ns a run.
#[uprobe]
pub fn python_entry(ctx: ProbeContext) -> u32 {
    preemption::disabled(|| reached(ctx));
    0
}

#[inline(never)]
fn reached(ctx: ProbeContext) {
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return;
    }
    // SAFETY: the context of a uprobe is what `Registers` is.
    let regs = unsafe { &*ctx.as_ptr().cast::<Registers>() };
    let (role, operand) = cookie::unpack(cookie_of(&ctx));
    if matches!(role, role::CONTEXT_RUN | role::CONTEXT_ENTER) {
        let (address, callable) = match role {
            role::CONTEXT_RUN => (regs.argument(0), user_word(regs.argument(1))),
            _ => (value(regs, operand), 0),
        };
        if thread_state::enters_context(address, ids) {
            emit(kind::CONTEXT_ENTER, now_ns(), ids, Context { address, callable });
        }
        return;
    }
    match role {
        role::TLS_READ | role::TLS_WRITE => {
            tls::called(role, regs, value(regs, operand), ids);
            return;
        }
        role::TLS_READ_DONE | role::TLS_WRITE_DONE => {
            tls::returned(role, value(regs, operand) as i32, ids);
            return;
        }
        role::TLS_CLIENT => {
            tls::is_client(value(regs, operand), ids);
            return;
        }
        role::TLS_HANDSHAKE => {
            tls::shakes_hands(value(regs, operand), ids);
            return;
        }
        role::TLS_FREE => {
            tls::ends(value(regs, operand), ids);
            return;
        }
        _ => {}
    }
    thread_state::tell_context(ids);
    let now_ns = now_ns();
    let context = |kind, address, callable| emit(kind, now_ns, ids, Context { address, callable });
    match role {
        role::CONTEXT_LEAVE => context(kind::CONTEXT_EXIT, 0, 0),
        role::CONTEXT_COPY => context_told(kind::CONTEXT_COPY, value(regs, operand), now_ns, ids),
        role::CONTEXT_NEW => context_told(kind::CONTEXT_END, value(regs, operand), now_ns, ids),
        role::CONTEXT_EXIT => context(kind::CONTEXT_EXIT, value(regs, operand), 0),
        role::GC_START => emit(kind::GC_START, now_ns, ids, ()),
        role::GC_DONE => emit(kind::GC_DONE, now_ns, ids, ()),
        role::IMPORT_START => import_start(value(regs, operand), now_ns, ids),
        role::IMPORT_DONE => emit(kind::IMPORT_DONE, now_ns, ids, ()),
        role::QUEUE_PUT => emit(kind::QUEUE_PUT, now_ns, ids, Queued { item: value(regs, operand) }),
        role::QUEUE_GET => emit(kind::QUEUE_GET, now_ns, ids, ()),
        role::QUEUE_GOT => queue_got(value(regs, operand), now_ns, ids),
        role::FUTURE_SET => future_set(regs, operand, now_ns, ids),
        role::GREENLET_NEW => greenlet_new(value(regs, operand), now_ns, ids),
        role::GREENLET_END => context(kind::CONTEXT_END, value(regs, operand), 0),
        role::GREENLET_SWITCH => emit(kind::GREENLET_SWITCH, now_ns, ids, greenlet(regs, operand)),
        _ => {}
    }
}

/// Return of a function that gives a new context: CONTEXT_COPY, or CONTEXT_END of what was at the address of an empty
/// one, by cookie. Return of OpenSSL: PLAIN. Other processes cost one lookup in TRACED.
///
/// Cost: 254 ns a run.
#[uretprobe]
pub fn python_return(ctx: RetProbeContext) -> u32 {
    preemption::disabled(|| returned(ctx));
    0
}

#[inline(never)]
fn returned(ctx: RetProbeContext) {
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return;
    }
    let (role, _) = cookie::unpack(cookie_of(&ctx));
    if matches!(role, role::TLS_READ_DONE | role::TLS_WRITE_DONE) {
        tls::returned(role, ctx.ret(), ids);
        return;
    }
    let address: u64 = ctx.ret();
    thread_state::tell_context(ids);
    let kind = if role == role::CONTEXT_NEW { kind::CONTEXT_END } else { kind::CONTEXT_COPY };
    context_told(kind, address, now_ns(), ids);
}

#[inline(always)]
pub(super) fn cookie_of(ctx: &impl EbpfContext) -> u64 {
    let mut written: u64;
    // SAFETY: loads a constant into the register that it is given. Assembly, because the compiler may not take the constant
    // for the one that user space finds there.
    unsafe {
        core::arch::asm!("{0} = {1} ll", out(reg) written, const cookie::PLACEHOLDER, options(pure, nomem));
    }
    if written != cookie::PLACEHOLDER {
        return written;
    }
    // SAFETY: the context is the program's own.
    unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }
}

/// NULL is an exception, or that nobody waits.
#[inline(always)]
fn context_told(kind: u32, address: u64, now_ns: u64, ids: Ids) {
    if address != 0 {
        emit(kind, now_ns, ids, Context { address, callable: 0 });
    }
}

/// CONTEXT_READY, with the function that sets the result, where somebody waits for it; before it AWAITED.
#[inline(always)]
fn future_set(regs: &Registers, operand: Operand, now_ns: u64, ids: Ids) {
    let Operand::Memory { base, displacement } = operand else { return };
    let place = regs.numbered(base).wrapping_add_signed(i64::from(displacement));
    let address = user_word(place);
    if address == 0 {
        return;
    }
    let layout = stack::layout(ids.tgid);
    if let Some(layout) = layout
        && thread_state::may_tell_awaited(ids.tid, now_ns, layout)
    {
        task::emit_awaited(place, layout, now_ns, ids);
    }
    let code = layout.and_then(|layout| stack::innermost(ids, layout));
    emit(kind::CONTEXT_READY, now_ns, ids, Context { address, callable: code.unwrap_or(0) });
}

/// NULL is an exception, or that there was nothing.
#[inline(always)]
fn queue_got(item: u64, now_ns: u64, ids: Ids) {
    if item != 0 {
        emit(kind::QUEUE_GOT, now_ns, ids, Queued { item });
    }
}

/// CREATING, then CONTEXT_COPY: who makes a greenlet is who copies a context.
#[inline(always)]
fn greenlet_new(address: u64, now_ns: u64, ids: Ids) {
    if let Some(layout) = stack::layout(ids.tgid) {
        // Without a stack, whoever makes it is taken to make it for itself.
        let _ = stack::emit_few(kind::CREATING, now_ns, ids, layout);
    }
    emit(kind::CONTEXT_COPY, now_ns, ids, Context { address, callable: 0 });
}

/// A main greenlet is told by the virtual table that its object begins with.
#[inline(always)]
fn greenlet(regs: &Registers, operand: Operand) -> Greenlet {
    let Operand::Memory { base, displacement } = operand else { return Greenlet { address: 0 } };
    let address = regs.numbered(base);
    let main = regs.instruction().wrapping_add_signed(i64::from(displacement));
    Greenlet { address: if user_word(address) == main { 0 } else { address } }
}

/// The name is cut at [`MODULE_BYTES`]; where it can't be read it is empty.
#[inline(always)]
fn import_start(name: u64, ts_ns: u64, ids: Ids) {
    #[repr(C)]
    struct Event {
        header: Header,
        body: Import,
        name: [u8; MODULE_BYTES],
    }
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else { return count_drop(kind::IMPORT_START) };
    let place = entry.as_mut_ptr();
    // SAFETY: `place` is the reserved event, whose `name` has that room.
    unsafe {
        let target = (&raw mut (*place).name).cast();
        let read = bpf_probe_read_user_str(target, MODULE_BYTES as u32, name as *const core::ffi::c_void);
        // The count includes the final NUL.
        let copied = if read > 0 { read as u32 - 1 } else { 0 };
        (&raw mut (*place).header).write(header(kind::IMPORT_START, ts_ns, ids));
        (&raw mut (*place).body).write(Import { copied, reserved: 0 });
    }
    entry.submit(wake_flags(ts_ns));
}

#[inline(always)]
fn value(regs: &Registers, operand: Operand) -> u64 {
    match operand {
        Operand::None => 0,
        Operand::Register(register) => regs.numbered(register),
        Operand::Memory { base, displacement } => {
            user_word(regs.numbered(base).wrapping_add_signed(i64::from(displacement)))
        }
    }
}

/// Eight bytes of user memory; 0 where they can't be read.
#[inline(always)]
pub(super) fn user_word(address: u64) -> u64 {
    stack::word(address, 0).unwrap_or(0)
}
