//! Where a function has its result in hand: ordinary uprobes there take the place of a return probe, which would kill
//! programs that switch stacks (greenlet, gevent) while the function runs, and costs two traps.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::flow::Graph;
use super::x86::{CALLEE_SAVED, Code, writes};

/// What is known of the result before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Result {
    /// Whatever is in the registers: from here on it is NULL, or the function never returns.
    Any,
    /// This register holds it.
    In(Register),
    /// No register does yet, or not the same one on all ways.
    Nowhere,
}

/// Emulated instructions, and the register that holds there what the function will return, of which each way out that
/// does not return NULL passes exactly one, once. `None` where there are none.
pub fn result_points(code: &impl Code, entry: u64) -> Option<Vec<(u64, Register)>> {
    let graph = Graph::walk(code, entry);
    let results = results(&graph);
    let held = |vaddr: u64| match results.get(&vaddr) {
        Some(Result::In(register)) => Some(*register),
        _ => None,
    };
    let with = |result| -> BTreeSet<u64> {
        results.iter().filter(|(_, known)| **known == result).map(|(vaddr, _)| *vaddr).collect()
    };
    // Behind these nothing but NULL is returned.
    let (in_vain, got) = (with(Result::Any), with(Result::Nowhere));
    let begun: Vec<u64> = graph.after(&got).into_iter().filter(|&vaddr| held(vaddr).is_some()).collect();
    let on_the_way = graph.reach(begun.iter().copied(), &in_vain).visited.into_iter();
    let candidates: BTreeSet<u64> =
        on_the_way.filter(|&vaddr| graph.is_emulated(vaddr) && held(vaddr).is_some()).collect();
    let fits = |points: &BTreeSet<u64>| {
        let ends = points.union(&in_vain).copied().collect();
        let after = graph.reach(graph.after(points), &in_vain).visited;
        after.is_disjoint(points) && !graph.reach(begun.iter().copied(), &ends).leaves
    };
    // The first ones on the ways, or the last.
    let ends = candidates.union(&in_vain).copied().collect();
    let before = graph.reach(begun.iter().copied(), &ends).visited;
    let next = begun.iter().copied().chain(graph.after(&before));
    let first: BTreeSet<u64> = next.filter(|vaddr| candidates.contains(vaddr)).collect();
    let is_last = |vaddr: &u64| {
        let after = graph.reach(graph.after(&BTreeSet::from([*vaddr])), &in_vain).visited;
        after.is_disjoint(&candidates)
    };
    let last: BTreeSet<u64> = candidates.iter().copied().filter(is_last).collect();
    let points = [first, last].into_iter().find(|points| !points.is_empty() && fits(points))?;
    Some(points.into_iter().filter_map(|vaddr| Some((vaddr, held(vaddr)?))).collect())
}

/// Goes back from the returns until nothing changes: what an instruction is followed by decides.
fn results(graph: &Graph) -> BTreeMap<u64, Result> {
    let mut before: BTreeMap<u64, Result> = graph.vaddrs().map(|vaddr| (vaddr, Result::Any)).collect();
    loop {
        let mut is_changed = false;
        for (vaddr, instruction, next) in graph.instructions().rev() {
            let after = next.iter().fold(Result::Any, |all, next| {
                match (all, before.get(next).copied().unwrap_or(Result::Nowhere)) {
                    (Result::Any, one) | (one, Result::Any) => one,
                    (all, one) if all == one => all,
                    _ => Result::Nowhere,
                }
            });
            let found = through(instruction, after);
            is_changed |= before.insert(vaddr, found) != Some(found);
        }
        if !is_changed {
            return before;
        }
    }
}

/// What is known before an instruction, from what is known after it. Knowledge only sinks, from any to nowhere.
fn through(instruction: &Instruction, after: Result) -> Result {
    match instruction.flow_control() {
        FlowControl::Return => return Result::In(Register::RAX),
        FlowControl::IndirectBranch => return Result::Nowhere,
        _ => {}
    }
    let Result::In(register) = after else { return after };
    let is_register = |operand| instruction.op_kind(operand) == OpKind::Register;
    let is_written = |operand: u32| {
        instruction.op_count() == 2
            && is_register(operand)
            && instruction.op_register(operand).full_register() == register
    };
    let is_call = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
    match instruction.mnemonic() {
        // NULL.
        Mnemonic::Xor if is_written(0) && is_written(1) => Result::Any,
        Mnemonic::Mov if is_written(0) && is_register(1) && instruction.op0_register().is_gpr64() => {
            Result::In(instruction.op1_register())
        }
        _ if is_call && !CALLEE_SAVED.contains(&register) => Result::Nowhere,
        _ if writes(instruction).contains(&register) => Result::Nowhere,
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::python::x86::tests::Bytes;

    /// As in CPython 3.9: a free list, or an allocation that may fail.
    #[rustfmt::skip]
    const COPY: [u8; 41] = [
        0x53,                         // 00 push %rbx
        0x85, 0xc0,                   // 01 test %eax,%eax
        0x75, 0x16,                   // 03 jne 1b
        0xe8, 0, 0, 0, 0,             // 05 call
        0x48, 0x89, 0xc3,             // 0a mov %rax,%rbx
        0x48, 0x85, 0xc0,             // 0d test %rax,%rax
        0x74, 0x13,                   // 10 je 25
        0x48, 0x89, 0x6b, 0x18,       // 12 mov %rbp,0x18(%rbx)
        0x48, 0x89, 0xd8,             // 16 mov %rbx,%rax
        0x5b,                         // 19 pop %rbx
        0xc3,                         // 1a ret
        0x48, 0x8b, 0x1f,             // 1b mov (%rdi),%rbx
        0xe8, 0, 0, 0, 0,             // 1e call
        0xeb, 0xed,                   // 23 jmp 12
        0x31, 0xdb,                   // 25 xor %ebx,%ebx
        0xeb, 0xed,                   // 27 jmp 16
    ];

    #[test]
    fn each_way_passes_one_point() {
        let points = result_points(&Bytes(0, &COPY), 0);
        assert_eq!(points, Some(vec![(0x10, Register::RBX), (0x1e, Register::RBX)]));
    }

    #[test]
    fn a_result_that_is_returned_at_once_has_no_point() {
        // call; ret
        assert_eq!(result_points(&Bytes(0, &[0xe8, 0, 0, 0, 0, 0xc3]), 0), None);
        // jmp *%rax
        assert_eq!(result_points(&Bytes(0, &[0xff, 0xe0]), 0), None);
        // call; nop; ret
        let points = result_points(&Bytes(0, &[0xe8, 0, 0, 0, 0, 0x90, 0xc3]), 0);
        assert_eq!(points, Some(vec![(5, Register::RAX)]));
        // call; test; je to a zeroed return; nop; ret
        #[rustfmt::skip]
        let function = [0xe8, 0, 0, 0, 0, 0x48, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xc3];
        assert_eq!(result_points(&Bytes(0, &function), 0), Some(vec![(8, Register::RAX)]));
    }

    proptest! {
        #[test]
        fn survives_any_code(code in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = result_points(&Bytes(0x1000, &code), 0x1000);
            let _ = result_points(&Bytes(u64::MAX - 399, &code), u64::MAX - 399);
        }
    }
}
