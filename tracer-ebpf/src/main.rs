//! The probes. Each first takes the cheapest way out for whatever is not traced, then does bounded work:
//! no loop over data of the traced process but for the frames of a stack and the coroutines of a task, which have a limit,
//! and at most one lookup per map.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod arch;
mod connection;
mod emit;
mod kernel;
mod maps;
mod preemption;
mod probes;
mod stack;
mod stream;
mod task;
mod thread_state;
mod transfer;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The helpers that read memory are only for programs under a licence that the kernel knows as GPL-compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
