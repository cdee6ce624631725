//! Control plane, roles and Amazon, started once for a test binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use cluster::{ControlPlane, spawn, tethered};
use crds::{NamespacedReference, Team, TeamSpec};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::ValidatingWebhookConfiguration,
        core::v1::{ConfigMap, Secret},
    },
};
use kube::{Api, Client, config::Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    Amazon, Cut, Gateway, Ingress, Portal, binary, browser::Browser, eventually, line::Line, mailbox::Mailbox, objects,
    role::Role, sqs::Sqs, traces::Traces,
};

/// The namespace OpenTeam runs in.
pub const NAMESPACE: &str = "openteam-system";
/// A namespace with a Team, so that there is a ConfigMap `openteam-gateway`.
const FIRST: &str = "first";
/// How many credentials of one name are looked for.
const ALIKE: usize = 200;
/// The pod that reaches the apiserver by a line that can be cut.
const BEHIND_THE_LINE: &str = "openteam-gateway-0";
const OPERATOR: &str = "openteam-operator-0";
const RECORDER: &str = "openteam-recorder-0";
/// The pod of the webhook.
pub const WEBHOOK: &str = "openteam-webhook-0";

/// What a house is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary `openteam`; built now unless given.
    pub openteam: Option<PathBuf>,
    /// The gateways, each by the command line that its arguments are put behind; an empty one is `openteam gateway`.
    pub gateways: Vec<Vec<String>>,
    /// The portals, likewise.
    pub portals: Vec<Vec<String>>,
    /// What the roles log (`RUST_LOG`).
    pub log: String,
    /// Whether the roles send traces, of every call.
    pub traces: bool,
}

impl Default for Plan {
    /// Two gateways and two portals, and roles as talkative as they can be made, so that a secret in any log line shows.
    fn default() -> Self {
        Self {
            openteam: None,
            gateways: vec![Vec::new(); House::GATEWAYS],
            portals: vec![Vec::new(); House::PORTALS],
            log: "debug,rustls=info,tower=info".to_owned(),
            traces: true,
        }
    }
}

/// The pod of a portal.
fn portal_pod(number: usize) -> String {
    format!("openteam-portal-{number}")
}

/// The pod of a gateway.
fn gateway_pod(number: usize) -> String {
    format!("openteam-gateway-{number}")
}

/// Everything that runs.
pub struct House {
    runtime: Runtime,
    control_plane: ControlPlane,
    client: Client,
    dir: PathBuf,
    openteam: PathBuf,
    gateways: usize,
    amazon: Amazon,
    roles: Mutex<Vec<Role>>,
    gateway_ca: String,
    /// Callers' and roles' credentials, to be looked for at the end: what each is, and its secret part.
    planted: Mutex<Vec<(String, String)>>,
    /// Where the roles send their traces.
    traces: Traces,
    /// Between [`BEHIND_THE_LINE`] and the apiserver.
    line: Line,
    /// Where the operator's mail goes.
    mailbox: Mailbox,
    /// Started by the first test that needs it.
    sqs: OnceLock<Sqs>,
    /// Before the portals.
    ingress: Ingress,
    /// Made by the first test that needs it.
    browser: OnceLock<Browser>,
}

impl House {
    /// Starts one. Tests share theirs: [`crate::house`], [`crate::alone`].
    ///
    /// # Panics
    /// A part of it does not start.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        // Another test binary's harness in this process cannot have set one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let openteam = plan.openteam.clone().unwrap_or_else(binary::openteam);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let control_plane = ControlPlane::start().unwrap();
        let amazon = runtime.block_on(Amazon::start());
        let dir = control_plane.state_dir().join("house");
        for sub in ["disk", "logs", "settings", "smtp"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        // The default, said aloud: what promise 6 is measured against.
        fs::write(dir.join("settings/stalenessLimit"), "10s").unwrap();
        // All of them, and what is sent is kept beside everything else that is searched.
        let traces = runtime.block_on(Traces::start(&dir.join("traces")));
        if plan.traces {
            fs::write(dir.join("settings/tracesEndpoint"), traces.url()).unwrap();
            fs::write(dir.join("settings/tracesRatio"), "1").unwrap();
        }
        let mailbox = Mailbox::start(&dir);
        let ingress = runtime.block_on(Ingress::start(dir.join("answers")));
        for (key, value) in [
            ("publicUrl", ingress.url()),
            ("trustedProxies", "1".to_owned()),
            ("smtpUrl", mailbox.url("smtp")),
            ("smtpFrom", "openteam@house.example".to_owned()),
            ("smtpCaBundle", mailbox.authority()),
            ("incidentContact", Self::INCIDENT_CONTACT.to_owned()),
            ("amazonContact", Self::AMAZON_CONTACT.to_owned()),
        ] {
            fs::write(dir.join("settings").join(key), value).unwrap();
        }
        let client = runtime.block_on(client(control_plane.kubeconfig()));
        objects::install(&control_plane);
        let (apiserver, ca) = objects::apiserver(control_plane.kubeconfig());
        let line = runtime.block_on(Line::start(apiserver, &ca));

        let mut house = Self {
            runtime,
            control_plane,
            client,
            dir,
            openteam,
            gateways: plan.gateways.len(),
            amazon,
            roles: Mutex::default(),
            gateway_ca: String::new(),
            planted: Mutex::default(),
            traces,
            line,
            mailbox,
            sqs: OnceLock::new(),
            ingress,
            browser: OnceLock::new(),
        };
        house.add_roles(plan);
        if !plan.gateways.is_empty() {
            // What people are told to call from their own machines.
            let gateway = format!("https://localhost:{}", house.role(&gateway_pod(0)).port);
            fs::write(house.dir.join("settings/gatewayUrl"), gateway).unwrap();
        }
        // The others wait for the operator's signature.
        house.role(OPERATOR).start();
        house.role(RECORDER).start();
        house.fetch_keyset();
        house.fetch_portal_keys();
        for role in house.roles().iter_mut() {
            role.start();
            role.wait_ready();
        }
        let port = house.role(WEBHOOK).port;
        objects::install_webhook(&house.control_plane, port);
        house.create_namespace(FIRST);
        let mut team = Team::new(FIRST, TeamSpec::default());
        team.metadata.namespace = Some(FIRST.to_owned());
        house.apply(&team);
        house.gateway_ca = house.gateway_ca_told_in(FIRST);
        let portals = (0..plan.portals.len()).map(|number| house.role(&portal_pod(number)).port).collect();
        house.ingress.lead_to(portals, &house.gateway_ca);
        house.webhook_is_asked();
        house
    }

    fn add_roles(&self, plan: &Plan) {
        let openteam = |role: &str| vec![self.openteam.display().to_string(), role.to_owned()];
        let dir = format!("--dir={}", self.journal_dir().display());
        let recorder_port = self.add_role("recorder", RECORDER, &openteam("recorder"), &[dir], &plan.log);
        let recorder = format!("--recorder-connect=127.0.0.1:{recorder_port}");
        let endpoints = "--allow-endpoints".to_owned();
        let smtp = format!("--smtp-credentials={}", self.dir.join("smtp").display());
        let own = [recorder.clone(), endpoints.clone(), smtp.clone()];
        self.add_role("operator", OPERATOR, &openteam("operator"), &own, &plan.log);
        let own = [recorder.clone(), endpoints.clone()];
        self.add_role("webhook", WEBHOOK, &openteam("webhook"), &own, &plan.log);
        let keys = format!("--keys={}", self.dir.join("portal").display());
        for (number, command) in plan.portals.iter().enumerate() {
            let command = if command.is_empty() { &openteam("portal") } else { command };
            let own = [recorder.clone(), endpoints.clone(), smtp.clone(), keys.clone()];
            self.add_role("portal", &portal_pod(number), command, &own, &plan.log);
        }
        let keyset = format!("--keyset={}", self.keyset_file().display());
        for (number, command) in plan.gateways.iter().enumerate() {
            let command = if command.is_empty() { &openteam("gateway") } else { command };
            let own = [recorder.clone(), keyset.clone(), endpoints.clone()];
            self.add_role("gateway", &gateway_pod(number), command, &own, &plan.log);
        }
    }

    /// Waits until the apiserver can ask the webhook.
    pub fn webhook_is_asked(&self) {
        eventually("the operator tells the apiserver of the webhook, and that is Ready", || {
            let configured = self.webhook_key().is_some();
            (configured && self.role(WEBHOOK).is_ready()).then_some(())
        });
    }

    /// The key by which the webhook knows the apiserver.
    #[must_use]
    pub fn webhook_key(&self) -> Option<String> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let configuration = self.block_on(api.get(process::admission::CONFIGURATION)).unwrap();
        process::admission::key(&configuration).map(str::to_owned)
    }

    /// Where the webhook listens on loopback.
    #[must_use]
    pub fn webhook_port(&self) -> u16 {
        self.role(WEBHOOK).port
    }

    /// The authority that signs the roles' certificates, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.gateway_ca
    }

    fn add_role(&self, role: &str, pod: &str, command: &[String], own: &[String], log: &str) -> u16 {
        let kubeconfig = self.dir.join(format!("{pod}.kubeconfig"));
        let account = format!("openteam-{role}");
        let token = self.block_on(objects::pod_token(&self.client, NAMESPACE, &account, pod, Vec::new()));
        self.plant_jwt(&format!("token of {pod}"), &token);
        let line = (pod == BEHIND_THE_LINE).then(|| self.line.end());
        fs::write(&kubeconfig, objects::kubeconfig(self.control_plane.kubeconfig(), &token, line)).unwrap();
        let role = Role::new(&self.dir, pod, kubeconfig, command, own, log);
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

    /// The same of the portal's keys, which are looked for at the end.
    fn fetch_portal_keys(&self) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let keys = eventually("the operator makes the portal's keys", || {
            self.block_on(secrets.get_opt("openteam-portal")).unwrap()?.data
        });
        let dir = self.dir.join("portal");
        fs::create_dir_all(&dir).unwrap();
        for (entry, ByteString(key)) in keys {
            fs::write(dir.join(entry), key).unwrap();
        }
    }

    pub(crate) fn sqs(&self) -> &Sqs {
        self.sqs.get_or_init(|| Sqs::start(&self.dir, self.amazon.identity(), self.amazon.authority()))
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

    /// What stands for the recorder's disk; nothing else is on it.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }

    fn journal_dir(&self) -> PathBuf {
        self.disk().join("journal")
    }

    /// Keeps the secret part of a credential, to be looked for at the end. The first `ALIKE` of one name are enough: they
    /// are made alike, and a storm makes thousands.
    pub fn plant(&self, name: &str, secret: &str) {
        let mut planted = self.planted.lock().unwrap_or_else(PoisonError::into_inner);
        if planted.iter().filter(|(other, _)| other == name).count() < ALIKE {
            planted.push((name.to_owned(), secret.to_owned()));
        }
    }

    /// The same for a signed token: its signature is what makes it one.
    pub(crate) fn plant_jwt(&self, name: &str, token: &str) {
        self.plant(name, token.rsplit('.').next().unwrap());
    }

    pub(crate) fn planted(&self) -> Vec<(String, String)> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything that the roles have told of their work as traces.
    pub(crate) fn traces(&self) -> String {
        self.traces.text()
    }

    /// Every role's log, by pod.
    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        let log = |role: &Role| String::from_utf8_lossy(&fs::read(&role.log).unwrap_or_default()).into_owned();
        self.roles().iter().map(|role| (role.pod.clone(), log(role))).collect()
    }

    /// Every role's pod, its directory in `/proc`, and the port of its probes.
    pub(crate) fn processes(&self) -> Vec<(String, PathBuf, u16)> {
        let process = |role: &Role| Some((role.pod.clone(), role.process()?, role.probes));
        self.roles().iter().filter_map(process).collect()
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
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

    /// The program `openteam`.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.openteam
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.control_plane.kubeconfig()
    }

    /// Runs a command of `openteam` as the administrator, with `input` on its standard input.
    #[must_use]
    pub fn openteam(&self, arguments: &[&str], input: &str) -> Output {
        self.openteam_with(self.kubeconfig(), arguments, input)
    }

    /// The same as somebody else.
    #[must_use]
    pub fn openteam_with(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
        let mut command = tethered(&self.openteam);
        command
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
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

    /// Who is mailed about every incident.
    pub const INCIDENT_CONTACT: &str = "oncall@house.example";
    /// Where notices to Amazon would go.
    pub const AMAZON_CONTACT: &str = "security@amazon.example";

    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// What people's browsers come through to the portals.
    #[must_use]
    pub const fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// What people come with.
    pub(crate) fn browser(&self) -> &Browser {
        let authorities = [self.ingress.authority(), self.amazon.authority()];
        self.browser.get_or_init(|| Browser::trusting(self.dir.join("browser"), &authorities))
    }

    /// What the kubelet does with Secret `openteam-smtp`: user name and password, or neither. Only for who is
    /// [`crate::alone`].
    pub fn set_smtp_credentials(&self, credentials: Option<(&str, &str)>) {
        let dir = self.dir.join("smtp");
        for name in ["username", "password"] {
            drop(fs::remove_file(dir.join(name)));
        }
        if let Some((user, password)) = credentials {
            fs::write(dir.join("username"), user).unwrap();
            fs::write(dir.join("password"), password).unwrap();
        }
    }

    /// How many portals a house of tests has: what one knows, the other must.
    pub const PORTALS: usize = 2;

    /// One of the portals, from 0.
    #[must_use]
    pub fn portal(&self, number: usize) -> Portal<'_> {
        Portal::new(self, self.role(&portal_pod(number)).port)
    }

    /// How many gateways a house of tests has.
    pub const GATEWAYS: usize = 2;

    /// One of the gateways, from 0.
    #[must_use]
    pub fn gateway(&self, number: usize) -> Gateway<'_> {
        let port = self.role(&gateway_pod(number)).port;
        Gateway::new(self, port, &self.gateway_ca)
    }

    /// All gateways.
    #[must_use]
    pub fn gateways(&self) -> Vec<Gateway<'_>> {
        (0..self.gateways).map(|number| self.gateway(number)).collect()
    }

    /// The process of a pod, while it runs.
    #[must_use]
    pub fn pid(&self, pod: &str) -> Option<u32> {
        self.role(pod).pid()
    }

    /// Where the recorder serves the other roles, by the name that its certificate has.
    #[must_use]
    pub fn recorder(&self) -> (String, u16) {
        (format!("openteam-recorder.{NAMESPACE}.svc"), self.role(RECORDER).port)
    }

    /// The kubeconfig of a pod, with its ServiceAccount's token.
    #[must_use]
    pub fn kubeconfig_of(&self, pod: &str) -> PathBuf {
        self.dir.join(format!("{pod}.kubeconfig"))
    }

    /// A client with the rights of a role, in a pod of its own: what the role could ask for that a test asks for.
    #[must_use]
    pub fn client_as(&self, role: &str, pod: &str) -> Client {
        let account = format!("openteam-{role}");
        let token = self.block_on(objects::pod_token(&self.client, NAMESPACE, &account, pod, Vec::new()));
        self.plant_jwt(&format!("token of {pod}"), &token);
        let kubeconfig = objects::kubeconfig(self.control_plane.kubeconfig(), &token, None);
        fs::write(self.kubeconfig_of(pod), kubeconfig).unwrap();
        self.client_of(pod)
    }

    /// A client with the rights of a pod.
    #[must_use]
    pub fn client_of(&self, pod: &str) -> Client {
        self.block_on(client(&self.kubeconfig_of(pod)))
    }

    /// What a role tells Prometheus.
    #[must_use]
    pub fn metrics(&self, pod: &str) -> String {
        let port = self.role(pod).probes;
        let answer = crate::raw::plain_get(port, "/metrics").unwrap_or_default();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// The pods and where their metrics are.
    #[must_use]
    pub fn scraped(&self) -> Vec<(String, u16)> {
        self.roles().iter().map(|role| (role.pod.clone(), role.probes)).collect()
    }

    /// Writes a setting, or takes it out; a role reads it when it is started the next time. Only for who is
    /// [`crate::alone`].
    pub fn set(&self, key: &str, value: Option<&str>) {
        let file = self.dir.join("settings").join(key);
        match value {
            Some(value) => fs::write(file, value).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
    }

    /// Ends the process of a pod by SIGTERM. Only for who is [`crate::alone`].
    pub fn stop(&self, pod: &str) {
        self.role(pod).stop();
    }

    /// Sends SIGTERM to the process of a pod and waits for nothing. Only for who is [`crate::alone`].
    pub fn terminate(&self, pod: &str) {
        self.role(pod).signal("-TERM");
    }

    /// What a pod's process answers the kubelet's question whether it is Ready; nothing where nobody answers.
    #[must_use]
    pub fn readiness(&self, pod: &str) -> Option<String> {
        let probes = self.role(pod).probes;
        crate::raw::plain_get(probes, "/readyz")
    }

    /// Starts a stopped process and waits until it is Ready.
    pub fn restart(&self, pod: &str) {
        let mut role = self.role(pod);
        role.start();
        role.wait_ready();
    }

    /// Ends the process of a pod by SIGKILL, as a node that runs out of memory does. Only for who is [`crate::alone`].
    pub fn kill(&self, pod: &str) {
        self.role(pod).kill();
    }

    /// Starts whatever does not run, as the kubelet would, and waits for nothing.
    pub fn start_what_ended(&self) {
        self.roles().iter_mut().for_each(Role::start);
    }

    /// Starts whatever does not run until everything is Ready.
    pub fn settles(&self) {
        eventually("everything is Ready", || {
            self.start_what_ended();
            self.roles().iter().all(Role::is_ready).then_some(())
        });
    }

    /// The pods.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        self.roles().iter().map(|role| role.pod.clone()).collect()
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

    /// Freezes etcd. Only for who is [`crate::alone`].
    pub fn pause_etcd(&self) {
        self.control_plane.pause_etcd().unwrap();
    }

    /// Lets it go on.
    pub fn resume_etcd(&self) {
        self.control_plane.resume_etcd().unwrap();
    }

    /// Kills the apiserver and starts it again. Only for who is [`crate::alone`].
    pub fn restart_apiserver(&self) {
        self.control_plane.restart_apiserver().unwrap();
    }

    /// Kills etcd and starts it again with the same data. Only for who is [`crate::alone`].
    pub fn restart_etcd(&self) {
        self.control_plane.restart_etcd().unwrap();
    }

    /// Cuts the line between the first gateway and the apiserver, or mends it. Only for who is [`crate::alone`].
    pub fn cut(&self, cut: Cut) {
        self.line.cut(cut);
    }

    /// Whatever a test did: everything runs and answers again.
    pub(crate) fn put_in_order(&self) {
        self.resume_etcd();
        self.resume_apiserver();
        self.cut(Cut::Whole);
        self.amazon.switches().reset();
        self.amazon.tear(false);
        self.amazon.tear_login(false);
        self.reset_mailbox();
        self.set_smtp_credentials(None);
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
