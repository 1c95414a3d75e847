//! The programs of uprobes: loaded in the best way that this kernel has to attach them.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use aya_obj::generated::bpf_insn;
use tracer_ebpf::cookie;

use super::{
    program::Programs,
    sys::{self, ProgramKind, UprobeKind},
};

/// Names of programs, as in the eBPF object.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    entry: &'static str,
    /// For returns of functions, where any are probed.
    exit: Option<&'static str>,
}

/// The programs of points in CPython and in libraries.
pub const POINTS: Names = Names { entry: "python_entry", exit: Some("python_return") };

/// The program of CPython's function probes.
pub const FUNCTIONS: Names = Names { entry: "python_function", exit: None };

impl Names {
    fn of(self, returns: bool) -> &'static str {
        self.exit.filter(|_| returns).unwrap_or(self.entry)
    }
}

/// Opcode of an instruction that loads eight bytes, the upper four of which stand in the one behind it
/// (include/uapi/linux/bpf.h, `BPF_LD | BPF_DW | BPF_IMM`).
const LOAD_CONSTANT: u8 = 0x18;

/// How points are attached, the best way first.
#[derive(Debug)]
pub enum Way {
    /// One link for all points of a file, 6.6 and later.
    Multi(Pair),
    /// A perf event for each point, to which the kernel gives a cookie, 5.15 and later.
    Single(Pair),
    /// A perf event for each point, and a program for each cookie.
    Copies(Box<Copies>),
}

/// A program for instructions, and one for returns of functions.
#[derive(Debug)]
pub struct Pair {
    entry: OwnedFd,
    exit: Option<OwnedFd>,
}

impl Pair {
    fn load(programs: &Programs, names: Names, kind: UprobeKind) -> Result<Pair, String> {
        let load = |name: &str| {
            sys::load_program(name, programs.code(name)?, ProgramKind::Uprobe(kind))
                .map_err(|error| format!("loading program `{name}`: {error}"))
        };
        Ok(Pair { entry: load(names.entry)?, exit: names.exit.map(load).transpose()? })
    }

    pub fn of(&self, returns: bool) -> &OwnedFd {
        self.exit.as_ref().filter(|_| returns).unwrap_or(&self.entry)
    }
}

impl Way {
    /// Loads the programs. The error is a clause for the user.
    pub fn choose(programs: Programs, names: Names) -> Result<Way, String> {
        if !sys::has_attach_cookies() {
            return Copies::new(programs, names).map(|copies| Way::Copies(Box::new(copies)));
        }
        if let Ok(pair) = Pair::load(&programs, names, UprobeKind::Multi)
            && sys::has_uprobe_multi(&pair.entry)
        {
            return Ok(Way::Multi(pair));
        }
        Pair::load(&programs, names, UprobeKind::Single).map(Way::Single)
    }
}

/// Programs into which a cookie is written: the verifier leaves of each what that cookie is for, so that all together take
/// it about as long as the one that they come from.
#[derive(Debug)]
pub struct Copies {
    programs: Programs,
    names: Names,
    /// By whether it is for returns, and the cookie.
    loaded: Mutex<HashMap<(bool, u64), Arc<OwnedFd>>>,
}

impl Copies {
    /// Fails where the kernel takes not even a program for the simplest of points.
    fn new(programs: Programs, names: Names) -> Result<Copies, String> {
        let copies = Copies { programs, names, loaded: Mutex::default() };
        let cookie = cookie::pack(cookie::role::GC_START, cookie::Operand::None);
        copies.of(false, cookie).map_err(|error| format!("loading program `{}`: {error}", names.entry))?;
        Ok(copies)
    }

    /// The program for a cookie, loaded when it is first asked for.
    pub fn of(&self, returns: bool, cookie: u64) -> io::Result<Arc<OwnedFd>> {
        // What a thread that panicked left is whole: an entry is put there at once.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = loaded.get(&(returns, cookie)) {
            return Ok(Arc::clone(program));
        }
        let name = self.names.of(returns);
        let code = self.programs.code(name).map_err(io::Error::other)?;
        let program =
            sys::load_program(name, &with_cookie(code, cookie), ProgramKind::Uprobe(UprobeKind::Single))?;
        let program = Arc::new(program);
        loaded.insert((returns, cookie), Arc::clone(&program));
        Ok(program)
    }
}

/// The code with the cookie in place of [`cookie::PLACEHOLDER`].
pub(super) fn with_cookie(code: &[bpf_insn], cookie: u64) -> Vec<bpf_insn> {
    let mut code = code.to_vec();
    for index in 1..code.len() {
        let [first, second] = &mut code[index - 1..=index] else { continue };
        if first.code == LOAD_CONSTANT && first.imm as u32 as u64 == cookie::PLACEHOLDER && second.imm == 0 {
            (first.imm, second.imm) = (cookie as i32, (cookie >> 32) as i32);
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_takes_the_place_of_its_placeholder_alone() {
        let instruction = |code, imm| bpf_insn { imm, ..sys::instruction(code) };
        let placeholder = cookie::PLACEHOLDER as i32;
        let code = [
            instruction(0xb7, placeholder),
            instruction(LOAD_CONSTANT, placeholder),
            instruction(0, 0),
            instruction(LOAD_CONSTANT, placeholder),
            instruction(0, 7),
        ];
        let written: Vec<i32> =
            with_cookie(&code, 0x1122_3344_5566_7788).iter().map(|instruction| instruction.imm).collect();
        assert_eq!(written, [placeholder, 0x5566_7788, 0x1122_3344, placeholder, 7]);
    }
}
