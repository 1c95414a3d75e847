//! Bytes of sockets: the ClientHello, TLS records, DNS, HTTP/1 and the contents of bodies.

#![no_main]

use std::sync::{Arc, LazyLock};

use fuzz::{Transfers, check};
use libfuzzer_sys::fuzz_target;
use tracer::{
    event::{Connection, ConnectionId, Role, Transport},
    vendor::VendorTable,
    wire::Wire,
};

static VENDORS: LazyLock<Arc<VendorTable>> = LazyLock::new(|| Arc::new(VendorTable::builtin()));

fuzz_target!(|data: &[u8]| {
    let [kind, data @ ..] = data else { return };
    let role = [Role::Unknown, Role::Connected, Role::Accepted][usize::from(kind % 3)];
    let transport = if kind & 0x10 == 0 { Transport::Tcp } else { Transport::Udp };
    let port = if kind & 0x20 == 0 { 443 } else { 53 };
    let id = ConnectionId(1);
    let mut wire = Wire::new(VENDORS.clone());
    wire.opened(&Connection::new(id, role, transport, Some(([127, 0, 0, 1].into(), port))));
    for (direction, length, copied) in Transfers::new(data) {
        check(&wire.reduce(id, direction, length, copied), copied);
    }
    wire.closed(id);
});
