//! The stacks that samples found a request in.

use std::sync::Arc;

use super::functions::SAMPLE_NS;
use crate::{
    event::Function,
    request::{
        FunctionId, Request,
        call_tree::{CallTree, Counts, OnCpu},
    },
};

/// Stacks with their samples, as far back from the innermost function as samples reach.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    tree: CallTree,
    /// The capture's functions, by number.
    functions: Arc<Vec<Function>>,
    start_ns: u64,
    /// 0 where it is not told.
    sample_ns: u64,
}

/// A sample with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// From the request's start.
    pub at_ns: u64,
    pub cause: OnCpu,
    /// The outermost first.
    pub stack: Vec<&'a Function>,
}

impl Stacks {
    /// What samples found a request in, of a capture with these functions. Each stands for `sample_ns`.
    pub fn new(request: &Request, functions: &Arc<Vec<Function>>, sample_ns: u64) -> Stacks {
        let (tree, functions) = (request.stacks.clone(), functions.clone());
        Stacks { tree, functions, start_ns: request.start_ns, sample_ns }
    }

    /// Of samples without their time.
    pub fn of_tree(tree: CallTree, functions: Arc<Vec<Function>>, sample_ns: u64) -> Stacks {
        Stacks { tree, functions, start_ns: 0, sample_ns }
    }

    /// The CPU time that a sample stands for.
    pub fn sample_ns(&self) -> u64 {
        if self.sample_ns == 0 { SAMPLE_NS } else { self.sample_ns }
    }

    pub fn tree(&self) -> &CallTree {
        &self.tree
    }

    pub fn function(&self, number: FunctionId) -> Option<&Function> {
        self.functions.get(number.0 as usize)
    }

    /// Every stack, the outermost function first, with the samples that found it.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<&Function>, Counts)> + '_ {
        self.tree.ends().map(|(node, own)| (self.named(self.tree.path(node)), own))
    }

    /// Samples whose stacks there was no room for.
    pub fn cut(&self) -> Counts {
        self.tree.cut()
    }

    /// The first samples in order of time, each with its own.
    pub fn timed(&self) -> Vec<Sample<'_>> {
        let samples = self.tree.timed().iter().map(|timed| Sample {
            at_ns: timed.at_ns.saturating_sub(self.start_ns),
            cause: timed.cause,
            stack: self.named(self.tree.path(timed.node)),
        });
        let mut samples: Vec<Sample> = samples.collect();
        samples.sort_by_key(|sample| sample.at_ns);
        samples
    }

    fn named(&self, path: impl Iterator<Item = FunctionId>) -> Vec<&Function> {
        let mut stack: Vec<_> = path.filter_map(|function| self.function(function)).collect();
        stack.reverse();
        stack
    }
}
