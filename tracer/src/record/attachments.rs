//! What is attached in the files that contain CPython, and in libraries beside it: in all processes of a file, until one of them takes so many steps
//! that this slows it down; from then on in each of the others.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    sync::Arc,
};

use crate::{
    attach::{
        link::{Attached, UprobePoint},
        load::Probes,
    },
    event::Unknown,
    python::{
        binary::{self, Binary, PythonPoint, Role},
        identity::FileId,
        library::Library,
        process::PythonProcess,
    },
    record::points::{bucket_of, uprobe_point},
};

/// Files that stay attached; another one gives nothing more than kernel events.
const MAX_FILES: usize = 512;

#[derive(Default)]
pub struct Attachments {
    /// Files with their points attached, or why they are not.
    by_file: HashMap<Subject, Result<Attachment, String>>,
    /// Files that contain CPython; nothing where they can't be made sense of, which was said.
    interpreters: HashMap<FileId, Option<Interpreter>>,
    /// The files of each process.
    files: HashMap<u32, Vec<Subject>>,
    /// Processes whose steps are not followed.
    too_fast: HashSet<u32>,
}

/// What a file is attached as: CPython, which may have a library built in, or a library.
type Subject = (FileId, Option<Library>);

/// What is known of a process by its interpreter's file.
struct Interpreter {
    binary: Arc<Binary>,
    /// Buckets that it lost because a point could not be attached.
    unknown: Vec<Unknown>,
}

/// A file with its points attached. Dropping it detaches them.
struct Attachment {
    file: File,
    steps: Vec<UprobePoint>,
    attached: Steps,
    /// Points that are no steps'.
    _rest: Option<Attached>,
}

enum Steps {
    Everywhere { _attached: Option<Attached> },
    In(HashMap<u32, Option<Attached>>),
}

impl Attachments {
    /// Looks at every Python that a process maps; gives the first, its interpreter.
    pub fn inspect(&mut self, process: &PythonProcess) -> Option<Arc<Binary>> {
        let mut interpreter = None;
        for mapped in &process.binaries {
            if !self.interpreters.contains_key(&mapped.identity) && self.interpreters.len() < MAX_FILES {
                let inspected = binary::inspect(&mapped.file)
                    .map(|binary| Interpreter { binary: Arc::new(binary), unknown: Vec::new() })
                    .inspect_err(|error| eprintln!("tracer: {}: {error}", mapped.path));
                self.interpreters.insert(mapped.identity, inspected.ok());
            }
            let known = self.interpreters.get(&mapped.identity).and_then(Option::as_ref);
            interpreter = interpreter.or(known.map(|known| Arc::clone(&known.binary)));
        }
        interpreter
    }

    /// Attaches every Python that [`Attachments::inspect`] found in a process; gives what its interpreter lost by that.
    /// With `reads_contexts` the probes read which context a thread is in, and nothing else needs to tell that it left one.
    pub fn add(&mut self, probes: &Probes, process: &PythonProcess, reads_contexts: bool) -> Vec<Unknown> {
        self.files.insert(process.tgid, Vec::new());
        for mapped in &process.binaries {
            let subject = (mapped.identity, None);
            if !self.by_file.contains_key(&subject)
                && let Some(Some(known)) = self.interpreters.get_mut(&mapped.identity)
            {
                let is_needed = |point: &&PythonPoint| !(reads_contexts && point.role.is_exit());
                let points = known.binary.points.iter().filter(is_needed);
                let attached = attach(probes, &mapped.file, points, &mut known.unknown);
                if let Err(reason) = &attached {
                    eprintln!("tracer: {}: {reason}", mapped.path);
                }
                self.by_file.insert(subject, attached);
            }
            self.maps(probes, process.tgid, subject);
        }
        self.interpreter(process.tgid).map_or(Vec::new(), |known| known.unknown.clone())
    }

    /// Attaches a library that a process maps besides its Python, or will. The error is a clause for the user.
    pub fn add_library(
        &mut self,
        probes: &Probes,
        tgid: u32,
        library: Library,
        file: &File,
    ) -> Result<(), String> {
        let subject = (FileId::of(file).map_err(|error| error.to_string())?, Some(library));
        if !self.by_file.contains_key(&subject) {
            if self.by_file.len() >= MAX_FILES {
                return Err(format!("{MAX_FILES} files are attached already"));
            }
            let object_head = self.interpreter(tgid).map_or(16, |known| known.binary.object_head);
            let attached = library.points(file, object_head).and_then(|points| {
                let mut unknown = Vec::new();
                let attached = attach(probes, file, &points, &mut unknown)?;
                unknown.pop().map_or(Ok(attached), |unknown| Err(unknown.reason))
            });
            self.by_file.insert(subject, attached);
        }
        self.maps(probes, tgid, subject);
        match self.by_file.get(&subject) {
            Some(Err(reason)) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// What is known of a process by its interpreter's file.
    fn interpreter(&self, tgid: u32) -> Option<&Interpreter> {
        self.files.get(&tgid)?.iter().find_map(|(file, _)| self.interpreters.get(file)?.as_ref())
    }

    fn maps(&mut self, probes: &Probes, tgid: u32, file: Subject) {
        let files = self.files.entry(tgid).or_default();
        if !files.contains(&file) {
            files.push(file);
            self.join(probes, tgid);
        }
    }

    /// Processes that map something of what is attached.
    pub fn processes(&self) -> impl Iterator<Item = u32> + '_ {
        self.files.keys().copied()
    }

    /// A process is the copy of another one.
    pub fn forked(&mut self, probes: &Probes, tgid: u32, child_tgid: u32) {
        if let Some(files) = self.files.get(&tgid).cloned() {
            self.files.insert(child_tgid, files);
            self.join(probes, child_tgid);
        }
    }

    /// A process ended, or runs another program.
    pub fn ended(&mut self, tgid: u32) {
        self.too_fast.remove(&tgid);
        for file in self.files.remove(&tgid).unwrap_or_default() {
            if let Some(Ok(Attachment { attached: Steps::In(processes), .. })) = self.by_file.get_mut(&file) {
                processes.remove(&tgid);
            }
        }
    }

    /// Follows the steps of a process no longer. Gives the others of its files, which missed some meanwhile; `None`
    /// where the kernel can't choose, and nothing was done.
    pub fn detach(&mut self, probes: &Probes, tgid: u32) -> Option<Vec<u32>> {
        if !probes.can_choose() || !self.too_fast.insert(tgid) {
            return None;
        }
        let files = self.files.get(&tgid).cloned().unwrap_or_default();
        for file in &files {
            let Some(Ok(attachment)) = self.by_file.get_mut(file) else { continue };
            match &mut attachment.attached {
                // Both at once would tell every step twice.
                attached @ Steps::Everywhere { .. } => *attached = Steps::In(HashMap::new()),
                Steps::In(processes) => drop(processes.remove(&tgid)),
            }
        }
        let shares = |of: &Vec<Subject>| of.iter().any(|file| files.contains(file));
        let users = self.files.iter().filter(|(user, of)| **user != tgid && shares(of));
        let others: Vec<u32> = users.map(|(user, _)| *user).collect();
        others.iter().for_each(|other| self.join(probes, *other));
        Some(others)
    }

    /// Attaches in a process what is not attached in all.
    fn join(&mut self, probes: &Probes, tgid: u32) {
        if self.too_fast.contains(&tgid) {
            return;
        }
        for file in self.files.get(&tgid).into_iter().flatten() {
            let Some(Ok(attachment)) = self.by_file.get_mut(file) else { continue };
            if let Steps::In(processes) = &mut attachment.attached {
                // Of one that ended meanwhile nothing is to be told.
                let attach = || probes.attach(&attachment.file, &attachment.steps, Some(tgid)).ok();
                processes.entry(tgid).or_insert_with(attach);
            }
        }
    }
}

fn attach<'a>(
    probes: &Probes,
    file: &File,
    points: impl IntoIterator<Item = &'a PythonPoint>,
    unknown: &mut Vec<Unknown>,
) -> Result<Attachment, String> {
    let (steps, rest): (Vec<&PythonPoint>, Vec<&PythonPoint>) =
        points.into_iter().partition(|point| is_of_steps(point.role));
    let everywhere = attach_points(probes, file, &steps, unknown);
    let rest = attach_points(probes, file, &rest, unknown);
    let steps = steps.into_iter().map(uprobe_point).collect();
    let file = file.try_clone().map_err(|error| error.to_string())?;
    Ok(Attachment { file, steps, attached: Steps::Everywhere { _attached: everywhere }, _rest: rest })
}

/// Whether a point is hit at every step.
fn is_of_steps(role: Role) -> bool {
    matches!(
        role,
        Role::ContextEnter
            | Role::ContextExit
            | Role::ContextEnterExported
            | Role::ContextExitExported
            | Role::ContextCopied
            | Role::ContextMade
            | Role::GreenletFreed
            | Role::FutureSet
            | Role::GreenletCreated
            | Role::GreenletSwitched
    )
}

fn attach_points(
    probes: &Probes,
    file: &File,
    points: &[&PythonPoint],
    unknown: &mut Vec<Unknown>,
) -> Option<Attached> {
    let uprobes: Vec<UprobePoint> = points.iter().map(|point| uprobe_point(point)).collect();
    if uprobes.is_empty() {
        return None;
    }
    match probes.attach(file, &uprobes, None) {
        Ok(attached) => {
            for refused in &attached.refused {
                let point = points.iter().find(|point| uprobe_point(point) == refused.point);
                if let Some(bucket) = point.and_then(|point| bucket_of(point.role)) {
                    unknown.push(Unknown { bucket: bucket.to_owned(), reason: refused.reason.clone() });
                }
            }
            Some(attached)
        }
        Err(error) => {
            let buckets: HashSet<_> = points.iter().filter_map(|point| bucket_of(point.role)).collect();
            let reason = error.to_string();
            let lost = |bucket: &str| Unknown { bucket: bucket.to_owned(), reason: reason.clone() };
            unknown.extend(buckets.into_iter().map(lost));
            None
        }
    }
}
