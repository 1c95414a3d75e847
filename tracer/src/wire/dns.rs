//! DNS over UDP: names asked for and addresses given (RFC 1035).

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag};

use crate::event::Mark;

/// Reads one datagram. `None` when it is no DNS message with a question.
pub fn reduce(datagram: &[u8]) -> Option<Mark> {
    let packet = Packet::parse(datagram).ok()?;
    let name = packet.questions.first()?.qname.to_string().trim_end_matches('.').to_ascii_lowercase();
    let id = packet.id();
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return Some(Mark::DnsQuery { id, name });
    }
    let addresses = packet
        .answers
        .iter()
        .filter_map(|answer| match &answer.rdata {
            RData::A(a) => Some(IpAddr::from(a.address.to_be_bytes())),
            RData::AAAA(aaaa) => Some(IpAddr::from(aaaa.address.to_be_bytes())),
            _ => None,
        })
        .collect();
    Some(Mark::DnsAnswer { id, name, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
        \x03API\x06openai\x03com\x00\x00\x01\x00\x01";

    fn answer() -> Vec<u8> {
        let mut bytes = QUERY.to_vec();
        bytes[2] = 0x81;
        bytes[3] = 0x80;
        bytes[7] = 2;
        // A CNAME to `edge.openai.com`, then the A record of that.
        bytes.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x07\x04edge\xc0\x10");
        bytes.extend(b"\xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02");
        bytes
    }

    #[test]
    fn reads_query_and_answer() {
        let name = "api.openai.com".to_owned();
        assert_eq!(reduce(QUERY), Some(Mark::DnsQuery { id: 0x1234, name: name.clone() }));
        let addresses = vec![IpAddr::from([127, 0, 0, 2])];
        assert_eq!(reduce(&answer()), Some(Mark::DnsAnswer { id: 0x1234, name, addresses }));
    }

    #[test]
    fn reads_an_ipv6_answer() {
        let mut bytes = QUERY.to_vec();
        bytes[2] = 0x81;
        bytes[7] = 1;
        bytes.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8");
        bytes.extend([0; 11]);
        bytes.push(1);
        let Some(Mark::DnsAnswer { addresses, .. }) = reduce(&bytes) else { panic!("no answer") };
        assert_eq!(addresses, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn any_cut_or_flipped_byte_is_survived() {
        let whole = answer();
        for end in 0..whole.len() {
            reduce(&whole[..end]);
            let mut flipped = whole.clone();
            flipped[end] ^= 0xff;
            reduce(&flipped);
        }
    }
}
