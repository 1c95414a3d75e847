//! Time by bucket as the history keeps it.

use super::varint;
use crate::report::{bucket::Bucket, types::Buckets};

/// For each bucket in the order of [`Bucket::ALL`]: 0 where it is unknown, else its time and one. A bucket that is added to
/// the list has to come last there, or the history begins anew (`schema::VERSION`).
pub fn encode(buckets: &Buckets) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, ns) in buckets.iter() {
        varint::encode(&mut bytes, ns.map_or(0, |ns| ns.saturating_add(1)));
    }
    bytes
}

pub fn decode(bytes: &[u8]) -> Buckets {
    let mut buckets = Buckets::default();
    for (bucket, number) in Bucket::ALL.into_iter().zip(varint::decode(bytes)) {
        buckets.set(bucket, number.checked_sub(1));
    }
    buckets
}

/// Adds; a bucket is known where one of them is.
pub fn add(sum: &mut Buckets, other: &Buckets) {
    for (bucket, ns) in other.iter() {
        if let Some(ns) = ns {
            sum.set(bucket, Some(sum.get(bucket).unwrap_or(0).saturating_add(ns)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_zero() {
        let mut buckets = Buckets::default();
        buckets.set(Bucket::LlmStream, Some(0));
        buckets.set(Bucket::Unattributed, Some(5_000_000_000));
        assert_eq!(decode(&encode(&buckets)), buckets);
        let mut sum = Buckets::default();
        add(&mut sum, &buckets);
        add(&mut sum, &buckets);
        assert_eq!((sum.get(Bucket::LlmStream), sum.get(Bucket::LlmDns)), (Some(0), None));
        assert_eq!(sum.get(Bucket::Unattributed), Some(10_000_000_000));
    }
}
