//! What the paths of a process's control groups say of its container.

/// The id in the text of `/proc/PID/cgroup`: 64 hexadecimal digits, which stand alone in a path (Docker on cgroup v1,
/// Kubernetes), or between a runtime's name and `.scope` (`docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`,
/// `libpod-ID.scope`). Of containers within containers it is the innermost one's.
pub fn id(cgroup: &str) -> Option<&str> {
    let is_id = |word: &&str| {
        word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    cgroup.split(|letter: char| !letter.is_ascii_alphanumeric()).rfind(is_id)
}

/// What may be the id of a container that was named by whoever started it: the last name of each path, each once.
pub fn names(cgroup: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for path in cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        let name = path.rsplit('/').next().unwrap_or_default();
        // systemd's runtimes put what made it before it: `runc-ID.scope`.
        let name =
            name.strip_suffix(".scope").map_or(name, |unit| unit.split_once('-').map_or(unit, |of| of.1));
        if !name.is_empty() && name != ".." && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_every_runtime_are_found() {
        let one = "0123456789abcdef".repeat(4);
        let other = "fedcba9876543210".repeat(4);
        for cgroup in [
            format!("0::/system.slice/docker-{one}.scope\n"),
            format!("12:cpu:/docker/{one}\n11:memory:/docker/{one}\n0::/docker/{one}\n"),
            format!("0::/kubepods.slice/kubepods-burstable-pod0f3a.slice/cri-containerd-{one}.scope\n"),
            format!("0::/kubepods/besteffort/pod8c2d7c3e-1111-2222-3333-444444444444/{one}\n"),
            format!(
                "4:pids:/kubepods/burstable/pod8c2d7c3e/{one}\n0::/kubepods/burstable/pod8c2d7c3e/{one}\n"
            ),
            format!("0::/kubepods.slice/kubepods-pod0f3a.slice/crio-{one}.scope\n"),
            format!("0::/machine.slice/libpod-{one}.scope/container\n"),
            format!("9:devices:/libpod_parent/libpod-{one}\n"),
            // As a tracer sees it that is in a cgroup namespace of its own.
            format!("0::/../../kubepods-burstable-pod0f3a.slice/cri-containerd-{one}.scope\n"),
            // Kubernetes within Docker, Docker within Docker.
            format!("0::/docker/{other}/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{one}.scope\n"),
            format!("0::/system.slice/docker-{other}.scope/docker/{one}/init\n"),
        ] {
            assert_eq!(id(&cgroup), Some(one.as_str()), "{cgroup}");
        }
        for cgroup in
            ["0::/\n", "0::/user.slice/user-0.slice/session-1.scope\n", "0::/system.slice/cron.service\n"]
        {
            assert_eq!(id(cgroup), None, "{cgroup}");
        }
        assert_eq!(id(&format!("0::/x/{one}0\n")), None);
    }

    #[test]
    fn names_are_told_once() {
        let cgroup = "12:pids:/default/chat\n1:name=systemd:/default/chat\n0::/chat-1\n3:cpu:/\n";
        assert_eq!(names(cgroup), ["chat", "chat-1"]);
        assert_eq!(names("0::/system.slice/runc-chat-1.scope\n"), ["chat-1"]);
        assert!(names("0::/..\n").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            id(&text);
            names(&text);
        }
    }
}
