//! Folded stacks, as flame graph tools take them: `route;function;[bucket] ns`, one line each.

use std::collections::BTreeMap;

use super::profile;
use crate::report::{filter::Filter, group, text::format::printable, types::Report};

/// The lines in order; their numbers are nanoseconds of wall time, and sum to that of the requests.
pub fn render(report: &Report, filter: &Filter) -> String {
    let mut lines = BTreeMap::<String, u64>::new();
    for group in group::by_route(filter.select(report)) {
        for (stack, weight) in profile::of(&group.requests) {
            let frames = stack.frames.iter().map(|place| frame(&place.label()));
            let names: Vec<String> =
                std::iter::once(frame(&group.label)).chain(frames).chain(stack.leaf()).collect();
            let wall_ns = lines.entry(names.join(";")).or_default();
            *wall_ns = wall_ns.saturating_add(weight.wall_ns);
        }
    }
    lines.retain(|_, wall_ns| *wall_ns > 0);
    lines.into_iter().map(|(stack, wall_ns)| format!("{stack} {wall_ns}\n")).collect()
}

/// A semicolon would end it.
fn frame(name: &str) -> String {
    printable(name).replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::cases, report::bucket::Bucket};

    #[test]
    fn what_ends_a_frame_is_no_part_of_its_name() {
        let request = cases::request("/a;b\n1 2", 0, &[(Bucket::WaitLoop, 3)]);
        let folded = render(&cases::report([request]), &Filter::default());
        assert_eq!(folded, "GET /a:b\u{fffd}1 2;[wait.loop] 3000000\n");
    }
}
