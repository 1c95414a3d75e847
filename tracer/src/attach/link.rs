//! Uprobes: our own loading and attaching, because aya 0.14 attaches one perf event per point (100 of them
//! take ten seconds to close) and knows no USDT semaphores.
//!
//! One `uprobe_multi` link carries all points of a file (6.6 and later). Older kernels get a perf event per point, and those
//! before 5.15, which give programs no cookie, a copy of the program for each.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use super::{
    sys,
    uprobe::{Copies, Way},
};

/// A place to probe in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UprobePoint {
    /// Of the instruction, in the file.
    pub offset: u64,
    /// Of the USDT semaphore, in the file; 0 where there is none. The kernel counts it up while attached.
    pub semaphore: u64,
    /// As [`tracer_ebpf::cookie::pack`] makes it.
    pub cookie: u64,
    /// Probes the return of the function that starts there, instead of its entry.
    pub returns: bool,
}

/// Attached points; dropping it detaches them.
#[derive(Debug)]
pub struct Attached {
    links: Vec<Link>,
    /// Points that could not be attached, while others could.
    pub refused: Vec<Refused>,
}

impl Attached {
    /// Links in the kernel: one for many points, or one for each.
    pub fn links(&self) -> usize {
        self.links.len()
    }
}

/// A point that the kernel refused.
#[derive(Debug)]
pub struct Refused {
    pub point: UprobePoint,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("the uprobe programs are not loaded: {0}")]
    NotLoaded(String),
    #[error("none of {points} points could be attached; at offset {offset:#x}: {reason}")]
    All { points: usize, offset: u64, reason: String },
}

/// Fields are dropped in order: the link goes before the event that it hangs on.
#[derive(Debug)]
struct Link {
    _link: Option<OwnedFd>,
    _event: Option<OwnedFd>,
}

/// The programs of uprobes, as this kernel attaches them.
#[derive(Debug)]
pub struct Uprobes {
    way: Way,
}

impl Uprobes {
    pub(super) fn new(way: Way) -> Uprobes {
        Uprobes { way }
    }

    /// Whether points can be attached in one process alone.
    pub fn can_choose(&self) -> bool {
        matches!(self.way, Way::Multi(_))
    }

    /// What the way to attach costs, where it is not the best one.
    pub(super) fn fallback(&self) -> Option<&'static str> {
        match self.way {
            Way::Multi(_) => None,
            Way::Single(_) => Some(
                "a perf event for each point stands in for uprobe_multi links (6.6): a hundred points take ten seconds \
                 to detach",
            ),
            Way::Copies(_) => Some(
                "a program for each kind of point stands in for attach cookies (5.15), and a perf event for each point \
                 for uprobe_multi links (6.6): a hundred points take ten seconds to detach",
            ),
        }
    }

    /// Attaches all points that the kernel takes, in one process or in every. Fails if it takes none.
    pub fn attach(
        &self,
        file: &File,
        points: &[UprobePoint],
        tgid: Option<u32>,
    ) -> Result<Attached, AttachError> {
        let mut attached = Attached { links: Vec::new(), refused: Vec::new() };
        for returns in [false, true] {
            let group: Vec<UprobePoint> =
                points.iter().copied().filter(|point| point.returns == returns).collect();
            if !group.is_empty() {
                self.attach_group(file, &group, returns, tgid, &mut attached);
            }
        }
        match attached.refused.first() {
            Some(first) if attached.links.is_empty() => Err(AttachError::All {
                points: points.len(),
                offset: first.point.offset,
                reason: first.reason.clone(),
            }),
            _ => Ok(attached),
        }
    }

    /// All in one link; if the kernel refuses it, each on its own, to find which it refuses.
    fn attach_group(
        &self,
        file: &File,
        group: &[UprobePoint],
        returns: bool,
        tgid: Option<u32>,
        attached: &mut Attached,
    ) {
        if let Way::Multi(programs) = &self.way
            && let Ok(link) = attach_multi(programs.of(returns), file, group, returns, tgid)
        {
            attached.links.push(link);
            return;
        }
        for point in group {
            let result = match &self.way {
                Way::Multi(programs) => attach_multi(programs.of(returns), file, &[*point], returns, tgid),
                Way::Single(programs) => attach_single(programs.of(returns), file, point),
                Way::Copies(programs) => attach_copy(programs, file, point),
            };
            match result {
                Ok(link) => attached.links.push(link),
                Err(error) => {
                    attached.refused.push(Refused { point: *point, reason: explain(&error, point) });
                }
            }
        }
    }
}

fn attach_multi(
    program: &OwnedFd,
    file: &File,
    points: &[UprobePoint],
    returns: bool,
    tgid: Option<u32>,
) -> io::Result<Link> {
    let link = sys::link_uprobe_multi(program, &path_of(file), points, returns, tgid)?;
    Ok(Link { _link: Some(link), _event: None })
}

fn attach_single(program: &OwnedFd, file: &File, point: &UprobePoint) -> io::Result<Link> {
    let event = sys::open_uprobe_event(&path_of(file), point)?;
    let link = sys::link_perf_event(program, &event, point.cookie)?;
    Ok(Link { _link: Some(link), _event: Some(event) })
}

fn attach_copy(programs: &Copies, file: &File, point: &UprobePoint) -> io::Result<Link> {
    let program = programs.of(point.returns, point.cookie)?;
    let event = sys::open_uprobe_event(&path_of(file), point)?;
    sys::set_program_of_event(&event, &program)?;
    Ok(Link { _link: None, _event: Some(event) })
}

/// A path that means the open file also where its own path is that of another mount namespace.
fn path_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn explain(error: &io::Error, point: &UprobePoint) -> String {
    match error.raw_os_error() {
        Some(libc::EINVAL) => format!(
            "{error}: offset {:#x} with semaphore {:#x} is refused; another tool may hold this point with \
             another semaphore, or none: stop that tool, or trace without this point",
            point.offset, point.semaphore
        ),
        Some(libc::EPERM | libc::EACCES) => {
            format!("{error}: attaching uprobes needs CAP_BPF and CAP_PERFMON; run as root")
        }
        _ => error.to_string(),
    }
}
