//! Whole stacks that samples found a request in.

use foldhash::HashMap;

use crate::{report::bucket::Bucket, request::FunctionId};

/// Nodes kept of a request: 24 bytes each, and as much again until it is answered.
const MAX_NODES: usize = 32_768;

/// Samples kept of a request with their time, 16 bytes each: 5 minutes of CPU time.
const MAX_TIMED: usize = 65_536;

/// Paths from the outermost function inwards, each once, with the samples that ended there.
#[derive(Clone, Debug, Default)]
pub struct CallTree {
    nodes: Vec<Node>,
    /// Where a node's callees are; only while samples come.
    callees: HashMap<(Option<NodeId>, FunctionId), NodeId>,
    timed: Vec<Timed>,
    cut: Counts,
}

/// Number of a node in its tree: a caller has a lower one than its callees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// By its place in [`CallTree::nodes`].
    pub fn at(index: u32) -> NodeId {
        NodeId(index)
    }

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A function as called by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub function: FunctionId,
    pub caller: Option<NodeId>,
    /// Samples in which it was the innermost.
    pub own: Counts,
}

/// A sample with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    pub at_ns: u64,
    pub node: NodeId,
    pub cause: OnCpu,
}

/// Which of the buckets of time on CPU a sample is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum OnCpu {
    Python,
    Gc,
    Import,
}

impl OnCpu {
    pub const ALL: [OnCpu; 3] = [OnCpu::Python, OnCpu::Gc, OnCpu::Import];

    pub fn bucket(self) -> Bucket {
        match self {
            OnCpu::Python => Bucket::PythonCpu,
            OnCpu::Gc => Bucket::PythonGc,
            OnCpu::Import => Bucket::PythonImport,
        }
    }
}

/// Samples by what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u32; OnCpu::ALL.len()]);

impl From<[u32; OnCpu::ALL.len()]> for Counts {
    fn from(counts: [u32; OnCpu::ALL.len()]) -> Counts {
        Counts(counts)
    }
}

impl From<Counts> for [u32; OnCpu::ALL.len()] {
    fn from(counts: Counts) -> [u32; OnCpu::ALL.len()] {
        counts.0
    }
}

impl Counts {
    pub fn get(self, cause: OnCpu) -> u64 {
        u64::from(self.0[cause as usize])
    }

    pub fn sum(self) -> u64 {
        self.0.into_iter().map(u64::from).sum()
    }

    fn add_one(&mut self, cause: OnCpu) {
        let count = &mut self.0[cause as usize];
        *count = count.saturating_add(1);
    }
}

/// Samples in which a function ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// It was the innermost.
    pub own: u64,
    pub total: u64,
}

impl CallTree {
    /// A tree as [`CallTree::nodes`] gives it, of samples without their time. A caller has a lower number than its callees.
    pub fn of_nodes(nodes: Vec<Node>, cut: Counts) -> CallTree {
        CallTree { nodes, cut, ..CallTree::default() }
    }

    /// Adds a sample of these functions, the innermost first. Where there is no room for its path it is only counted.
    pub fn add(&mut self, at_ns: u64, cause: OnCpu, stack: &[FunctionId]) {
        if stack.is_empty() {
            return;
        }
        let Some(node) = self.node(stack) else { return self.cut.add_one(cause) };
        self.nodes[node.0 as usize].own.add_one(cause);
        if self.timed.len() < MAX_TIMED {
            self.timed.push(Timed { at_ns, node, cause });
        }
    }

    /// The node of a path of these functions, the innermost first; `None` where there is no room for it, or it is empty.
    pub fn node(&mut self, stack: &[FunctionId]) -> Option<NodeId> {
        let mut caller = None;
        for function in stack.iter().rev() {
            caller = match self.callees.get(&(caller, *function)) {
                Some(node) => Some(*node),
                None if self.nodes.len() < MAX_NODES => Some(self.push(caller, *function)),
                None => return None,
            };
        }
        caller
    }

    /// No more samples come.
    pub fn close(&mut self) {
        self.callees = HashMap::default();
        self.nodes.shrink_to_fit();
        self.timed.shrink_to_fit();
    }

    /// Callers come before their callees.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first samples with their time, in the order in which they came.
    pub fn timed(&self) -> &[Timed] {
        &self.timed
    }

    /// Samples whose path there was no room for.
    pub fn cut(&self) -> Counts {
        self.cut
    }

    /// The functions of a path, the innermost first.
    pub fn path(&self, node: NodeId) -> impl Iterator<Item = FunctionId> + '_ {
        let nodes = std::iter::successors(Some(node), |node| self.nodes[node.0 as usize].caller);
        nodes.map(|node| self.nodes[node.0 as usize].function)
    }

    /// Paths on which samples ended, with those.
    pub fn ends(&self) -> impl Iterator<Item = (NodeId, Counts)> + '_ {
        let ends = self.nodes.iter().zip(0..).filter(|(node, _)| node.own != Counts::default());
        ends.map(|(node, index)| (NodeId(index), node.own))
    }

    /// The samples of each function in Python. One that called itself counts once. Native code is of those that call it.
    pub fn hits(&self, is_native: impl Fn(FunctionId) -> bool) -> HashMap<FunctionId, Hits> {
        let mut totals: Vec<u64> = self.nodes.iter().map(|node| node.own.sum()).collect();
        let mut hits = HashMap::<FunctionId, Hits>::default();
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let total = totals[index];
            if let Some(caller) = node.caller {
                totals[caller.0 as usize] += total;
            }
            if is_native(node.function) {
                if let Some(caller) = node.caller {
                    hits.entry(self.nodes[caller.index()].function).or_default().own += total;
                }
                continue;
            }
            let function = hits.entry(node.function).or_default();
            function.own += node.own.sum();
            let calls_itself = |caller| self.path(caller).any(|function| function == node.function);
            if !node.caller.is_some_and(calls_itself) {
                function.total += total;
            }
        }
        hits
    }

    /// Native code with the function in Python that called it, and the samples that found it there.
    pub fn native(
        &self,
        is_native: impl Fn(FunctionId) -> bool,
    ) -> impl Iterator<Item = (FunctionId, FunctionId, u64)> {
        self.nodes.iter().filter(move |node| is_native(node.function)).filter_map(|node| {
            let caller = self.nodes[node.caller?.index()].function;
            Some((caller, node.function, node.own.sum()))
        })
    }

    fn push(&mut self, caller: Option<NodeId>, function: FunctionId) -> NodeId {
        let node = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { function, caller, own: Counts::default() });
        self.callees.insert((caller, function), node);
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(numbers: &[u32]) -> Vec<FunctionId> {
        numbers.iter().copied().map(FunctionId).collect()
    }

    #[test]
    fn paths_are_shared_and_recursion_counts_once() {
        let mut tree = CallTree::default();
        tree.add(1, OnCpu::Python, &functions(&[3, 2, 1]));
        tree.add(2, OnCpu::Python, &functions(&[2, 3, 2, 1]));
        tree.add(3, OnCpu::Gc, &functions(&[2, 1]));
        assert_eq!(tree.nodes().len(), 4);
        let hits = tree.hits(|_| false);
        let of = |number| hits[&FunctionId(number)];
        assert_eq!(of(1), Hits { own: 0, total: 3 });
        assert_eq!(of(2), Hits { own: 2, total: 3 });
        assert_eq!(of(3), Hits { own: 1, total: 2 });
        let ends: Vec<_> = tree.ends().map(|(node, own)| (tree.path(node).collect(), own.sum())).collect();
        let expected = [(&[2, 1][..], 1), (&[3, 2, 1], 1), (&[2, 3, 2, 1], 1)];
        assert_eq!(ends, expected.map(|(path, own)| (functions(path), own)));
        assert_eq!(tree.timed().iter().map(|timed| timed.at_ns).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn native_code_is_the_own_time_of_who_calls_it() {
        let mut tree = CallTree::default();
        let is_native = |function| function == FunctionId(9);
        tree.add(1, OnCpu::Python, &functions(&[9, 2, 1]));
        tree.add(2, OnCpu::Python, &functions(&[9, 2, 1]));
        tree.add(3, OnCpu::Python, &functions(&[2, 1]));
        let hits = tree.hits(is_native);
        assert_eq!(hits.get(&FunctionId(9)), None);
        assert_eq!(hits[&FunctionId(2)], Hits { own: 3, total: 3 });
        assert_eq!(hits[&FunctionId(1)], Hits { own: 0, total: 3 });
        let native: Vec<_> = tree.native(is_native).collect();
        assert_eq!(native, [(FunctionId(2), FunctionId(9), 2)]);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut tree = CallTree::default();
        for number in 0..MAX_NODES as u32 {
            tree.add(0, OnCpu::Python, &functions(&[number]));
        }
        tree.add(0, OnCpu::Import, &functions(&[u32::MAX, 0]));
        tree.add(0, OnCpu::Python, &functions(&[0]));
        assert_eq!((tree.nodes().len(), tree.cut().sum()), (MAX_NODES, 1));
        assert_eq!(tree.cut().get(OnCpu::Import), 1);
        assert_eq!(tree.hits(|_| false)[&FunctionId(0)], Hits { own: 2, total: 2 });
        tree.add(0, OnCpu::Python, &[]);
        assert_eq!(tree.cut().sum(), 1);
    }
}
