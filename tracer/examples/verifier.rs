//! Prints what this kernel's verifier says of each program of an eBPF object, one a line, `NAME COUNT` or
//! `NAME refused: WHY`; as root: `verifier OBJECT`.

use std::{env, fs};

use anyhow::Context as _;
use tracer::attach::verify;

fn main() -> anyhow::Result<()> {
    let path = env::args_os().nth(1).context("usage: verifier OBJECT")?;
    for verdict in verify::verdicts(&fs::read(path)?)? {
        match verdict.instructions {
            Ok(count) => println!("{} {count}", verdict.program),
            Err(reason) => println!("{} refused: {reason}", verdict.program),
        }
    }
    Ok(())
}
