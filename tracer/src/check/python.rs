//! What can be seen in each Python process of the host.

use crate::{
    check::{ProbeCheck, ProcessCheck},
    event::Unknown,
    python::{
        binary::{self, Binary, Role, Subject},
        discover, layout,
        library::Library,
        process::{self, LoadedLibrary, PythonProcess},
    },
    report::bucket::Bucket,
};

/// Probes of CPython by name, the role that shows that one is there, and what is missing where it is not.
const PROBES: [(&str, &[Role], Subject); 4] = [
    ("contexts", &[Role::ContextEnter, Role::ContextEnterExported], Subject::Contexts),
    ("context copies", &[Role::ContextCopied], Subject::ContextCopies),
    ("garbage collections", &[Role::GcStart], Subject::Gc),
    ("imports", &[Role::ImportStart], Subject::Imports),
];

/// Every Python process that can be looked at. One that ends in between is left out.
pub fn processes() -> Vec<ProcessCheck> {
    let inspected = discover::scan().into_iter().filter_map(|pid| process::inspect(pid).ok().flatten());
    inspected.map(|process| check(&process)).collect()
}

fn check(process: &PythonProcess) -> ProcessCheck {
    let mut check = ProcessCheck {
        pid: process.tgid,
        exe: process.exe.clone(),
        cmdline: process.cmdline.clone(),
        ..ProcessCheck::default()
    };
    let Some(mapped) = process.binaries.first() else { return check };
    match binary::inspect(&mapped.file) {
        Ok(binary) => {
            check.python = binary.version.clone();
            check.probes =
                PROBES.iter().map(|(name, roles, subject)| probe(&binary, name, roles, *subject)).collect();
            check.probes.push(context_ends(process, &binary));
            let pools = module(process, &binary, Library::Queue);
            let mut facts = process.facts(&binary);
            let sampled =
                process.layouts(&binary).into_iter().flat_map(|(frames, _)| layout::sampled(&frames));
            sampled.for_each(|bucket| facts.is_sampled(bucket.name()));
            (check.unknown, check.sampled) = (facts.unknown, facts.sampled);
            if let Err(reason) = &pools {
                let (bucket, reason) = (Bucket::WaitExecutor.name().to_owned(), reason.clone());
                check.unknown.push(Unknown { bucket, reason });
            }
            let (available, reason) = (pools.is_ok(), pools.err());
            check.probes.push(ProbeCheck { name: "thread pools".to_owned(), available, reason });
            check.probes.push(plaintext(process, &binary));
        }
        Err(error) => {
            let reason = Some(error.to_string());
            check.probes = vec![ProbeCheck { name: "python".to_owned(), available: false, reason }];
        }
    }
    check
}

/// Whether a module of the standard library can be probed, or why not.
fn module(process: &PythonProcess, binary: &Binary, module: Library) -> Result<(), String> {
    let file = process.library(module, binary)?;
    module.points(&file, binary.object_head).map(|_| ())
}

/// What calls over TLS tell: model, status, tokens.
fn plaintext(process: &PythonProcess, binary: &Binary) -> ProbeCheck {
    let of_openssl = |(library, file): &LoadedLibrary| {
        *library == Library::Openssl
            && file.as_ref().is_ok_and(|file| Library::Openssl.points(file, binary.object_head).is_ok())
    };
    let reason = module(process, binary, Library::Ssl).err();
    let available = reason.is_none() || process.libraries.iter().any(of_openssl);
    ProbeCheck { name: "plaintext of TLS".to_owned(), available, reason: reason.filter(|_| !available) }
}

/// Read in the process, or told by a point.
fn context_ends(process: &PythonProcess, binary: &Binary) -> ProbeCheck {
    let are_read = process.layouts(binary).is_some_and(|(frames, _)| frames.has_contexts());
    let told =
        probe(binary, "context ends", &[Role::ContextExit, Role::ContextExitExported], Subject::ContextExit);
    if are_read { ProbeCheck { available: true, reason: None, ..told } } else { told }
}

fn probe(binary: &Binary, name: &str, roles: &[Role], subject: Subject) -> ProbeCheck {
    let available = binary.points.iter().any(|point| roles.contains(&point.role));
    let missing = binary.missing.iter().find(|missing| missing.what == subject);
    let reason = missing.filter(|_| !available).map(|missing| missing.reason.clone());
    ProbeCheck { name: name.to_owned(), available, reason }
}
