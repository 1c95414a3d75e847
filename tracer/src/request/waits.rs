//! Who waited: the functions that threads slept in and that tasks awaited in, of waits that a peer's answer does not end.

use crate::{
    report::bucket::Bucket,
    request::{
        FunctionId,
        call::Span,
        call_tree::{CallTree, NodeId},
    },
};

/// Waits kept of a request, 32 bytes each.
const LIMIT: usize = 65_536;

/// Waits of a request's threads and tasks, in order of their ends.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    tree: CallTree,
    list: Vec<Wait>,
}

/// A thread slept, or a task awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub span: Span,
    /// `None` of a task: what it waited for, the claims tell.
    pub bucket: Option<Bucket>,
    /// What it waited in.
    pub node: NodeId,
}

impl Wait {
    /// Whether time in this bucket may be this wait.
    pub fn may_be(&self, bucket: Bucket) -> bool {
        match self.bucket {
            Some(own) => own == bucket,
            None => matches!(bucket, Bucket::WaitLock | Bucket::WaitSleep | Bucket::WaitExecutor),
        }
    }
}

impl Waits {
    /// Adds a wait in these functions, the innermost first; one that was added while it lasted becomes as long as it is now.
    pub fn add(&mut self, span: Span, bucket: Option<Bucket>, stack: &[FunctionId]) {
        let Some(node) = self.tree.node(stack) else { return };
        let same = |wait: &&mut Wait| wait.span.start_ns == span.start_ns && wait.node == node;
        if let Some(wait) = self.list.last_mut().filter(same) {
            wait.span.end_ns = wait.span.end_ns.max(span.end_ns);
        } else if self.list.len() < LIMIT {
            self.list.push(Wait { span, bucket, node });
        }
    }

    /// No more come.
    pub fn close(&mut self) {
        self.tree.close();
        self.list.shrink_to_fit();
    }

    pub fn list(&self) -> &[Wait] {
        &self.list
    }

    /// The functions of a wait, the innermost first.
    pub fn stack(&self, wait: &Wait) -> impl Iterator<Item = FunctionId> + '_ {
        self.tree.path(wait.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_told_while_it_lasts_is_one() {
        let mut waits = Waits::default();
        let stack = [FunctionId(1), FunctionId(2)];
        let span = |start_ns, end_ns| Span { start_ns, end_ns };
        waits.add(span(10, 20), Some(Bucket::WaitLock), &stack);
        waits.add(span(10, 30), Some(Bucket::WaitLock), &stack);
        waits.add(span(40, 50), Some(Bucket::WaitLock), &stack[1..]);
        waits.add(span(60, 70), Some(Bucket::WaitLock), &[]);
        let spans: Vec<Span> = waits.list().iter().map(|wait| wait.span).collect();
        assert_eq!(spans, [span(10, 30), span(40, 50)]);
        assert_eq!(waits.stack(&waits.list()[0]).collect::<Vec<_>>(), stack);
    }
}
