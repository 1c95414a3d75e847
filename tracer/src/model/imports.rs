//! Imports: told by probes where the interpreter has some, by stacks that samples find where it has none.

use crate::{
    event::Function,
    model::{Model, samples::is_one_of},
};

/// The outermost import that a thread is in.
#[derive(Clone, Debug)]
pub struct Import {
    module: String,
    started_ns: u64,
}

impl Model {
    pub(super) fn import_started(&mut self, at_ns: u64, tgid: u32, tid: u32, module: &str) {
        self.is_on_cpu(at_ns, tgid, tid);
        self.flush(at_ns, tid);
        let thread = self.thread(tgid, tid);
        if thread.imports == 0 {
            thread.importing = Some(Import { module: module.to_owned(), started_ns: at_ns });
        }
        thread.imports = thread.imports.saturating_add(1);
    }

    pub(super) fn import_done(&mut self, at_ns: u64, tgid: u32, tid: u32) {
        self.is_on_cpu(at_ns, tgid, tid);
        self.flush(at_ns, tid);
        let thread = self.thread(tgid, tid);
        thread.imports = thread.imports.saturating_sub(1);
        let Some(import) = thread.importing.take_if(|_| thread.imports == 0) else { return };
        if let Some(request) = self.works_for(tgid, tid).and_then(|id| self.requests.get_mut(id)) {
            request.imported(&import.module, at_ns.saturating_sub(import.started_ns));
        }
    }
}

/// Whether a stack is within an import, unless the loop that runs all this was itself started in it. Which module that is can't be
/// told: its code is gone when the import is over, which is mostly before it can be read.
pub fn is_import<'f>(stack: impl Iterator<Item = &'f Function>) -> bool {
    let mut since_loop = stack.take_while(|function| !runs_others(function));
    since_loop.any(|function| is_one_of(function, &[("_find_and_load", "<frozen importlib._bootstrap>")]))
}

/// What runs what others ask for: Lib/asyncio/base_events.py, Lib/asyncio/runners.py for loops that are not written in
/// Python, Lib/socketserver.py.
fn runs_others(function: &Function) -> bool {
    is_one_of(
        function,
        &[
            ("_run_once", "/asyncio/base_events.py"),
            ("run", "/asyncio/runners.py"),
            ("serve_forever", "/socketserver.py"),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, file: &str) -> Function {
        Function { name: name.into(), file: file.into(), line: 1 }
    }

    #[test]
    fn a_loop_that_was_started_in_an_import_runs_what_is_none() {
        let import = function("_find_and_load", "<frozen importlib._bootstrap>");
        let module = function("<module>", "/lib/site-packages/pandas/__init__.py");
        let answer = function("answer", "/srv/app.py");
        let loop_runs = function("BaseEventLoop._run_once", "/lib/python3.13/asyncio/base_events.py");
        let of = |stack: &[&Function]| is_import(stack.iter().copied());
        assert!(of(&[&module, &import, &answer, &loop_runs]));
        assert!(of(&[&import, &answer]));
        assert!(!of(&[&answer, &module]));
        assert!(!of(&[&answer, &loop_runs, &module, &import]));
    }
}
