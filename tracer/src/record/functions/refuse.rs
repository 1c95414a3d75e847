//! What can't count functions at all, told before anything is traced.

use std::ffi::OsStr;

use anyhow::anyhow;

use crate::{
    cli::RecordOptions,
    hint::Hint as _,
    python::{functions, process, program},
    report::{counts::Uncounted, types::Report},
};

/// What to do about a Python that can't tell its functions.
const HINT: &str = "record without --functions: samples tell where the time of functions goes on every Python; \
                        to count them, run Debian's Python or another one built --with-dtrace, of 3.8 to 3.11 or of 3.15";

/// Fails where functions are to be counted and nothing that is to be traced can tell them.
pub fn refuse(options: &RecordOptions) -> anyhow::Result<()> {
    let reason = match options.command.first() {
        Some(program) => of_command(program),
        None => of_processes(&options.pids),
    };
    match reason {
        Some(reason) => Err(anyhow!("functions can't be counted: {reason}")).hint(HINT),
        None => Ok(()),
    }
}

/// Fails where functions were to be counted, and none could be.
pub fn fail_where_none_told(report: &Report) -> anyhow::Result<()> {
    let Some(counts) = report.function_counts.as_ref().filter(|counts| counts.counted_ns.is_none()) else {
        return Ok(());
    };
    match counts.uncounted.first() {
        Some(Uncounted { pid, reason }) => {
            Err(anyhow!("functions were not counted: process {pid}: {reason}")).hint(HINT)
        }
        None => Err(anyhow!("functions were not counted: no Python ran"))
            .hint("record for longer, with -d, or the Python that is meant, with -p"),
    }
}

/// Why a command can't tell; `None` where it can, or that is not known.
fn of_command(program: &OsStr) -> Option<String> {
    let (path, file) = program::interpreter(program)?;
    functions::find(&file).err().map(|reason| format!("{}: {reason}", path.display()))
}

/// Why none of the processes can tell; `None` where one can, or may run a Python that can.
fn of_processes(pids: &[u32]) -> Option<String> {
    let reasons: Option<Vec<String>> = pids.iter().map(|&pid| of_process(pid)).collect();
    reasons.filter(|reasons| !reasons.is_empty()).map(|reasons| reasons.join("; "))
}

fn of_process(pid: u32) -> Option<String> {
    let process = process::inspect(pid).ok()??;
    let mut reasons = Vec::new();
    for mapped in &process.binaries {
        reasons.push(functions::find(&mapped.file).err()?);
    }
    reasons.first().map(|reason| format!("process {pid}: {reason}"))
}
