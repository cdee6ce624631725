//! The whole cluster on one node.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::binaries::Binaries;
use crate::control_plane::{Parts, Ports, START};
use crate::daemon::{Daemon, Signal};
use crate::node::Node;
use crate::pki::Pki;
use crate::state::State;
use crate::{Error, Forward, Image, Kubectl, packages, spawn};

const PORTS: Ports = Ports { etcd: 2379, apiserver: 6443 };

/// Kubernetes with a node that runs pods, in namespaces and cgroups of its own. Several can run at once.
///
/// Pods reach each other, Services and DNS; nothing leads out of the node but [`Self::forward`]. Images come by
/// [`Self::import_image`]. NetworkPolicies are not enforced. Dropping it ends its processes and removes its directory and
/// cgroups; all of that also happens when the owning process is killed.
#[derive(Debug)]
pub struct Cluster {
    _services: Vec<Daemon>,
    parts: Parts,
    _relay: Forward,
    kubeconfig: PathBuf,
    kubectl: Kubectl,
    node: Node,
    state: State,
}

impl Cluster {
    /// Starts one and waits until its node is Ready. Installs missing Debian packages and builds Kubernetes if need be,
    /// with progress on standard error.
    ///
    /// # Errors
    /// Not root, no cgroup v1, something missing that cannot be installed, or a part did not come up.
    pub fn start() -> Result<Self, Error> {
        if !packages::is_root() {
            return Err(Error::Unsupported("a node needs root".to_owned()));
        }
        packages::require(packages::CLUSTER)?;
        let binaries = Binaries::ensure()?;
        let state = State::create()?;
        let pki = Pki::create(state.path("pki"))?;
        let inside = state.path("admin.kubeconfig");
        pki.kubeconfig(&inside, "admin", PORTS.apiserver)?;
        pki.kubeconfig(&state.path("kubelet.kubeconfig"), "kubelet", PORTS.apiserver)?;

        let node = Node::start(&state)?;
        let pause = state.path("pause.tar");
        Image::new("localhost/pause:1")
            .file(binaries.path("pause"), "/pause")
            .entrypoint(["/pause"])
            .user("65535:65535")
            .write(&pause)?;
        node.import_image(&pause)?;

        let relay = Forward::start(&state, node.place(), &format!("127.0.0.1:{}", PORTS.apiserver))?;
        let kubeconfig = state.path("kubeconfig");
        pki.kubeconfig(&kubeconfig, "admin", relay.address().port())?;
        let kubectl = Kubectl::for_config(binaries.path("kubectl"), &kubeconfig, &state.path("kubectl"));
        let parts = Parts::start(&state, node.place(), &binaries, &pki, &PORTS, &kubectl, &inside)?;
        let services = start_services(&state, &node, &binaries, &kubectl)?;
        Ok(Self { _services: services, parts, _relay: relay, kubeconfig, kubectl, node, state })
    }

    /// The administrator's kubeconfig, for use on this machine.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl as the administrator.
    pub fn client(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Runs kubectl as the administrator; see [`Kubectl::output`].
    ///
    /// # Errors
    /// It could not be started.
    pub fn kubectl(&self, args: &[&str]) -> Result<Output, Error> {
        self.kubectl.output(args)
    }

    /// The cluster's directory, with `logs/`.
    pub fn state_dir(&self) -> &Path {
        self.state.dir()
    }

    /// Puts an OCI archive among the node's images, under the name it carries. Pods need `imagePullPolicy: IfNotPresent` or
    /// `Never`, and have to be made afterwards.
    ///
    /// # Errors
    /// containerd refused it.
    pub fn import_image(&self, archive: &Path) -> Result<(), Error> {
        self.node.import_image(archive)
    }

    /// Runs a program of the machine inside the node, in `/`, and returns what it wrote, whatever its status.
    ///
    /// # Errors
    /// It could not be started.
    pub fn in_node(&self, command: &[&str]) -> Result<Output, Error> {
        let (program, args) = command.split_first().unwrap_or((&"true", &[]));
        let mut command = self.node.place().command(Path::new(program));
        command.args(args);
        spawn::output(command)
    }

    /// Opens a loopback port whose connections end at `target` (`ADDRESS:PORT`, of a pod or a Service) until it is dropped.
    ///
    /// # Errors
    /// No port could be opened.
    pub fn forward(&self, target: &str) -> Result<Forward, Error> {
        Forward::start(&self.state, self.node.place(), target)
    }

    /// Freezes the apiserver: connections stay open and nothing is answered.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn pause_apiserver(&self) -> Result<(), Error> {
        self.parts.apiserver.signal(Signal::Stop)
    }

    /// Lets a frozen apiserver go on.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn resume_apiserver(&self) -> Result<(), Error> {
        self.parts.apiserver.signal(Signal::Continue)
    }

    /// Kills the apiserver, starts it again and waits until it is ready.
    ///
    /// # Errors
    /// It did not come up.
    pub fn restart_apiserver(&mut self) -> Result<(), Error> {
        self.parts.restart_apiserver(&self.state, &self.kubectl)
    }
}

/// Scheduler, kubelet, kube-proxy and CoreDNS; waits until the node is Ready and names resolve.
fn start_services(state: &State, node: &Node, binaries: &Binaries, kubectl: &Kubectl) -> Result<Vec<Daemon>, Error> {
    let file = |name: &str| state.path(name).display().to_string();
    let start = |name, args: &[&str]| {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Daemon::start(state, node.place(), name, binaries.path(name), args)
    };
    let scheduler = start(
        "kube-scheduler",
        &["--kubeconfig", &file("admin.kubeconfig"), "--leader-elect=false", "--secure-port=0"],
    )?;
    let mut kubelet = start(
        "kubelet",
        &[
            "--config",
            &file("node/kubelet.yaml"),
            "--kubeconfig",
            &file("kubelet.kubeconfig"),
            "--hostname-override=node1",
            "--node-ip=192.168.77.2",
        ],
    )?;
    let mut proxy = start("kube-proxy", &["--config", &file("node/kube-proxy.yaml")])?;
    let mut dns = start("coredns", &["-conf", &file("node/Corefile")])?;

    kubelet.wait_until(START, || {
        let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        kubectl.run(&["get", "node", "node1", "-o", ready]).is_ok_and(|status| status == "True")
    })?;
    // The machine need not have an HTTP client, but bash can open connections.
    let answers = |address: &str, path: &str| {
        let script = format!(
            "exec 3<>/dev/tcp/{address} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.. 200' <&3"
        );
        let mut bash = node.place().command(Path::new("bash"));
        bash.args(["-c", &script]);
        spawn::run(bash).is_ok()
    };
    dns.wait_until(START, || answers("192.168.77.2/8080", "/health"))?;
    proxy.wait_until(START, || answers("127.0.0.1/10256", "/healthz"))?;
    Ok(vec![scheduler, kubelet, proxy, dns])
}
