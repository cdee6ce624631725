//! etcd, kube-apiserver and kube-controller-manager.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::binaries::Binaries;
use crate::daemon::{Daemon, Signal};
use crate::pki::Pki;
use crate::place::Place;
use crate::state::State;
use crate::{Error, Kubectl, free_port, packages};

/// A slow, busy machine needs some ten seconds; longer means that it will not come.
pub(crate) const START: Duration = Duration::from_secs(90);

/// A control plane without a node: objects, admission, RBAC, ServiceAccount tokens, garbage collection; no pod ever runs.
///
/// Needs no root. Its directory lies under the system's temporary one. Dropping it ends its processes and removes the
/// directory; both also happen when the owning process is killed.
#[derive(Debug)]
pub struct ControlPlane {
    parts: Mutex<Parts>,
    kubeconfig: PathBuf,
    kubectl: Kubectl,
    state: State,
}

impl ControlPlane {
    /// Starts one on free loopback ports and waits until it serves and `default` has its ServiceAccount. Several can run at
    /// once. Where the environment has `KUBEBUILDER_ASSETS`, its programs are used; without a kube-controller-manager among
    /// them none runs. Otherwise they are built, with progress on standard error, unless the cache has them.
    ///
    /// # Errors
    /// A part did not come up, or could not be built.
    pub fn start() -> Result<Self, Error> {
        packages::require(packages::CONTROL_PLANE)?;
        let binaries = Binaries::for_control_plane()?;
        let state = State::create()?;
        let pki = Pki::create(state.path("pki"))?;
        let (etcd, apiserver) = (free_port()?, free_port()?);
        let kubeconfig = state.path("kubeconfig");
        pki.kubeconfig(&kubeconfig, "admin", apiserver)?;
        let kubectl = Kubectl::for_config(binaries.path("kubectl"), &kubeconfig, &state.path("kubectl"));
        let ports = Ports { etcd, apiserver };
        let parts = Parts::start(&state, &Place::Machine, &binaries, &pki, &ports, &kubectl, &kubeconfig)?;
        Ok(Self { parts: Mutex::new(parts), kubeconfig, kubectl, state })
    }

    /// The administrator's kubeconfig.
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

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes the apiserver: connections stay open and nothing is answered.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn pause_apiserver(&self) -> Result<(), Error> {
        self.parts().apiserver.signal(Signal::Stop)
    }

    /// Lets a frozen apiserver go on.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn resume_apiserver(&self) -> Result<(), Error> {
        self.parts().apiserver.signal(Signal::Continue)
    }

    /// Freezes etcd: the apiserver answers from its caches, and nothing that needs etcd.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn pause_etcd(&self) -> Result<(), Error> {
        self.parts().etcd.signal(Signal::Stop)
    }

    /// Lets a frozen etcd go on.
    ///
    /// # Errors
    /// It is no longer there.
    pub fn resume_etcd(&self) -> Result<(), Error> {
        self.parts().etcd.signal(Signal::Continue)
    }

    /// Kills the apiserver, starts it again on the same port and waits until it is ready.
    ///
    /// # Errors
    /// It did not come up.
    pub fn restart_apiserver(&self) -> Result<(), Error> {
        self.parts().restart_apiserver(&self.state, &self.kubectl)
    }

    /// Kills etcd, starts it again with the same data and waits until the apiserver is ready again.
    ///
    /// # Errors
    /// Either did not come up.
    pub fn restart_etcd(&self) -> Result<(), Error> {
        let mut parts = self.parts();
        parts.etcd.restart(&self.state)?;
        parts.wait_for_apiserver(&self.kubectl)
    }
}

/// Where a control plane listens, on 127.0.0.1 (in a node the apiserver on every address).
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) apiserver: u16,
}

/// The running programs, the last started ended first.
#[derive(Debug)]
pub(crate) struct Parts {
    _controllers: Option<Daemon>,
    pub(crate) apiserver: Daemon,
    etcd: Daemon,
}

impl Parts {
    /// Starts them in `place`. `kubectl` has to reach the apiserver from here, `kubeconfig` from there.
    pub(crate) fn start(
        state: &State,
        place: &Place,
        binaries: &Binaries,
        pki: &Pki,
        ports: &Ports,
        kubectl: &Kubectl,
        kubeconfig: &Path,
    ) -> Result<Self, Error> {
        let etcd = Daemon::start(state, place, "etcd", binaries.path("etcd"), etcd_args(state, ports))?;
        let apiserver = apiserver_args(pki, ports, matches!(place, Place::Node { .. }));
        let apiserver = Daemon::start(state, place, "kube-apiserver", binaries.path("kube-apiserver"), apiserver)?;
        let mut parts = Self { _controllers: None, apiserver, etcd };
        parts.wait_for_apiserver(kubectl)?;
        let program = binaries.path("kube-controller-manager");
        if program.exists() {
            let args = controllers_args(pki, kubeconfig);
            let mut controllers = Daemon::start(state, place, "kube-controller-manager", program, args)?;
            controllers.wait_until(START, || {
                kubectl.run(&["get", "serviceaccount", "default", "--namespace=default"]).is_ok()
            })?;
            parts._controllers = Some(controllers);
        }
        Ok(parts)
    }

    pub(crate) fn restart_apiserver(&mut self, state: &State, kubectl: &Kubectl) -> Result<(), Error> {
        self.apiserver.restart(state)?;
        self.wait_for_apiserver(kubectl)
    }

    fn wait_for_apiserver(&mut self, kubectl: &Kubectl) -> Result<(), Error> {
        self.apiserver.wait_until(START, || kubectl.run(&["get", "--raw=/readyz", "--request-timeout=2s"]).is_ok())
    }
}

fn etcd_args(state: &State, ports: &Ports) -> Vec<String> {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    vec![
        format!("--data-dir={}", state.path("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        // It has no peers; any port will do.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn apiserver_args(pki: &Pki, ports: &Ports, in_node: bool) -> Vec<String> {
    let file = |name: &str| pki.path(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.apiserver),
        format!("--cert-dir={}", file("")),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--kubelet-client-certificate={}", file("admin.crt")),
        format!("--kubelet-client-key={}", file("admin.key")),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    args.extend(if in_node {
        ["--bind-address=0.0.0.0", "--advertise-address=192.168.77.2"].map(str::to_owned).to_vec()
    } else {
        // No pod could reach the Service `kubernetes`, and it must not name a loopback address.
        ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"].map(str::to_owned).to_vec()
    });
    args
}

fn controllers_args(pki: &Pki, kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--service-account-private-key-file={}", pki.path("sa.key").display()),
        format!("--root-ca-file={}", pki.path("ca.crt").display()),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // It would make a directory in /usr/libexec for plugins nobody has.
        format!("--flex-volume-plugin-dir={}", pki.path("no-plugins").display()),
    ]
}
