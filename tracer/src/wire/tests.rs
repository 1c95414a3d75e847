use std::sync::Arc;

use super::*;
use crate::event::Direction::{Received, Sent};

fn connection(id: u64, transport: Transport, remote_port: u16) -> Connection {
    let remote = Some(([127, 0, 0, 1].into(), remote_port));
    Connection::new(ConnectionId(id), Role::Connected, transport, remote)
}

fn wire() -> Wire {
    Wire::new(Arc::new(VendorTable::builtin()))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

#[test]
fn datagrams_with_port_53_are_dns() {
    let query = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
    let mut wire = wire();
    wire.opened(&connection(1, Transport::Udp, 53));
    wire.opened(&connection(2, Transport::Udp, 443));
    let expected = [Mark::DnsQuery { id: 7, name: "a".to_owned() }];
    assert_eq!(wire.reduce(ConnectionId(1), Sent, query.len() as u64, query), expected);
    assert_eq!(wire.reduce(ConnectionId(1), Received, 3, b"abc"), [Mark::Unparsed]);
    assert_eq!(wire.reduce(ConnectionId(1), Sent, query.len() as u64, query), expected);
    assert_eq!(wire.reduce(ConnectionId(2), Sent, query.len() as u64, query), [Mark::Unparsed]);
    assert_eq!(wire.reduce(ConnectionId(2), Sent, query.len() as u64, query), []);
}

#[test]
fn http_is_read_from_unix_sockets_too() {
    let mut wire = wire();
    wire.opened(&connection(1, Transport::Unix, 0));
    assert_eq!(wire.reduce(ConnectionId(1), Sent, GET.len() as u64, GET).len(), 2);
}

#[test]
fn nothing_transferred_means_nothing() {
    let mut wire = wire();
    assert_eq!(wire.reduce(ConnectionId(1), Sent, 0, b""), []);
    assert_eq!(wire.connections(), 0);
}

#[test]
fn the_least_recently_used_connection_is_dropped_at_the_limit() {
    let mut wire = wire();
    for id in 0..=u64::from(limits::SOCKETS) {
        wire.opened(&connection(id, Transport::Tcp, 80));
    }
    assert_eq!(wire.connections(), limits::SOCKETS as usize);
    // The first one was dropped: it is read as one seen in the middle, the last is not.
    assert_eq!(wire.reduce(ConnectionId(0), Sent, 4, b"QUIT"), []);
    assert_eq!(wire.reduce(ConnectionId(9), Sent, 4, b"QUIT"), [Mark::Unparsed]);
    wire.closed(ConnectionId(9));
    assert_eq!(wire.connections(), limits::SOCKETS as usize - 1);
}

#[test]
fn without_bodies_heads_are_what_is_kept() {
    let question =
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\
        x-stainless-retry-count: 1\r\n\r\n{\"model\":\"gpt-4o\",\"stream\":true}";
    let asked = |mut wire: Wire| {
        let marks = wire.reduce_plain((1, 7), Sent, question.len() as u64, question);
        let asked =
            marks.into_iter().find_map(|mark| if let Mark::Asked(asked) = mark { Some(asked) } else { None });
        asked.expect("it asks a model")
    };
    let retries = Some(1);
    assert_eq!(asked(wire()), Asked { model: Some("gpt-4o".to_owned()), stream: Some(true), retries });
    let heads = Wire::of_heads(Arc::new(VendorTable::builtin()));
    assert_eq!(asked(heads), Asked { retries, ..Asked::default() });
}

#[test]
fn a_connection_whose_beginning_was_lost_is_read_from_where_it_is() {
    let mut wire = wire();
    wire.opened(&connection(1, Transport::Tcp, 443));
    let record = [&[0x17, 0x03, 0x03, 0x00, 0x40][..], &[7; 0x40]].concat();
    let marks = wire.reduce(ConnectionId(1), Sent, record.len() as u64, &record);
    assert_eq!(marks, [Mark::Ciphertext { at: 0 }]);
}
