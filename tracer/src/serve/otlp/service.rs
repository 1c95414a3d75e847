//! What the service is called that a process belongs to.

use std::{fs, path::Path};

use percent_encoding::percent_decode_str;

use crate::report::types::Process;

/// Variables of a process in which its own instrumentation finds its name. Only these are looked at.
const NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";
const ATTRIBUTES_VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

const SERVICE_NAME: &str = super::names::resource::SERVICE_NAME;

/// The conventions' name for a service that has none.
pub const UNKNOWN: &str = "unknown_service:python";

/// Attributes that are taken over from a process.
const ATTRIBUTES: usize = 32;

/// Names of modules that say nothing of what they are part of.
const COMMON: [&str; 10] =
    ["__main__", "api", "app", "application", "asgi", "main", "manage", "run", "server", "wsgi"];

/// What `/proc` says of a process that is no part of its report.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `OTEL_SERVICE_NAME`, and `OTEL_RESOURCE_ATTRIBUTES` in order.
    pub name: Option<String>,
    pub attributes: Vec<(String, String)>,
    /// As in `/proc/PID/cgroup`.
    pub cgroup: String,
    /// The working directory.
    pub folder: String,
}

impl Surroundings {
    /// Of a process; empty of one that has ended.
    pub fn of(pid: u32) -> Surroundings {
        let directory = Path::new("/proc").join(pid.to_string());
        let environment = fs::read(directory.join("environ")).unwrap_or_default();
        let folder = fs::read_link(directory.join("cwd")).unwrap_or_default();
        Surroundings {
            cgroup: fs::read_to_string(directory.join("cgroup")).unwrap_or_default(),
            folder: folder.to_string_lossy().into_owned(),
            ..Surroundings::of_environment(&environment)
        }
    }

    /// `environment` is as in `/proc/PID/environ`: each variable ends with a NUL.
    fn of_environment(environment: &[u8]) -> Surroundings {
        let variable = |name: &str| {
            let mut variables = environment.split(|byte| *byte == 0);
            let value =
                variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
            std::str::from_utf8(value).ok().filter(|value| !value.is_empty())
        };
        let pairs = variable(ATTRIBUTES_VARIABLE).unwrap_or_default().split(',');
        let pairs = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((key.trim().to_owned(), value.into_owned()))
        });
        Surroundings {
            name: variable(NAME_VARIABLE).map(str::to_owned),
            attributes: pairs.take(ATTRIBUTES).collect(),
            ..Surroundings::default()
        }
    }
}

/// The name: as the process's own instrumentation has it, else its container's in a pod, else its systemd unit's, else what its
/// command line runs.
pub fn name(process: &Process, surroundings: &Surroundings) -> String {
    let of_attributes = || surroundings.attributes.iter().find(|(key, _)| key == SERVICE_NAME);
    let own = surroundings.name.clone().or_else(|| of_attributes().map(|(_, name)| name.clone()));
    own.or_else(|| process.pod.as_ref().map(|pod| pod.container.clone()))
        .or_else(|| unit(&surroundings.cgroup))
        .or_else(|| program(&process.cmdline, &surroundings.folder))
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

/// `chat` of `/system.slice/chat.service`; a user's session is no service.
fn unit(cgroup: &str) -> Option<String> {
    let names = cgroup.lines().flat_map(|line| line.rsplit('/'));
    let mut units = names.filter_map(|name| name.strip_suffix(".service"));
    let unit = units.find(|unit| !unit.is_empty() && !unit.starts_with("user@"))?;
    Some(unit.to_owned())
}

/// What a command line runs: the module of `chat:app`, of `-m chat`, or the script.
fn program(command_line: &str, folder: &str) -> Option<String> {
    let words: Vec<&str> = command_line.split(' ').collect();
    let application = words.iter().find_map(|word| {
        let (module, object) = word.split_once(':')?;
        let is_application =
            is_module(module) && object.starts_with(|first: char| first.is_ascii_alphabetic());
        is_application.then_some(module)
    });
    let of_option = || words.iter().position(|word| *word == "-m").and_then(|at| words.get(at + 1).copied());
    let script =
        || words.iter().skip(1).find(|word| word.ends_with(".py")).map(|word| word.trim_end_matches(".py"));
    let path = application.or_else(script).or_else(of_option)?;
    let mut names = path.rsplit(['.', '/']).chain(folder.rsplit('/')).filter(|name| !name.is_empty());
    names.find(|name| !COMMON.contains(name)).map(str::to_owned)
}

fn is_module(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pod;

    #[test]
    fn command_lines_tell_what_they_run() {
        for (command_line, expected) in [
            ("python -m uvicorn chat:app --port 8000", Some("chat")),
            ("/srv/venv/bin/python /srv/venv/bin/gunicorn shop.main:app -w 4", Some("shop")),
            ("python3 /srv/worker.py --queue mail", Some("worker")),
            ("python3 main.py", Some("assistant")),
            ("python3 /srv/mail/main.py", Some("mail")),
            ("python -m billing.worker", Some("worker")),
            ("uvicorn app:app --host 0.0.0.0:80", Some("assistant")),
            ("python -c pass", None),
            ("python http://x", None),
        ] {
            assert_eq!(program(command_line, "/srv/assistant").as_deref(), expected, "{command_line}");
        }
    }

    #[test]
    fn who_says_its_name_has_it() {
        let environment =
            b"A=1\0OTEL_RESOURCE_ATTRIBUTES=service.name=of%20all,deployment.environment.name=test\0";
        let mut surroundings = Surroundings::of_environment(environment);
        surroundings.cgroup = "0::/system.slice/chat-api.service\n".to_owned();
        let process = Process { cmdline: "python -m uvicorn chat:app".to_owned(), ..Process::default() };
        assert_eq!(name(&process, &surroundings), "of all");
        assert_eq!(surroundings.attributes[1], ("deployment.environment.name".to_owned(), "test".to_owned()));
        surroundings.name = Some("mine".to_owned());
        assert_eq!(name(&process, &surroundings), "mine");
        surroundings = Surroundings { attributes: Vec::new(), name: None, ..surroundings };
        assert_eq!(name(&process, &surroundings), "chat-api");
        let pod = Pod { container: "web".to_owned(), ..Pod::default() };
        assert_eq!(name(&Process { pod: Some(pod), ..process.clone() }, &surroundings), "web");
        assert_eq!(name(&process, &Surroundings::default()), "chat");
        assert_eq!(name(&Process::default(), &Surroundings::default()), "unknown_service:python");
    }

    #[test]
    fn a_session_is_no_service() {
        assert_eq!(unit("0::/user.slice/user-0.slice/user@0.service/app.slice/run.scope\n"), None);
    }
}
