//! Control plane, roles and Amazon, started once for a test binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cluster::{ControlPlane, spawn, tethered};
use crds::{NamespacedReference, Team, TeamSpec};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client, config::Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Amazon, Gateway, binary, eventually, objects, role::Role};

/// The namespace OpenTeam runs in.
pub const NAMESPACE: &str = "openteam-system";
/// A namespace with a Team, so that there is a ConfigMap `openteam-gateway`.
const FIRST: &str = "first";
/// The pods, the operator first: the others wait for its signature.
const PODS: [(&str, &str); 4] = [
    ("operator", "openteam-operator-0"),
    ("recorder", "openteam-recorder-0"),
    ("gateway", "openteam-gateway-0"),
    ("gateway", "openteam-gateway-1"),
];

/// Everything that runs.
pub struct House {
    runtime: Runtime,
    control_plane: ControlPlane,
    client: Client,
    dir: PathBuf,
    openteam: PathBuf,
    amazon: Amazon,
    roles: Mutex<Vec<Role>>,
    gateway_ca: String,
}

impl House {
    pub(crate) fn start() -> Self {
        // Another test binary's harness in this process cannot have set one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let openteam = binary::openteam();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let control_plane = ControlPlane::start().unwrap();
        let amazon = runtime.block_on(Amazon::start());
        let dir = control_plane.state_dir().join("house");
        for sub in ["logs", "settings"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        // The default, said aloud: what promise 6 is measured against.
        fs::write(dir.join("settings/stalenessLimit"), "10s").unwrap();
        let client = runtime.block_on(client(control_plane.kubeconfig()));
        objects::install(&control_plane);

        let mut house = Self {
            runtime,
            control_plane,
            client,
            dir,
            openteam,
            amazon,
            roles: Mutex::default(),
            gateway_ca: String::new(),
        };
        house.add_roles();
        house.role("openteam-operator-0").start();
        house.role("openteam-recorder-0").start();
        house.fetch_keyset();
        for role in house.roles().iter_mut() {
            role.start();
            role.wait_ready();
        }
        house.create_namespace(FIRST);
        let mut team = Team::new(FIRST, TeamSpec::default());
        team.metadata.namespace = Some(FIRST.to_owned());
        house.apply(&team);
        house.gateway_ca = house.gateway_ca_told_in(FIRST);
        house
    }

    fn add_roles(&self) {
        let recorder_port = self.add_role("recorder", PODS[1].1, &[format!("--dir={}", self.journal_dir().display())]);
        let recorder = format!("--recorder-connect=127.0.0.1:{recorder_port}");
        let endpoints = "--allow-endpoints".to_owned();
        self.add_role("operator", PODS[0].1, &[recorder.clone(), endpoints.clone()]);
        let keyset = format!("--keyset={}", self.keyset_file().display());
        for (_, pod) in &PODS[2..] {
            self.add_role("gateway", pod, &[recorder.clone(), keyset.clone(), endpoints.clone()]);
        }
    }

    fn add_role(&self, role: &str, pod: &str, own: &[String]) -> u16 {
        let kubeconfig = self.dir.join(format!("{pod}.kubeconfig"));
        let token = self.block_on(objects::pod_token(&self.client, role, pod));
        fs::write(&kubeconfig, objects::kubeconfig(self.control_plane.kubeconfig(), &token)).unwrap();
        let arguments: Vec<String> = std::iter::once(role.to_owned()).chain(own.iter().cloned()).collect();
        let role = Role::new(&self.openteam, &self.dir, pod, kubeconfig, &arguments);
        let port = role.port;
        self.roles().push(role);
        port
    }

    /// What the kubelet does with a mounted Secret.
    fn fetch_keyset(&self) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let ByteString(keyset) = eventually("the operator makes the keyset", || {
            let secret = self.block_on(secrets.get_opt("openteam-keyset")).unwrap()?;
            secret.data?.remove("keyset.json")
        });
        fs::write(self.keyset_file(), keyset).unwrap();
    }

    fn roles(&self) -> MutexGuard<'_, Vec<Role>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn role(&self, pod: &str) -> RoleGuard<'_> {
        let roles = self.roles();
        let at = roles.iter().position(|role| role.pod == pod).expect("a pod of the house");
        RoleGuard { roles, at }
    }

    /// The keyset, as the gateways have it.
    #[must_use]
    pub fn keyset_file(&self) -> PathBuf {
        self.dir.join("keyset.json")
    }

    fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The administrator's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Amazon.
    #[must_use]
    pub fn amazon(&self) -> &Amazon {
        &self.amazon
    }

    /// The directory of control plane and roles: etcd's data, every log, the journal.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.control_plane.state_dir()
    }

    /// kubectl as the administrator.
    #[must_use]
    pub fn kubectl(&self) -> &cluster::Kubectl {
        self.control_plane.client()
    }

    /// Runs a command of `openteam` as the administrator, with `input` on its standard input.
    #[must_use]
    pub fn openteam(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = tethered(&self.openteam);
        command
            .args(arguments)
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn(command).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        let output = self.openteam(&["journal", "--dir", &self.journal_dir().display().to_string()], "");
        assert!(output.status.success(), "the journal is whole: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The gateway's authority, PEM, as the ConfigMap in a Team's namespace tells it.
    #[must_use]
    pub fn gateway_ca_told_in(&self, namespace: &str) -> String {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        eventually("ConfigMap openteam-gateway is in the Team's namespace", || {
            self.block_on(maps.get_opt("openteam-gateway")).unwrap()?.data?.remove("ca.crt")
        })
    }

    /// How many gateways there are.
    pub const GATEWAYS: usize = 2;

    /// One of the gateways, from 0.
    #[must_use]
    pub fn gateway(&self, number: usize) -> Gateway<'_> {
        let port = self.role(&format!("openteam-gateway-{number}")).port;
        Gateway::new(self, port, &self.gateway_ca)
    }

    /// All gateways.
    #[must_use]
    pub fn gateways(&self) -> Vec<Gateway<'_>> {
        (0..Self::GATEWAYS).map(|number| self.gateway(number)).collect()
    }

    /// Ends the process of a pod by SIGTERM. Only for who is [`crate::alone`].
    pub fn stop(&self, pod: &str) {
        self.role(pod).stop();
    }

    /// Starts a stopped process and waits until it is Ready.
    pub fn restart(&self, pod: &str) {
        let mut role = self.role(pod);
        role.start();
        role.wait_ready();
    }

    /// Freezes a process: its connections stay open and nothing is answered. Only for who is [`crate::alone`].
    pub fn freeze(&self, pod: &str) {
        self.role(pod).signal("-STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self, pod: &str) {
        self.role(pod).signal("-CONT");
    }

    /// Freezes the apiserver. Only for who is [`crate::alone`].
    pub fn pause_apiserver(&self) {
        self.control_plane.pause_apiserver().unwrap();
    }

    /// Lets it go on.
    pub fn resume_apiserver(&self) {
        self.control_plane.resume_apiserver().unwrap();
    }

    /// Whatever a test did: everything runs and answers again.
    pub(crate) fn put_in_order(&self) {
        self.resume_apiserver();
        self.amazon.switches().reset();
        for role in self.roles().iter_mut() {
            role.signal("-CONT");
            role.start();
        }
        for role in self.roles().iter_mut() {
            role.wait_ready();
        }
    }

    pub(crate) fn tell_what_the_roles_complained_about(&self) {
        for role in self.roles().iter() {
            eprintln!("--- {} ({}):\n{}", role.pod, role.log.display(), role.complaints());
        }
    }

    /// `NAMESPACE/NAME` of an object.
    pub(crate) fn named(namespace: &str, name: &str) -> NamespacedReference {
        NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

struct RoleGuard<'h> {
    roles: MutexGuard<'h, Vec<Role>>,
    at: usize,
}

impl std::ops::Deref for RoleGuard<'_> {
    type Target = Role;

    fn deref(&self) -> &Role {
        &self.roles[self.at]
    }
}

impl std::ops::DerefMut for RoleGuard<'_> {
    fn deref_mut(&mut self) -> &mut Role {
        &mut self.roles[self.at]
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    Client::try_from(config).unwrap()
}
