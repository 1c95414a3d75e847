//! How often functions are entered, by the function probes of CPython (USDT). Loaded only where that is asked for.

use aya_ebpf::{
    EbpfContext as _, bindings::BPF_NOEXIST, helpers::generated::bpf_probe_read_user_str, macros::uprobe,
    programs::ProbeContext,
};
use tracer_ebpf::{
    cookie::Operand,
    function::{self, FILE_BYTES, FunctionKey, NAME_BYTES, total},
    limits,
};

use super::python::{cookie_of, user_word};
use crate::{
    arch::Registers,
    emit::{Ids, add_one},
    kernel,
    maps::{FUNCTION_TOTALS, FUNCTIONS},
    preemption,
};

/// `function__entry` or `function__return`, with the file's name, the function's and its line. Other processes cost one
/// lookup in TRACED.
///
/// Cost: 495 ns a run, of a loop that calls one function.
#[uprobe]
pub fn python_function(ctx: ProbeContext) -> u32 {
    preemption::disabled(|| entered(ctx));
    0
}

#[inline(never)]
fn entered(ctx: ProbeContext) {
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return;
    }
    let Some(totals) = FUNCTION_TOTALS.get_ptr_mut(0) else { return };
    let totals = totals.cast::<u64>();
    // SAFETY: two counts of the element.
    let (counted, lost) = unsafe { (totals.add(total::COUNTED), totals.add(total::LOST)) };
    // Programs on other CPUs may count a few more.
    // SAFETY: the kernel keeps the element's memory while a program runs; a word can't be torn.
    if unsafe { counted.read_volatile() } >= limits::COUNTED {
        return;
    }
    add_one(counted);
    // SAFETY: the context of a uprobe is what `Registers` is.
    let regs = unsafe { &*ctx.as_ptr().cast::<Registers>() };
    let cookie = cookie_of(&ctx);
    let file = value(regs, function::unpack(cookie, 0));
    let name = value(regs, function::unpack(cookie, 1));
    let line = value(regs, function::unpack(cookie, 2)) as i32;
    let mut key = FunctionKey { tgid: ids.tgid, line, name: [0; NAME_BYTES], file: [0; FILE_BYTES] };
    // What can't be read is left empty.
    // SAFETY: both have the room that is told.
    unsafe {
        bpf_probe_read_user_str((&raw mut key.name).cast(), NAME_BYTES as u32, name as *const _);
        bpf_probe_read_user_str((&raw mut key.file).cast(), FILE_BYTES as u32, file as *const _);
    }
    if let Some(count) = FUNCTIONS.get_ptr_mut(&key) {
        add_one(count);
    } else if FUNCTIONS.insert(&key, 1_u64, BPF_NOEXIST as u64).is_err() {
        // Another CPU may have put it there just now.
        add_one(FUNCTIONS.get_ptr_mut(&key).unwrap_or(lost));
    }
}

#[inline(always)]
fn value(regs: &Registers, operand: Operand) -> u64 {
    match operand {
        Operand::None => 0,
        Operand::Register(register) => regs.read(register),
        Operand::Memory { base, displacement } => {
            user_word(regs.read(base).wrapping_add_signed(i64::from(displacement)))
        }
    }
}
