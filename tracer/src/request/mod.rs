//! A request while it is being followed, and the split of its wall time into buckets.

pub mod call;
pub mod call_tree;
pub mod claim;
pub mod open;
pub mod split;
pub mod waits;

pub use call::Call;
pub use claim::{Claim, Rank};
pub use open::{Background, FunctionId, Request, RequestId};
