//! Stacks of samples as they are kept: each function and each path once.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::stacks::Stacks;
use crate::{
    event::Function,
    request::{
        FunctionId,
        call_tree::{CallTree, Counts, Node, NodeId, OnCpu},
    },
};

/// Without the times of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    functions: Vec<Function>,
    /// Of each path the innermost function as an index, the path that it goes on from as an index plus one or 0, and the samples
    /// that ended there. A path comes behind the one that it goes on from.
    paths: Vec<[u32; 2 + OnCpu::ALL.len()]>,
    cut: [u32; OnCpu::ALL.len()],
    /// What a sample stands for; 0 where that is the usual.
    #[serde(default)]
    sample_ns: u64,
}

impl Packed {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.cut == Packed::default().cut
    }

    /// What there is, up to so many paths; samples on further ones are among those that were cut.
    pub fn of(stacks: &Stacks, limit: usize) -> Packed {
        let sample_ns = stacks.sample_ns();
        let mut packed = Packed { cut: stacks.cut().into(), sample_ns, ..Packed::default() };
        let mut indexes = HashMap::<FunctionId, u32>::new();
        for (index, node) in stacks.tree().nodes().iter().enumerate() {
            let own: [u32; OnCpu::ALL.len()] = node.own.into();
            let Some(function) = stacks.function(node.function).filter(|_| index < limit) else {
                packed.cut = std::array::from_fn(|cause| packed.cut[cause].saturating_add(own[cause]));
                continue;
            };
            let function = *indexes.entry(node.function).or_insert_with(|| {
                packed.functions.push(function.clone());
                packed.functions.len() as u32 - 1
            });
            let caller = node.caller.map_or(0, |caller| caller.index() as u32 + 1);
            packed.paths.push([function, caller, own[0], own[1], own[2]]);
        }
        packed
    }

    /// The stacks as they were before. Bytes that are no such thing may give others, but end.
    pub fn unpack(self) -> Stacks {
        let nodes = self.paths.iter().enumerate().map(|(index, [function, caller, own @ ..])| Node {
            function: FunctionId(*function),
            caller: caller.checked_sub(1).filter(|caller| (*caller as usize) < index).map(NodeId::at),
            own: Counts::from(*own),
        });
        let tree = CallTree::of_nodes(nodes.collect(), self.cut.into());
        Stacks::of_tree(tree, Arc::new(self.functions), self.sample_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::functions::SAMPLE_NS;

    fn stacks() -> Stacks {
        let function = |name: &str| Function { name: name.to_owned(), file: "a.py".to_owned(), line: 1 };
        let mut tree = CallTree::default();
        let ids = |numbers: &[u32]| numbers.iter().copied().map(FunctionId).collect::<Vec<_>>();
        tree.add(1, OnCpu::Python, &ids(&[3, 1]));
        tree.add(2, OnCpu::Gc, &ids(&[3, 1]));
        tree.add(3, OnCpu::Import, &ids(&[1]));
        Stacks::of_tree(tree, Arc::new(["unused", "main", "unused", "work"].map(function).into()), SAMPLE_NS)
    }

    fn named(stacks: &Stacks) -> Vec<(String, u64)> {
        let name =
            |stack: Vec<&Function>| stack.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(" ");
        stacks.iter().map(|(stack, own)| (name(stack), own.sum())).collect()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let packed = Packed::of(&stacks(), 10);
        assert_eq!(packed.functions.len(), 2);
        assert_eq!(named(&packed.clone().unpack()), [("main".to_owned(), 1), ("main work".to_owned(), 2)]);
        assert_eq!(Packed::of(&packed.clone().unpack(), 10), packed);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let stacks = Packed::of(&stacks(), 1).unpack();
        assert_eq!((named(&stacks), stacks.cut().sum()), (vec![("main".to_owned(), 1)], 2));
    }

    #[test]
    fn paths_that_can_not_be_end_all_the_same() {
        let function = Function::default();
        let packed = Packed {
            functions: vec![function],
            paths: vec![[0, 1, 1, 0, 0], [7, 9, 1, 0, 0]],
            ..Packed::default()
        };
        assert_eq!(named(&packed.unpack()).len(), 2);
    }
}
