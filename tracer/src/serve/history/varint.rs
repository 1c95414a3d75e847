//! Numbers in as few bytes as they need: seven bits in each, the lowest first, the top bit where more follow.

pub fn encode(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The numbers, up to the first that is none.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut bytes = bytes.iter();
    std::iter::from_fn(move || {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(*bytes.next()?);
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(numbers in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| encode(&mut bytes, *number));
            prop_assert_eq!(decode(&bytes).collect::<Vec<_>>(), numbers);
        }
    }
}
