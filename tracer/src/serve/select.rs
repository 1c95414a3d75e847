//! Which processes are traced.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::{
    container,
    record::choice::Choice,
    serve::{
        config::{Config, Patterns},
        kubernetes::{Directory, Rules},
    },
};

/// Who has a name. Users of a directory service go by their number.
const USERS: &str = "/etc/passwd";

/// The patterns of a configuration.
pub struct Selection {
    select: Globs,
    exclude: Globs,
    rules: Rules,
    directory: Directory,
}

struct Globs {
    executables: GlobSet,
    command_lines: GlobSet,
    users: GlobSet,
    containers: GlobSet,
}

/// What patterns are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Properties {
    executable: String,
    command_line: String,
    user: String,
    container: String,
}

impl Selection {
    /// `directory` has the pods that are known.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(config: &Config, directory: Directory) -> anyhow::Result<Selection> {
        Ok(Selection {
            select: Globs::new(&config.select).context("[select]")?,
            exclude: Globs::new(&config.exclude).context("[exclude]")?,
            rules: Rules::new(&config.kubernetes)?,
            directory,
        })
    }

    fn wants(&self, properties: &Properties) -> bool {
        let all = self.select.matches(properties).iter().all(|matches| *matches);
        all && !self.exclude.matches(properties).contains(&true)
    }
}

impl Choice for Selection {
    fn is_meant(&self, tgid: u32) -> Option<bool> {
        let Ok(properties) = Properties::of(tgid) else { return Some(false) };
        if !self.wants(&properties) {
            return Some(false);
        }
        if properties.container.is_empty() {
            return Some(true);
        }
        let container = container::describe(tgid, &properties.container);
        self.directory.judge(&self.rules, &container)
    }

    /// Patterns are for the program that a process starts with: what is traced stays traced, but for what its pod says.
    fn may_stay(&self, tgid: u32) -> bool {
        let Some(id) = container::id(tgid) else { return true };
        self.directory.judge(&self.rules, &container::describe(tgid, &id)) != Some(false)
    }

    fn version(&self) -> u64 {
        self.directory.version()
    }
}

impl Globs {
    fn new(patterns: &Patterns) -> anyhow::Result<Globs> {
        Ok(Globs {
            executables: globs(&patterns.executables)?,
            command_lines: globs(&patterns.command_lines)?,
            users: globs(&patterns.users)?,
            containers: globs(&patterns.containers)?,
        })
    }

    fn matches(&self, properties: &Properties) -> [bool; 4] {
        [
            self.executables.is_match(&properties.executable),
            self.command_lines.is_match(&properties.command_line),
            self.users.is_match(&properties.user),
            self.containers.is_match(&properties.container),
        ]
    }
}

fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).with_context(|| format!("the pattern `{pattern}`"))?);
    }
    Ok(set.build()?)
}

impl Properties {
    fn of(tgid: u32) -> io::Result<Properties> {
        let directory = Path::new("/proc").join(tgid.to_string());
        let status = fs::read_to_string(directory.join("status"))?;
        let uid = effective_uid(&status).unwrap_or_default();
        let command_line = fs::read(directory.join("cmdline"))?;
        let command_line = String::from_utf8_lossy(&command_line);
        let users = fs::read_to_string(USERS).unwrap_or_default();
        Ok(Properties {
            executable: fs::read_link(directory.join("exe"))?.to_string_lossy().into_owned(),
            command_line: command_line.trim_end_matches('\0').replace('\0', " "),
            user: name_of(uid, &users).unwrap_or(uid).to_owned(),
            container: container::id(tgid).unwrap_or_default(),
        })
    }
}

/// `status` is that of `/proc/PID`: `Uid:` has the real, effective, saved and file system's one.
fn effective_uid(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)
}

/// `users` is as in [`USERS`]: name, password, number, ..., between colons.
fn name_of<'a>(uid: &str, users: &'a str) -> Option<&'a str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &str) -> Selection {
        Selection::new(&Config::parse(text).expect(text), Directory::default()).expect(text)
    }

    fn worker() -> Properties {
        Properties {
            executable: "/srv/venv/bin/python3.13".to_owned(),
            command_line: "python -m uvicorn chat:app".to_owned(),
            user: "www-data".to_owned(),
            container: String::new(),
        }
    }

    #[test]
    fn all_is_wanted_by_default_and_what_matches_otherwise() {
        for (text, is_wanted) in [
            ("", true),
            ("select.command_lines = ['*uvicorn*', '*gunicorn*']", true),
            ("select.command_lines = ['*celery*']", false),
            ("select.executables = ['/srv/**/python3*']\nselect.users = ['root']", false),
            ("select.containers = ['']", true),
            ("select.containers = ['?*']", false),
            ("exclude.users = ['www-*']", false),
            ("exclude.containers = ['?*']", true),
            ("select.users = []", false),
        ] {
            assert_eq!(selection(text).wants(&worker()), is_wanted, "{text}");
        }
    }

    #[test]
    fn a_process_has_its_properties() {
        let own = Properties::of(std::process::id()).expect("it runs");
        let exe = std::env::current_exe().expect("it has one");
        assert_eq!(own.executable, exe.to_string_lossy());
        assert!(own.command_line.starts_with(&std::env::args().next().unwrap()));
        let users = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false";
        assert_eq!((name_of("33", users), name_of("3", users)), (Some("www-data"), None));
        assert_eq!(effective_uid("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some("2"));
        assert_eq!(selection("").is_meant(0), Some(false));
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let config = Config::parse("select.users = ['[a']").expect("it is text");
        let refusal =
            format!("{:#}", Selection::new(&config, Directory::default()).err().expect("it is none"));
        assert!(refusal.starts_with("[select]: the pattern `[a`"), "{refusal}");
    }
}
