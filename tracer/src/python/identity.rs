//! Which file an open file is.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
};

/// Identity of a file. What overlay file systems show of one file below them is that file, in each of them: the kernel puts
/// probes into it, so that attaching it once for each container would tell everything several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

impl FileId {
    /// The identity of an open file.
    pub fn of(file: &File) -> io::Result<FileId> {
        let metadata = file.metadata()?;
        let shown = FileId { dev: metadata.dev(), ino: metadata.ino() };
        if !is_overlay(file) {
            return Ok(shown);
        }
        let Some(handle) = handle(file) else { return Ok(by_mapping(file).unwrap_or(shown)) };
        // The copy that a container has made for itself keeps the handle, but has changed since.
        let mut hasher = DefaultHasher::new();
        (handle, metadata.ctime(), metadata.ctime_nsec()).hash(&mut hasher);
        Ok(FileId { dev: hasher.finish(), ino: metadata.ino() })
    }
}

fn is_overlay(file: &File) -> bool {
    // SAFETY: all zeros is a value of this struct, which outlives the call.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open as long as the file is borrowed.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut about) };
    result == 0 && about.f_type == libc::OVERLAYFS_SUPER_MAGIC
}

/// What an overlay file system calls the file below it, of kernel 6.6 and later.
fn handle(file: &File) -> Option<Vec<u8>> {
    #[repr(C)]
    struct Handle {
        bytes: libc::c_uint,
        kind: libc::c_int,
        handle: [u8; libc::MAX_HANDLE_SZ as usize],
    }
    let mut found = Handle {
        bytes: libc::MAX_HANDLE_SZ as libc::c_uint,
        kind: 0,
        handle: [0; libc::MAX_HANDLE_SZ as usize],
    };
    let mut mount = 0;
    // SAFETY: the struct begins as the kernel's does, and has room for as many bytes as it says; both outlive the call.
    let result = unsafe {
        libc::name_to_handle_at(
            file.as_raw_fd(),
            c"".as_ptr(),
            (&raw mut found).cast::<libc::file_handle>(),
            &raw mut mount,
            libc::AT_EMPTY_PATH | libc::AT_HANDLE_FID,
        )
    };
    (result == 0).then(|| found.handle[..(found.bytes as usize).min(found.handle.len())].to_vec())
}

/// Earlier kernels name the file below in the list of mappings.
fn by_mapping(file: &File) -> Option<FileId> {
    const LENGTH: usize = 1;
    // SAFETY: a new mapping, of which nothing is read, and which is undone below.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), LENGTH, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    let maps = fs::read_to_string("/proc/self/maps");
    // SAFETY: it was mapped above, and nobody else knows of it.
    unsafe { libc::munmap(address, LENGTH) };
    let start = format!("{:x}-", address as usize);
    let maps = maps.ok()?;
    // Addresses, permissions, offset, device, inode.
    let mut fields = maps.lines().find(|line| line.starts_with(&start))?.split_whitespace().skip(3);
    let (major, minor) = fields.next()?.split_once(':')?;
    Some(FileId { dev: libc::makedev(hex(major)?, hex(minor)?), ino: fields.next()?.parse().ok()? })
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_the_same_file() {
        let file = File::open(std::env::current_exe().expect("it has one")).expect("it is there");
        let identity = FileId::of(&file).expect("it is open");
        assert!(is_overlay(&file) || by_mapping(&file) == Some(identity));
        let other = File::open("/proc/self/exe").expect("it is there");
        assert_eq!(FileId::of(&other).expect("it is open"), identity);
    }
}
