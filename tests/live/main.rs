//! Real applications under real probes, held against their own truth. Run by `cargo xtask test live`, as root.

mod adversity;
mod application;
mod attempts;
mod builds;
mod callers;
mod containers;
mod diff;
mod disks;
mod faults;
mod functions;
mod matrix;
mod otlp;
mod pace;
mod page;
mod privacy;
mod prometheus;
mod receivers;
mod safety;
mod sdks;
mod sealed;
mod serve;
mod survival;
mod top;
mod troubles;
mod truth;
mod waits;
