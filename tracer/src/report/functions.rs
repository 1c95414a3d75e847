//! What a request ran, by function.

use std::{cmp::Reverse, collections::BTreeMap};

use foldhash::{HashMap, HashSet};

use tracer_ebpf::limits::SAMPLES_PER_SECOND;

use crate::{
    event,
    report::types::{Caller, Frame, Function, GilWait, Native},
    request::{Call, FunctionId, Request, call::Place, call_tree::Hits},
};

/// Functions that are reported of a request: so many that ran most themselves, so many that ran most with what they called, and
/// those that its steps are named by, which may have waited alone.
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
    let is_native = |number: FunctionId| names.get(number.0 as usize).is_some_and(event::Function::is_native);
    let of_steps = request.steps.iter().filter_map(|step| step.function).collect();
    let mut native_ns = HashMap::<FunctionId, BTreeMap<&str, u64>>::default();
    for (caller, native, samples) in request.stacks.native(is_native) {
        let libraries = native_ns.entry(caller).or_default();
        *libraries.entry(&names[native.0 as usize].name).or_default() += samples * sample_ns;
    }
    let known = listed(request.stacks.hits(is_native), of_steps).into_iter().filter_map(|(number, hits)| {
        let Frame { function, file, line } = names.get(number.0 as usize)?.into();
        let (self_ns, total_ns) = (hits.own * sample_ns, hits.total * sample_ns);
        let native = by_time(native_ns.remove(&number).unwrap_or_default());
        Some((number, Function { function, file, line, self_ns, total_ns, native, samples: hits.total }))
    });
    let (numbers, list): (Vec<_>, Vec<_>) = known.unzip();
    let indexes = numbers.into_iter().enumerate().map(|(index, number)| (number, index)).collect();
    Ran { list, indexes }
}

fn by_time(libraries: BTreeMap<&str, u64>) -> Vec<Native> {
    let native = libraries.into_iter().map(|(library, self_ns)| Native { library: library.into(), self_ns });
    let mut native: Vec<Native> = native.collect();
    native.sort_by_key(|native| Reverse(native.self_ns));
    native
}

/// Those that are reported, by their own time.
fn listed(mut hits: HashMap<FunctionId, Hits>, of_steps: HashSet<FunctionId>) -> Vec<(FunctionId, Hits)> {
    let most = |time: fn(&Hits) -> u64| {
        let mut times: Vec<_> = hits.iter().map(|(number, hits)| (Reverse(time(hits)), *number)).collect();
        times.sort_unstable();
        times.into_iter().take(LIMIT).map(|(_, number)| number)
    };
    let kept: HashSet<FunctionId> =
        most(|hits| hits.own).chain(most(|hits| hits.total)).chain(of_steps).collect();
    let hits_of = |number| (number, hits.remove(&number).unwrap_or_default());
    let mut listed: Vec<_> = kept.into_iter().map(hits_of).collect();
    listed.sort_unstable_by_key(|(number, hits)| (Reverse((hits.own, hits.total)), *number));
    listed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_only_call_are_listed_beside_many_that_run() {
        let count = LIMIT as u32;
        let ran = |number: u32| (FunctionId(number), Hits { own: 1 + u64::from(number % 2), total: 2 });
        let caller = (FunctionId(1_000), Hits { own: 0, total: 90 });
        let hits = (0..3 * count).map(ran).chain([caller]).collect();
        let waited = FunctionId(2_000);
        let listed = listed(hits, HashSet::from_iter([waited]));
        let (most, others) = listed.split_at(LIMIT);
        assert!(most.iter().all(|(_, hits)| hits.own == 2));
        assert_eq!(others[others.len() - 2..], [caller, (waited, Hits::default())]);
        assert!(listed.len() <= 2 * LIMIT + 1);
    }
}
