//! What of the CRI's messages is read and written: names and numbers of fields as `api.proto` of Kubernetes' `cri-api` has them
//! for `runtime.v1`, which never change.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, message, skip_field},
};

/// Pods or containers that are taken of one answer. A node has 110 pods by default, and rarely more than 500.
pub const MOST: usize = 2_048;

/// `PodSandboxState.SANDBOX_READY`.
pub const SANDBOX_READY: i32 = 0;

/// `ContainerState.CONTAINER_RUNNING`.
pub const CONTAINER_RUNNING: i32 = 1;

/// `ListPodSandboxRequest`, and `ListContainersRequest` alike.
#[derive(Clone, PartialEq, Message)]
pub struct ListRequest {
    #[prost(message, optional, tag = "1")]
    pub filter: Option<Filter>,
}

/// `PodSandboxFilter`, and `ContainerFilter` alike.
#[derive(Clone, PartialEq, Message)]
pub struct Filter {
    #[prost(message, optional, tag = "2")]
    pub state: Option<StateValue>,
}

/// `PodSandboxStateValue`, and `ContainerStateValue` alike.
#[derive(Clone, PartialEq, Message)]
pub struct StateValue {
    #[prost(int32, tag = "1")]
    pub state: i32,
}

impl ListRequest {
    /// All that are in a state.
    pub fn in_state(state: i32) -> ListRequest {
        ListRequest { filter: Some(Filter { state: Some(StateValue { state }) }) }
    }
}

/// `PodSandbox`: what the containers of a pod share, made anew where it failed.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandbox {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<PodSandboxMetadata>,
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    pub image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    #[prost(string, tag = "1")]
    pub image: String,
    /// Newer runtimes have a digest above, and here what the pod asks for.
    #[prost(string, tag = "18")]
    pub user_specified_image: String,
}

/// `ListPodSandboxResponse`, and `ListContainersResponse` alike: no more than [`MOST`] items of it are kept, however many
/// empty ones an answer has room for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List<T> {
    pub items: Vec<T>,
}

const ITEMS: u32 = 1;

impl<T: Message + Default> Message for List<T> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        message::encode_repeated(ITEMS, &self.items, buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag == ITEMS && self.items.len() < MOST {
            message::merge_repeated(wire_type, &mut self.items, buffer, context)
        } else {
            skip_field(wire_type, tag, buffer, context)
        }
    }

    fn encoded_len(&self) -> usize {
        message::encoded_len_repeated(ITEMS, &self.items)
    }

    fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_nothing_but_items_is_bounded() {
        let empty_items = [0x0a, 0].repeat(1 << 20);
        let list = List::<Container>::decode(&*empty_items).expect("a list");
        assert_eq!(list.items.len(), MOST);
        assert!(List::<Container>::decode(&[0x0a, 9][..]).is_err(), "it is cut");
        let unknown = List::<Container>::decode(&[0x12, 1, 0][..]).expect("a field that is not known");
        assert_eq!(unknown, List::default());
    }
}
