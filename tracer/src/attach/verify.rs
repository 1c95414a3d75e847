//! What this kernel's verifier says of each program: how far it is from the limit, or why it refuses.

use aya::{Btf, EbpfLoader};
use aya_obj::{ProgramSection, generated::bpf_insn};
use tracer_ebpf::cookie::{self, Operand, role::EVERY_ROLE};

use super::{
    kernel_btf,
    load::{self, LoadError},
    program::Programs,
    sys::{self, ProgramKind, UprobeKind},
    tracepoint,
    uprobe::with_cookie,
};

/// Instructions that the verifier goes through at most, `BPF_COMPLEXITY_LIMIT_INSNS` in include/linux/bpf.h, since 5.2.
pub const LIMIT_INSTRUCTIONS: u32 = 1_000_000;

/// How the reason begins why a program is not even tried.
pub const NOT_NEEDED: &str = "not needed on this kernel";

/// What becomes of a program.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub program: String,
    /// What the verifier found, or why it refuses. Where a copy is loaded for each cookie, what the longest took.
    pub found: Result<Found, String>,
}

/// What the verifier tells of a program that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Those that it went through, those of a loop as often as it took.
    pub instructions: u32,
    /// Stack of the program's first function.
    pub frame_bytes: u32,
}

/// Loads every program of an eBPF object once, and keeps none.
///
/// # Errors
/// As [`load::Probes::load`], where no program could be loaded.
pub fn verdicts(object: &[u8]) -> Result<Vec<Verdict>, LoadError> {
    load::raise_memlock();
    let offsets = kernel_btf::kernel_offsets()?;
    let ebpf = EbpfLoader::new()
        .override_global("OFFSETS", load::bytes_of(&offsets), true)
        .load(object)
        .map_err(load::load_error)?;
    let btf = load::kernel_types()?;
    let programs = Programs::new(object, &ebpf, &btf).map_err(LoadError::Object)?;
    let has_cookies = sys::has_attach_cookies();
    let verdict = |(name, section): (&str, &ProgramSection)| {
        let found = kind_of(name, section, &btf).and_then(|kind| {
            let code = programs.code(name)?;
            match kind {
                ProgramKind::Uprobe(_) if !has_cookies => {
                    let copies = EVERY_ROLE.map(|role| with_cookie(code, cookie::pack(role, LONGEST)));
                    let found: Vec<Found> =
                        copies.iter().map(|copy| verify(name, copy, kind)).collect::<Result<_, _>>()?;
                    found.into_iter().max().ok_or_else(|| "no cookies".to_owned())
                }
                kind => verify(name, code, kind),
            }
        });
        Verdict { program: name.to_owned(), found }
    };
    let mut verdicts: Vec<Verdict> = programs.all().map(verdict).collect();
    verdicts.sort_by(|one, other| one.program.cmp(&other.program));
    Ok(verdicts)
}

/// Any operand in memory: no other takes the verifier longer.
const LONGEST: Operand = Operand::Memory { base: 5, displacement: -8 };

fn verify(name: &str, code: &[bpf_insn], kind: ProgramKind) -> Result<Found, String> {
    let log = sys::verify_program(name, code, kind).map_err(|error| error.to_string())?;
    read(&log).ok_or_else(|| format!("the verifier counts nothing: {}", sys::tail(&log)))
}

fn kind_of(name: &str, section: &ProgramSection, btf: &Btf) -> Result<ProgramKind, String> {
    match section {
        ProgramSection::UProbe { .. } | ProgramSection::URetProbe { .. } => {
            Ok(ProgramKind::Uprobe(UprobeKind::Single))
        }
        ProgramSection::PerfEvent => Ok(ProgramKind::Event),
        ProgramSection::BtfTracePoint => tracepoint::type_id(name, btf).map(ProgramKind::RawTracepoint),
        ProgramSection::TracePoint if tracepoint::raw_is_preemptible() => Ok(ProgramKind::Tracepoint),
        ProgramSection::TracePoint => Err(format!("{NOT_NEEDED}: its raw tracepoint can't be preempted")),
        other => Err(format!("a program of kind {other:?}, which is never loaded")),
    }
}

/// Of the end of a log: `stack depth 0+344`, or from 7.3 on a line `subprog 0 (NAME) main ... stack 0` for each function; and
/// `processed 110 insns (limit 1000000) ...`.
fn read(log: &str) -> Option<Found> {
    let rest = |start: &str| log.lines().rev().find_map(|line| line.strip_prefix(start));
    let first_number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let of_first_function =
        rest("subprog 0 ").and_then(|line| line.rsplit_once(" stack ")).map(|(_, bytes)| bytes);
    Some(Found {
        instructions: first_number(rest("processed ")?)?,
        frame_bytes: first_number(of_first_function.or_else(|| rest("stack depth "))?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_last_lines() {
        let log = |stack: &str| {
            format!(
                "func#0 @0\nverification time 12 usec\n{stack}\nprocessed 110 insns (limit 1000000) x 0\n"
            )
        };
        let found = |frame_bytes| Some(Found { instructions: 110, frame_bytes });
        assert_eq!(read(&log("stack depth 8+344")), found(8));
        assert_eq!(read(&log("stack depth 16")), found(16));
        assert_eq!(read(&log("stack depth 32 max 32\ninsns processed 110")), found(32));
        let functions = "subprog 0 (a) main insns_self 9 insns_total 19 stack 0\nsubprog 1 (b) static insns_self 9 stack 104";
        assert_eq!(read(&log(&format!("stack depth max 112\n{functions}"))), found(0));
        assert_eq!(read("invalid read"), None);
    }
}
