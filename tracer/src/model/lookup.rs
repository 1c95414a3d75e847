//! Name lookups, joined to calls by host: asyncio looks names up in a pool thread, so the thread that asked
//! is not the one that connects.

use foldhash::HashMap;

use crate::request::call::Span;

/// A lookup that ended this long before a connection needed it belongs to something else.
const MAX_AGE_NS: u64 = 30_000_000_000;

/// Names kept per process.
const LIMIT: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Lookup {
    span: Span,
    /// A connection took it: the lookup was made once, so one call has it.
    taken: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Lookups {
    by_name: HashMap<String, Vec<Lookup>>,
    /// Start of the queries that are under way, by DNS id and name.
    asked: HashMap<(u16, String), u64>,
}

impl Lookups {
    /// A query was sent. `start_ns` is when the thread began to look the name up.
    pub fn query(&mut self, id: u16, name: &str, start_ns: u64) {
        if self.asked.len() >= LIMIT {
            self.asked.clear();
        }
        self.asked.entry((id, key(name))).or_insert(start_ns);
    }

    /// An answer was read. The A and the AAAA answer of a name extend one lookup.
    pub fn answer(&mut self, id: u16, name: &str, end_ns: u64) {
        let Some(start_ns) = self.asked.remove(&(id, key(name))) else { return };
        if self.by_name.len() >= LIMIT {
            self.by_name.clear();
        }
        let lookups = self.by_name.entry(key(name)).or_default();
        match lookups.iter_mut().find(|lookup| lookup.span.start_ns == start_ns) {
            Some(lookup) => lookup.span.end_ns = end_ns,
            None => lookups.push(Lookup { span: Span { start_ns, end_ns }, taken: false }),
        }
        lookups.retain(|lookup| end_ns.saturating_sub(lookup.span.end_ns) < MAX_AGE_NS);
    }

    /// The lookup of `host` that a connect at `connect_ns` waited for: of those that began after its request,
    /// at `since_ns`, and ended before it, the first that no other call has.
    pub fn take(&mut self, host: &str, since_ns: u64, connect_ns: u64) -> Option<Span> {
        let lookups = self.by_name.get_mut(&key(host))?;
        let lookup = lookups
            .iter_mut()
            .filter(|lookup| !lookup.taken && lookup.span.start_ns >= since_ns)
            .filter(|lookup| lookup.span.end_ns <= connect_ns && connect_ns - lookup.span.end_ns < MAX_AGE_NS)
            .min_by_key(|lookup| lookup.span.end_ns)?;
        lookup.taken = true;
        Some(lookup.span)
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_is_taken_once_by_its_host() {
        let mut lookups = Lookups::default();
        lookups.query(1, "api.openai.com", 100);
        lookups.query(2, "api.openai.com", 100);
        lookups.answer(1, "api.openai.com.", 150);
        lookups.answer(2, "API.openai.com", 160);
        assert_eq!(lookups.take("api.openai.com", 100, 155), None);
        assert_eq!(lookups.take("api.openai.com", 101, 170), None);
        assert_eq!(lookups.take("api.openai.com", 100, 170), Some(Span { start_ns: 100, end_ns: 160 }));
        assert_eq!(lookups.take("api.openai.com", 100, 171), None);
        assert_eq!(lookups.take("api.anthropic.com", 0, 171), None);
    }
}
