//! Which points of CPython are probed, and where they are in a file.
//!
//! Held against live programs on 3.8, 3.9, 3.12, 3.13 and on Debian's 3.11, 3.13, 3.14 and 3.15: 220 calls of
//! `Context.run`, of which 210 succeed in entering, gave 220 enters and 210 exits on each, and every copy and
//! end. uvloop, and asyncio with eager tasks (also on 3.15), gave as many exits as enters. Greenlets that
//! leave `Context.run` in another order than they entered it run on unharmed.

use iced_x86::Register as DecoderRegister;
use object::ReadRef;

use super::binary::{Missing, PythonPoint, Role, Subject};
use super::elf::Elf;
use super::operand::{self, Operand, Register};
use super::result::result_points;
use super::x86::{argument_point, return_point};
use super::{flow, methods, usdt};

/// What was found, and what was not.
#[derive(Debug, Default)]
pub struct Points {
    pub found: Vec<PythonPoint>,
    pub missing: Vec<Missing>,
}

impl Points {
    /// All points of a file that contains CPython.
    pub fn of<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Points {
        let mut points = Points::default();
        points.add_contexts(elf);
        points.add_usdt(elf);
        points
    }

    fn add_contexts<'data, R: ReadRef<'data>>(&mut self, elf: &Elf<'data, R>) {
        let context = match methods::context_type(elf) {
            Ok(context) => context,
            Err(reason) => return self.miss(Subject::Contexts, reason),
        };
        self.add_steps(elf, context.run);
        let exported = |name| elf.symbol(name).map(|function| function.vaddr);
        let new = exported("PyContext_New");
        new.into_iter().for_each(|function| self.add_result(elf, function, Role::ContextMade));
        if new.is_none_or(|function| !calls(elf, context.new, function)) {
            self.add_result(elf, context.new, Role::ContextMade);
        }
        self.add_result(elf, context.copy, Role::ContextCopied);
        match exported("PyContext_CopyCurrent") {
            Some(function) => self.add_result(elf, function, Role::ContextCopied),
            None => self.miss(Subject::ContextCopies, "this Python does not export PyContext_CopyCurrent"),
        }
    }

    /// Where a context is entered and left. A function that another probed one calls would tell it twice, so
    /// the innermost functions that can be named are taken: they also see uvloop and Cython, which call them
    /// directly. On 3.15 these are `_PyContext_Enter` and `_PyContext_Exit`, up to 3.8 the exported
    /// `PyContext_Enter` and `PyContext_Exit`; between these, `context_run` and the exported ones are apart.
    fn add_steps<'data, R: ReadRef<'data>>(&mut self, elf: &Elf<'data, R>, run: u64) {
        let pair = |enter, exit| Some((elf.symbol(enter)?.vaddr, elf.symbol(exit)?.vaddr));
        let inner = pair("_PyContext_Enter", "_PyContext_Exit").filter(|inner| calls_both(elf, run, *inner));
        if let Some((enter, exit)) = inner {
            self.add_argument(elf, Role::ContextEnterExported, enter, DecoderRegister::RSI);
            self.add_argument(elf, Role::ContextExitExported, exit, DecoderRegister::RSI);
            return;
        }
        let exported = pair("PyContext_Enter", "PyContext_Exit");
        if let Some((enter, exit)) = exported {
            self.add_argument(elf, Role::ContextEnterExported, enter, DecoderRegister::RDI);
            self.add_argument(elf, Role::ContextExitExported, exit, DecoderRegister::RDI);
        }
        if exported.is_none_or(|exported| !calls_both(elf, run, exported)) {
            self.add_run(elf, run);
        }
    }

    /// `context_run(self, args, nargs, kwnames)`: entered at a point where both `rdi` and `rsi` still hold
    /// what came in them.
    fn add_run<'data, R: ReadRef<'data>>(&mut self, elf: &Elf<'data, R>, run: u64) {
        let untouched =
            |register| argument_point(elf, run, register).filter(|point| point.register == register);
        let emulated = untouched(DecoderRegister::RDI).filter(|_| untouched(DecoderRegister::RSI).is_some());
        let operand = Some(Operand::pointer(Register::Rdi));
        self.add(elf, emulated.map(|point| point.vaddr), run, Role::ContextEnter, operand);
        match flow::exit_point(elf, run) {
            Ok(exit) => self.add(elf, Some(exit), exit, Role::ContextExit, None),
            Err(reason) => self.miss(Subject::ContextExit, reason),
        }
    }

    /// A function that returns a new context: where it has it in hand, or else, where no such points are found, at its
    /// return.
    ///
    /// These functions allocate and run no Python code: from 3.12 on the collector waits for the evaluation loop. Up to
    /// 3.11 the allocation may start a collection, hence a finaliser, and one that switches greenlets there would return
    /// out of order under a return probe.
    fn add_result<'data, R: ReadRef<'data>>(&mut self, elf: &Elf<'data, R>, function: u64, role: Role) {
        let Some(points) = result_points(elf, function) else {
            return self.add(elf, return_point(elf, function), function, role, None);
        };
        for (vaddr, register) in points {
            let operand = Register::from_decoder(register).map(Operand::pointer);
            let is_new = |point: &PythonPoint| elf.file_offset(vaddr) != Some(point.point.offset);
            // Functions may share their ends.
            if self.found.iter().all(is_new) {
                self.add(elf, Some(vaddr), vaddr, role, operand);
            }
        }
    }

    fn add_argument<'data, R: ReadRef<'data>>(
        &mut self,
        elf: &Elf<'data, R>,
        role: Role,
        function: u64,
        argument: DecoderRegister,
    ) {
        let at_entry = Register::from_decoder(argument).map(|register| (function, register));
        let emulated = operand::argument(elf, function, argument);
        let register = emulated.or(at_entry).map(|(_, register)| Operand::pointer(register));
        self.add(elf, emulated.map(|(vaddr, _)| vaddr), function, role, register);
    }

    /// Adds a point at an emulated instruction or, where there is none, at the function's first one.
    fn add<'data, R: ReadRef<'data>>(
        &mut self,
        elf: &Elf<'data, R>,
        emulated: Option<u64>,
        entry: u64,
        role: Role,
        operand: Option<Operand>,
    ) {
        let vaddr = emulated.unwrap_or(entry);
        self.found.extend(PythonPoint::at(elf, vaddr, role, operand, emulated.is_none()));
    }

    fn add_usdt<'data, R: ReadRef<'data>>(&mut self, elf: &Elf<'data, R>) {
        let sites: Vec<usdt::Site> =
            usdt::sites(elf).into_iter().filter(|site| site.provider == "python").collect();
        for (name, role, subject) in [
            ("gc__start", Role::GcStart, Subject::Gc),
            ("gc__done", Role::GcDone, Subject::Gc),
            ("import__find__load__start", Role::ImportStart, Subject::Imports),
            ("import__find__load__done", Role::ImportDone, Subject::Imports),
        ] {
            let before = self.found.len();
            for site in sites.iter().filter(|site| site.name == name) {
                let operand = match role {
                    Role::ImportStart => usdt::operand(&site.arguments, 1).map(Some),
                    _ => Ok(None),
                };
                match operand {
                    Ok(operand) => {
                        self.found.push(PythonPoint { point: site.point, role, operand, stepped: false });
                    }
                    Err(error) => {
                        self.miss(subject, format!("the probe {name} of this Python cannot be read: {error}"))
                    }
                }
            }
            if self.found.len() == before && !self.missing.iter().any(|missing| missing.what == subject) {
                self.miss(
                    subject,
                    format!(
                        "this Python was built without the probe {name} (configure --with-dtrace adds it)"
                    ),
                );
            }
        }
    }

    fn miss(&mut self, what: Subject, reason: impl ToString) {
        self.missing.push(Missing { what, reason: reason.to_string() });
    }
}

/// Whether a function calls, or tail-calls, both of the others.
fn calls_both<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, function: u64, others: (u64, u64)) -> bool {
    calls(elf, function, others.0) && calls(elf, function, others.1)
}

fn calls<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, function: u64, other: u64) -> bool {
    let targets = flow::targets(elf, function);
    targets.iter().any(|&to| to == other || elf.linked_function(to) == Some(other))
}
