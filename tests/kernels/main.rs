//! What the tracer did on each kernel, held against what is expected there. Run by `cargo xtask test kernels`, which leaves the results.

mod kernel;
mod table;

use kernel::{Kernel, MOST_INSTRUCTIONS};
use table::Table;
use tests::{compare::Comparison, counted, golden};
use tracer::{
    attach::verify::NOT_NEEDED,
    report::{bucket::Bucket, types::Process},
};

#[test]
fn every_kernel_gives_what_is_expected_of_its_age() {
    let kernels = Kernel::all();
    let mut table = Table::new("kernel", kernels.iter().map(|kernel| kernel.version()));
    for name in unique(kernels.iter().flat_map(Kernel::probe_names)) {
        table.row(&format!("probe {name}"), kernels.iter().map(|kernel| kernel.probe(name)));
    }
    for name in Bucket::ALL.map(Bucket::name) {
        table.row(&format!("bucket {name}"), kernels.iter().map(|kernel| kernel.bucket(name)));
    }
    eprintln!("{table}");
    for kernel in &kernels {
        eprintln!("{} ({}):{}", kernel.release, kernel.text("version").trim(), kernel.reasons());
    }
    for kernel in &kernels {
        golden::assert_matches(&format!("kernels/{}.txt", kernel.age()), &kernel.summary());
    }
}

#[test]
fn no_program_comes_near_the_verifiers_limit() {
    let kernels = Kernel::all();
    let mut table = Table::new("instructions", kernels.iter().map(|kernel| kernel.version()));
    for name in unique(kernels.iter().flat_map(Kernel::program_names)) {
        table.row(name, kernels.iter().map(|kernel| kernel.instructions(name)));
    }
    eprintln!("{table}");
    for kernel in &kernels {
        for program in kernel.programs() {
            match program.instructions {
                Some(count) => assert!(
                    count < MOST_INSTRUCTIONS,
                    "{} takes the verifier of {} {count} instructions, of at most {MOST_INSTRUCTIONS}",
                    program.name,
                    kernel.release
                ),
                None => assert!(
                    program.reason.contains("has no tracepoint") || program.reason.contains(NOT_NEEDED),
                    "{} is refused by {}: {}",
                    program.name,
                    kernel.release,
                    program.reason
                ),
            }
        }
    }
}

/// What is not in that frame is used while the program can't be preempted.
#[test]
fn programs_of_uprobes_begin_in_an_empty_frame() {
    for kernel in Kernel::all() {
        let of_uprobes = kernel.programs().iter().filter(|program| program.name.starts_with("python_"));
        let frames: Vec<Option<u32>> = of_uprobes.map(|program| program.frame_bytes).collect();
        assert_eq!(frames, [Some(0), Some(0), Some(0)], "{}", kernel.release);
    }
}

#[test]
fn requests_are_found_and_calls_linked_on_every_kernel() {
    for kernel in Kernel::all() {
        let (report, truth) = (kernel.report(), kernel.truth());
        let comparison = Comparison::new(&kernel.release, &report, &truth);
        eprintln!("{comparison}");
        assert!(comparison.requests > 0, "{}: the application answered nothing", kernel.release);
        assert_eq!(comparison.found, comparison.requests, "{}: requests found", kernel.release);
        assert_eq!(comparison.links.wrong, 0, "{}: calls linked to a wrong request", kernel.release);
        assert_eq!(comparison.links.missing, 0, "{}: calls not linked", kernel.release);
        assert_eq!(comparison.links.extra, 0, "{}: calls that the vendor did not see", kernel.release);
        let missed = comparison.check_lost(kernel.most_missed());
        for request in &report.requests {
            assert_eq!(request.buckets.sum(), request.wall_ns, "{}: {}", kernel.release, request.id);
        }
        let incomplete = report.requests.iter().filter(|request| !request.complete).count();
        assert!(incomplete == 0 || missed > 0, "{}: {incomplete} requests are not complete", kernel.release);
    }
}

#[test]
fn programs_do_the_same_as_without_the_tracer_on_every_kernel() {
    for kernel in Kernel::all() {
        let (alone, traced) = (kernel.text("safety-alone"), kernel.text("safety-traced"));
        let done = alone.trim_end().strip_suffix("exit code 0");
        let done = done.unwrap_or_else(|| panic!("{}: alone it ended otherwise:\n{alone}", kernel.release));
        assert!(traced.starts_with(done), "{}: alone\n{alone}traced\n{traced}", kernel.release);
        assert!(traced.ends_with("exit code 0\n"), "{}: {traced}", kernel.release);
        assert_eq!(
            kernel.text("killed"),
            "ready\nexit code 0\n",
            "{}: a tracer came and went",
            kernel.release
        );
        for end in ["KILL", "INT"] {
            let said = kernel.text(&format!("{end}.stderr"));
            assert!(
                said.contains("recording"),
                "{}: a tracer that is to end by {end}: {said}",
                kernel.release
            );
        }
        assert!(kernel.text("tracers").contains("INT exit code 0"), "{}", kernel.release);
        let console = kernel.text("console");
        let complaint = ["BUG:", "Oops", "WARNING:"];
        let complaint = complaint.into_iter().find(|word| console.contains(word));
        assert_eq!(complaint, None, "{}: the kernel complains:\n{console}", kernel.release);
    }
}

#[test]
fn functions_are_counted_exactly_on_every_kernel() {
    for kernel in Kernel::all() {
        let (told, said) = (kernel.text("functions"), kernel.text("functions.stderr"));
        if said.contains("functions can't be counted: ") && said.contains("function probes") {
            eprintln!("{}: the system's Python has no function probes", kernel.release);
            continue;
        }
        assert!(told.contains("{\n"), "{}: no report: {said}", kernel.release);
        let (children, parent): (Vec<_>, Vec<_>) =
            counted::truths(&told).into_iter().partition(counted::Truth::is_of_child);
        counted::check((&kernel.release, 11), &counted::counts(&told), &children, 1);
        counted::check((&kernel.release, 11), &counted::counts(&told), &parent, 2);
    }
}

/// Where there is the second version's hierarchy alone, whose names are those of systemd's units.
#[test]
fn containers_are_named_by_cgroups_of_the_second_version() {
    let kernels = Kernel::all();
    let tried: Vec<_> = kernels.iter().filter(|kernel| !kernel.text("cgroups").is_empty()).collect();
    assert!(!tried.is_empty(), "no kernel ran containers");
    for kernel in tried {
        let release = &kernel.release;
        let cgroups = kernel.text("cgroups");
        assert_eq!(cgroups.lines().count(), 1, "{release}: {cgroups}");
        assert!(cgroups.contains(" /sys/fs/cgroup cgroup2 "), "{release}: {cgroups}");
        let report = kernel.containers();
        for (name, when) in [("1", "before the tracer"), ("2", "after it")] {
            let said = kernel.text(&format!("container-{name}"));
            let end = format!("{said}{}", kernel.text(&format!("container-{name}.stderr")));
            assert!(said.ends_with("exit code 0\n"), "{release}: a container that came {when}: {end}");
            let id = name.repeat(64);
            let is_its = |process: &&Process| process.container_id.as_deref() == Some(&*id);
            let processes: Vec<_> = report.processes.iter().filter(is_its).collect();
            let [process] = processes[..] else {
                panic!("{release}: of a container that came {when}: {:?}", report.processes)
            };
            let served = report.requests.iter().filter(|request| {
                request.pid == process.pid
                    && request.path.as_deref().is_some_and(|path| path.starts_with("/work/"))
            });
            assert_eq!(served.count(), 5, "{release}: requests to a container that came {when}");
        }
    }
}

/// In the order in which they first come.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}
