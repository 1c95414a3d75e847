//! Prints what this kernel's verifier says of each program of an eBPF object, one a line, `NAME INSTRUCTIONS FRAME_BYTES` or
//! `NAME refused: WHY`; as root: `verifier OBJECT`.

use std::{env, fs};

use anyhow::Context as _;
use tracer::attach::verify;

fn main() -> anyhow::Result<()> {
    let path = env::args_os().nth(1).context("usage: verifier OBJECT")?;
    for verdict in verify::verdicts(&fs::read(path)?)? {
        match verdict.found {
            Ok(found) => println!("{} {} {}", verdict.program, found.instructions, found.frame_bytes),
            Err(reason) => println!("{} refused: {reason}", verdict.program),
        }
    }
    Ok(())
}
