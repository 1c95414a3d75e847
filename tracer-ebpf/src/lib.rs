//! The contract between the probes and user space: the events they write, the limits both keep, and
//! what both have to take alike.
//!
//! Everything here is `#[repr(C)]` with explicit padding and without `Option`, `bool` or `enum`
//! fields, so that the BPF target and the host agree on every byte.
#![no_std]

pub mod cookie;
pub mod event;
pub mod function;
pub mod http2;
pub mod kfunc;
pub mod limits;
pub mod settings;
