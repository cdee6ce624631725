//! A node: namespaces and cgroups of its own on this machine, and containerd in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::place::Place;
use crate::state::{State, write};
use crate::{Error, spawn};

/// What runs in the node is configured by these; `@STATE@` stands for the cluster's directory.
const FILES: [(&str, &str); 7] = [
    ("10-bridge.conflist", include_str!("../node/10-bridge.conflist")),
    ("Corefile", include_str!("../node/Corefile")),
    ("containerd.toml", include_str!("../node/containerd.toml")),
    ("init.sh", include_str!("../node/init.sh")),
    ("join.sh", include_str!("../node/join.sh")),
    ("kube-proxy.yaml", include_str!("../node/kube-proxy.yaml")),
    ("kubelet.yaml", include_str!("../node/kubelet.yaml")),
];
/// The node mounts its own over these, so the cluster's directory must not lie below them.
const HIDDEN: [&str; 5] = ["/proc", "/run", "/sys", "/var/lib", "/var/log"];
const START: Duration = Duration::from_secs(30);

/// The running node.
#[derive(Debug)]
pub(crate) struct Node {
    place: Place,
    _containerd: Daemon,
    /// Ends the whole node: its first process dies with it, and every process of a pid namespace with the first.
    _unshare: Daemon,
}

impl Node {
    /// Starts the node and waits until containerd answers.
    pub(crate) fn start(state: &State) -> Result<Self, Error> {
        if HIDDEN.iter().any(|hidden| state.dir().starts_with(hidden)) {
            let dir = state.dir().display();
            return Err(Error::Unsupported(format!("a node cannot keep its files in {dir} (set TMPDIR elsewhere)")));
        }
        let dir = state.path("node");
        fs::create_dir(&dir).map_err(Error::file("create", &dir))?;
        for (name, text) in FILES {
            write(&dir.join(name), text.replace("@STATE@", &state.dir().display().to_string()))?;
        }
        make_cgroups(state)?;

        let (join, cgroups) = (dir.join("join.sh"), state.path("cgroups"));
        let text = |path: &Path| path.display().to_string();
        let mut args = vec![text(&join), text(&cgroups)];
        args.extend(
            "unshare -m -p -n -u -i -C -f --kill-child --propagation private bash".split(' ').map(str::to_owned),
        );
        args.extend([text(&dir.join("init.sh")), text(state.dir())]);
        let mut unshare = Daemon::start(state, &Place::Machine, "node", "sh", args)?;
        let mut init = None;
        unshare.wait_until(START, || {
            init = fs::read_to_string(state.path("init.pid")).ok().and_then(|pid| pid.trim().parse().ok());
            init.is_some()
        })?;
        let place = Place::Node { join, cgroups, init: init.unwrap_or_default() };

        let config = vec!["--config".to_owned(), text(&dir.join("containerd.toml"))];
        let mut containerd = Daemon::start(state, &place, "containerd", "containerd", config)?;
        containerd.wait_until(START, || {
            let mut version = place.command(Path::new("ctr"));
            version.args(["--timeout", "2s", "version"]);
            spawn::run(version).is_ok()
        })?;
        Ok(Self { place, _containerd: containerd, _unshare: unshare })
    }

    /// For running programs in it.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Puts an OCI archive among the node's images, under the name it carries.
    pub(crate) fn import_image(&self, archive: &Path) -> Result<(), Error> {
        let archive = archive.canonicalize().map_err(Error::file("find", archive))?;
        let mut command = self.place.command(Path::new("ctr"));
        command.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
        spawn::run(command).map(drop)
    }
}

/// Makes a cgroup below this process's own in every hierarchy that has controllers.
fn make_cgroups(state: &State) -> Result<(), Error> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(Error::file("read", "/proc/self/cgroup"))?;
    let own = hierarchies(&own);
    if !own.iter().any(|(controllers, _)| controllers == "memory") {
        return Err(Error::Unsupported(
            "this machine has no cgroup v1 memory controller, and the test node has not been made for cgroup v2"
                .to_owned(),
        ));
    }
    let name = state.dir().file_name().unwrap_or_default();
    for (controllers, path) in own {
        let parent = PathBuf::from(format!("/sys/fs/cgroup/{controllers}{path}"));
        let dir = parent.join(name);
        state.list_cgroup(&dir)?;
        fs::create_dir(&dir).map_err(Error::file("create the cgroup", &dir))?;
        // The kernel leaves both empty in a new cpuset, and then no process may enter it.
        if controllers == "cpuset" {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let inherited = fs::read(parent.join(file)).map_err(Error::file("read", parent.join(file)))?;
                write(&dir.join(file), inherited)?;
            }
        }
    }
    Ok(())
}

/// Directory name and path of each cgroup v1 hierarchy in `/proc/self/cgroup` (cgroups(7): `id:controllers:path`).
fn hierarchies(text: &str) -> Vec<(String, String)> {
    let parse = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let controllers = controllers.strip_prefix("name=").unwrap_or(controllers);
        (!controllers.is_empty()).then(|| (controllers.to_owned(), path.to_owned()))
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_with_controllers_is_found() {
        let text = "9:name=systemd:/a\n4:memory:/b:c\n2:cpu,cpuacct:/\n0::/unified\n";
        let expected = [("systemd", "/a"), ("memory", "/b:c"), ("cpu,cpuacct", "/")];
        assert_eq!(hierarchies(text), expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
    }

    #[test]
    fn a_machine_with_cgroup_v2_only_has_no_such_hierarchy() {
        assert!(hierarchies("0::/user.slice\n").is_empty());
    }
}
