//! What a request ran, by function.

use foldhash::{HashMap, HashSet};

use tracer_ebpf::limits::SAMPLES_PER_SECOND;

use crate::{
    event,
    report::types::{Caller, Frame, Function, GilWait},
    request::{Call, FunctionId, Request, call::Place, call_tree::Hits},
};

/// Functions that are reported of a request: those that ran most, and those that its steps are named by, which may have
/// waited alone.
pub const LIMIT: usize = 20;

/// The CPU time that a sample stands for, where none other was asked for.
pub const SAMPLE_NS: u64 = sample_ns(SAMPLES_PER_SECOND);

/// The CPU time that each of so many samples a second stands for; of 0, which is not told, the usual.
pub const fn sample_ns(per_second: u32) -> u64 {
    1_000_000_000 / if per_second == 0 { SAMPLES_PER_SECOND } else { per_second } as u64
}

/// The functions of a request, by their own time.
pub struct Ran {
    pub list: Vec<Function>,
    indexes: HashMap<FunctionId, usize>,
}

impl Ran {
    pub fn index(&self, function: FunctionId) -> Option<usize> {
        self.indexes.get(&function).copied()
    }
}

/// What samples say that a request ran, each of which stands for so much. `names` are the capture's functions by number.
pub fn of(request: &Request, names: &[event::Function], sample_ns: u64) -> Ran {
    let mut hits: Vec<_> = request.stacks.hits().into_iter().collect();
    hits.sort_by_key(|(number, hits)| (std::cmp::Reverse((hits.own, hits.total)), *number));
    let of_steps: HashSet<FunctionId> = request.steps.iter().filter_map(|step| step.function).collect();
    let (most, rest) = hits.split_at(hits.len().min(LIMIT));
    let named = rest.iter().filter(|(number, _)| of_steps.contains(number));
    let sampled: HashSet<FunctionId> = hits.iter().map(|(number, _)| *number).collect();
    let mut waited: Vec<_> = of_steps.difference(&sampled).map(|number| (*number, Hits::default())).collect();
    waited.sort_by_key(|(number, _)| *number);
    let known = most.iter().chain(named).chain(&waited).filter_map(|(number, hits)| {
        let Frame { function, file, line } = names.get(number.0 as usize)?.into();
        let (self_ns, total_ns) = (hits.own * sample_ns, hits.total * sample_ns);
        Some((*number, Function { function, file, line, self_ns, total_ns, samples: hits.total }))
    });
    let (numbers, list): (Vec<_>, Vec<_>) = known.unzip();
    let indexes = numbers.into_iter().enumerate().map(|(index, number)| (number, index)).collect();
    Ran { list, indexes }
}

/// Who made a call, the innermost first.
pub fn stack(call: &Call, names: &[event::Function]) -> Vec<Caller> {
    let caller = |place: &Place| Some((names.get(place.function.0 as usize)?, place.line).into());
    call.stack.iter().filter_map(caller).collect()
}

/// For whom a request waited when it waited for the GIL, the longest first.
pub fn gil_waits(request: &Request, names: &[event::Function]) -> Vec<GilWait> {
    let waits = request.gil_waits_ns.iter().filter_map(|(holder, wait_ns)| {
        let function = names.get(holder.function.0 as usize)?.into();
        Some(GilWait { function, tid: holder.tid, wait_ns: *wait_ns })
    });
    let mut waits: Vec<GilWait> = waits.collect();
    waits.sort_by(|a, b| {
        b.wait_ns.cmp(&a.wait_ns).then_with(|| (a.tid, a.function.line).cmp(&(b.tid, b.function.line)))
    });
    waits
}
