//! `operator`: thousands of connections, from nothing to Ready and then at rest.
//!
//! A real apiserver, the emulated Amazon and a recorder, each a process of its own. All objects are there before the
//! operator starts, as after a disaster or a first `kubectl apply` of everything: so the requests it needs can be
//! counted, from the apiserver's own metrics.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use amazon_emulator::{Seed, Seller};
use anyhow::{Context, bail, ensure};
use cluster::{ControlPlane, free_port, spawn, tethered};
use crds::{
    AmazonApplication, AmazonApplicationSpec, AmazonConnection, AmazonConnectionSpec, CredentialOwner,
    CredentialOwnerKind, Endpoints, LocalReference, NamespacedReference, SealedCredential, SealedCredentialSpec, Team,
    TeamSpec,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use seal::PublicKey;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Report,
    process::{cpu_seconds, peak_mib},
};
use crate::shell;

const NAMESPACE: &str = "openteam-system";
/// Connections of a Team, each Team in a namespace of its own.
const PER_TEAM: usize = 100;
/// Objects that are made at the same time.
const AT_ONCE: usize = 32;
/// Changes measured one after another.
const CHANGES: usize = 300;
const MARKETPLACE: &str = "ATVPDKIKX0DER";

pub(super) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("operator")?;
    let programs = Programs::built()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let small = runtime.block_on(run(&programs, 1_000)).context("1,000 connections")?;
    report.at_most("seconds_to_ready_1000", small.seconds, 10.0);
    report.at_most("requests_per_connection_1000", small.requests, 5.0);
    report.figure("cpu_ms_per_connection_1000", small.cpu_ms);
    report.figure("peak_rss_mib_1000", small.peak_mib);
    report.figure("lists_1000", small.lists);
    report.at_most("change_to_status_ms_p99_1000", small.change_p99_ms, 50.0);
    report.at_most("writes_in_a_quiet_minute_1000", small.quiet_writes, 0.0);
    let large = runtime.block_on(run(&programs, 10_000)).context("10,000 connections")?;
    report.at_most("seconds_to_ready_10000", large.seconds, 90.0);
    report.at_most("requests_per_connection_10000", large.requests, 5.0);
    report.figure("cpu_ms_per_connection_10000", large.cpu_ms);
    report.at_most("cpu_per_connection_10000_to_1000", large.cpu_ms / small.cpu_ms, 1.2);
    report.at_most("peak_rss_mib_10000", large.peak_mib, 100.0);
    report.figure("lists_10000", large.lists);
    report.figure("change_to_status_ms_p50_10000", large.change_p50_ms);
    report.at_most("change_to_status_ms_p99_10000", large.change_p99_ms, 50.0);
    report.at_most("writes_in_a_quiet_minute_10000", large.quiet_writes, 0.0);
    report.figure("seconds_to_ready_after_restart_10000", large.restart_seconds);
    report.at_most("writes_after_restart_10000", large.restart_writes, 0.0);
    Ok(report)
}

/// What one size gave.
struct Figures {
    seconds: f64,
    /// Per connection.
    requests: f64,
    /// Per connection.
    cpu_ms: f64,
    peak_mib: f64,
    lists: f64,
    change_p50_ms: f64,
    change_p99_ms: f64,
    quiet_writes: f64,
    restart_seconds: f64,
    restart_writes: f64,
}

async fn run(programs: &Programs, connections: usize) -> anyhow::Result<Figures> {
    let house = House::start(programs, connections).await?;
    house.make_objects().await?;

    let before = house.requests()?;
    let began = Instant::now();
    let operator = house.operator()?;
    house.wait_ready(&operator)?;
    let seconds = began.elapsed().as_secs_f64();
    // What follows a status, its Event, is still on its way for some.
    thread::sleep(Duration::from_secs(5));
    let (cpu, peak_mib) = (cpu_seconds(operator.child.id())?, peak_mib(operator.child.id())?);
    let after = house.requests()?;
    let count = connections as f64;
    let requests = after.since(&before, |verb| verb != "WATCH") / count;
    let lists = after.since(&before, |verb| verb == "LIST");
    eprintln!("{connections} connections: {seconds:.1} s, {peak_mib:.0} MiB, {:?}", after.difference(&before));

    let mut changes = house.change_statuses().await?;
    changes.sort_by(f64::total_cmp);
    let rank = |share: f64| changes[((changes.len() - 1) as f64 * share).round() as usize];

    thread::sleep(Duration::from_secs(5));
    let before = house.requests()?;
    thread::sleep(Duration::from_secs(60));
    let quiet = house.requests()?;
    operator.stop()?;
    let began = Instant::now();
    let operator = house.operator()?;
    house.wait_ready(&operator)?;
    let restart_seconds = began.elapsed().as_secs_f64();
    thread::sleep(Duration::from_secs(10));
    let restarted = house.requests()?;
    operator.stop()?;
    Ok(Figures {
        seconds,
        requests,
        cpu_ms: cpu * 1000.0 / count,
        peak_mib,
        lists,
        change_p50_ms: rank(0.5),
        change_p99_ms: rank(0.99),
        quiet_writes: quiet.since(&before, is_write),
        restart_seconds,
        restart_writes: restarted.since(&quiet, is_write),
    })
}

/// Release builds of what is measured, and of what it is measured with.
struct Programs {
    openteam: PathBuf,
    emulator: PathBuf,
}

impl Programs {
    fn built() -> anyhow::Result<Self> {
        Ok(Self { openteam: shell::program("openteam")?, emulator: shell::program("amazon-emulator")? })
    }
}

/// Requests that the apiserver has answered, by verb and resource; only of what the operator works on.
struct Requests(BTreeMap<(String, String), f64>);

fn is_write(verb: &str) -> bool {
    !["GET", "LIST", "WATCH"].contains(&verb)
}

impl Requests {
    fn read(metrics: &str) -> Self {
        let mut found = BTreeMap::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
            let label = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let (group, resource) = (label("group").unwrap_or_default(), label(",resource").unwrap_or_default());
            let known = ["events", "configmaps", "secrets"].contains(&resource);
            // The witness's ConfigMap, the one that is replaced as a whole, is written while something is recorded.
            let is_counted =
                |verb: &&str| (known || group.ends_with("openteam.dev")) && (*verb, resource) != ("PUT", "configmaps");
            if let Some(verb) = label("verb").filter(is_counted) {
                let subresource = label("subresource").filter(|it| !it.is_empty()).map(|it| format!("/{it}"));
                let what = resource.to_owned() + &subresource.unwrap_or_default();
                let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
                *found.entry((verb.to_owned(), what)).or_default() += count;
            }
        }
        Self(found)
    }

    fn fresh<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a (String, String), f64)> {
        self.0.iter().map(|(key, count)| (key, count - before.0.get(key).copied().unwrap_or_default()))
    }

    fn difference(&self, before: &Self) -> BTreeMap<String, f64> {
        let fresh = self.fresh(before).filter(|(_, count)| *count > 0.0);
        fresh.map(|((verb, what), count)| (format!("{verb} {what}"), count)).collect()
    }

    fn since(&self, before: &Self, is: impl Fn(&str) -> bool) -> f64 {
        self.fresh(before).filter(|((verb, _), _)| is(verb)).map(|(_, count)| count).sum()
    }
}

/// Everything around the operator.
struct House<'p> {
    programs: &'p Programs,
    connections: usize,
    control_plane: ControlPlane,
    client: Client,
    dir: PathBuf,
    seed: Seed,
    ca_bundle: String,
    amazon: String,
    key: PublicKey,
    recorder: u16,
    _running: [Process; 2],
}

impl<'p> House<'p> {
    async fn start(programs: &'p Programs, connections: usize) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::start()?;
        let dir = control_plane.state_dir().join("bench");
        fs::create_dir_all(dir.join("settings"))?;
        let client = client(control_plane.kubeconfig()).await?;
        install(&control_plane)?;
        let seed = seed(connections)?;
        let amazon = Amazon::start(programs, &dir, &seed)?;

        let recorder_port = free_port()?;
        let arguments = [
            format!("--listen=127.0.0.1:{recorder_port}"),
            format!("--listen-readers=127.0.0.1:{}", free_port()?),
            format!("--dir={}", dir.join("journal").display()),
        ];
        let recorder_config = role_kubeconfig(&control_plane, &dir, "recorder")?;
        let operator_config = role_kubeconfig(&control_plane, &dir, "operator")?;
        // The first start makes keys; the operator that is measured is another process.
        let operator = start_operator(programs, &dir, &operator_config, recorder_port)?;
        let recorder = Process::role(&programs.openteam, &dir, "recorder", &recorder_config, &arguments)?;
        recorder.wait_for("/readyz", |answer| answer.starts_with("HTTP/1.1 200"))?;
        operator.wait_for("/metrics", |answer| answer.contains("openteam_leader 1"))?;
        operator.wait_for("/readyz", |answer| answer.starts_with("HTTP/1.1 200"))?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        let keys = maps.get("openteam-sealing-keys").await?.data.unwrap_or_default();
        let id = keys.get("current").context("no current sealing key")?;
        let key = PublicKey::from_entry(id, keys.get(id).context("the current sealing key is not there")?)?;
        operator.stop()?;
        Ok(Self {
            programs,
            connections,
            control_plane,
            client,
            dir,
            seed,
            ca_bundle: amazon.ca_bundle,
            amazon: amazon.url,
            key,
            recorder: recorder_port,
            _running: [amazon.process, recorder],
        })
    }

    fn operator(&self) -> anyhow::Result<Process> {
        start_operator(self.programs, &self.dir, &self.dir.join("operator.kubeconfig"), self.recorder)
    }

    fn requests(&self) -> anyhow::Result<Requests> {
        Ok(Requests::read(&self.control_plane.client().run(&["get", "--raw=/metrics"])?))
    }

    fn wait_ready(&self, operator: &Process) -> anyhow::Result<()> {
        let labels = "kind=\"AmazonConnection\",condition=\"Ready\",status=\"True\"";
        let line = format!("openteam_objects{{{labels}}} {}\n", self.connections);
        operator.wait_for("/metrics", |answer| answer.contains(&line))
    }

    /// Teams, an application and connections, with sealed credentials.
    async fn make_objects(&self) -> anyhow::Result<()> {
        let teams: Vec<String> =
            (0..self.connections.div_ceil(PER_TEAM)).map(|number| format!("team-{number}")).collect();
        for name in teams.iter().map(String::as_str).chain(["amazon"]) {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.to_owned());
            Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await?;
        }
        for name in &teams {
            self.create(placed(Team::new(name, TeamSpec::default()), name)).await?;
        }
        let known = &self.seed.applications[0];
        let spec = AmazonApplicationSpec {
            application_id: known.application_id.clone(),
            client_id: known.client_id.clone(),
            allowed_namespaces: Some(LabelSelector::default()),
            endpoints: Some(Endpoints {
                lwa: Some(self.amazon.clone()),
                selling_partner_api: Some(self.amazon.clone()),
                ca_bundle: Some(self.ca_bundle.clone()),
                ..Endpoints::default()
            }),
            ..AmazonApplicationSpec::default()
        };
        self.create(placed(AmazonApplication::new("application", spec), "amazon")).await?;
        let secret = known.client_secret.expose();
        self.create(self.sealed(CredentialOwnerKind::AmazonApplication, "amazon", "application", secret)?).await?;
        let sellers = self.seed.sellers.iter().enumerate();
        stream::iter(sellers.map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(AT_ONCE, |(number, seller)| async move {
                let namespace = &format!("team-{}", number / PER_TEAM);
                let name = format!("connection-{number}");
                let spec = AmazonConnectionSpec {
                    team_ref: LocalReference::to(namespace),
                    application_ref: NamespacedReference { namespace: "amazon".into(), name: "application".into() },
                    marketplace_ids: vec![MARKETPLACE.to_owned()],
                    selling_partner_id: Some(seller.seller_id.clone()),
                    ..AmazonConnectionSpec::default()
                };
                self.create(placed(AmazonConnection::new(&name, spec), namespace)).await?;
                let kind = CredentialOwnerKind::AmazonConnection;
                self.create(self.sealed(kind, namespace, &name, seller.refresh_token.expose())?).await
            })
            .await
    }

    fn sealed(
        &self,
        kind: CredentialOwnerKind,
        namespace: &str,
        name: &str,
        secret: &str,
    ) -> anyhow::Result<SealedCredential> {
        let field = kind.field();
        let binding = seal::Binding { namespace, kind: kind.as_str(), name, field: field.as_str() };
        let now = u64::try_from(Timestamp::now().as_millisecond())?;
        let ciphertext = seal::seal_input(&self.key, &binding, now, secret.as_bytes())?;
        let of = CredentialOwner { kind, name: name.to_owned() };
        let spec = SealedCredentialSpec { r#for: of, field, consent: None, ciphertext };
        Ok(placed(SealedCredential::new(&format!("{name}-sealed"), spec), namespace))
    }

    async fn create<K>(&self, object: K) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        api.create(&PostParams::default(), &object).await.with_context(|| object.name_any())?;
        Ok(())
    }

    /// Changes connections one after another; milliseconds from the apiserver's answer to the status that is about it.
    async fn change_statuses(&self) -> anyhow::Result<Vec<f64>> {
        let api: Api<AmazonConnection> = Api::namespaced(self.client.clone(), "team-0");
        let version = api.list_metadata(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
        let mut events = api.watch(&WatchParams::default().timeout(280), &version).await?.boxed();
        let mut taken = Vec::new();
        for number in 0..CHANGES {
            let name = format!("connection-{}", number % PER_TEAM);
            let patch = Patch::Merge(json!({ "spec": { "displayName": format!("change {number}") } }));
            let changed = api.patch(&name, &PatchParams::default(), &patch).await?;
            let answered = Instant::now();
            loop {
                let event = events.try_next().await?.context("the watch ended")?;
                let WatchEvent::Modified(seen) = event else { continue };
                let observed = seen.status.as_ref().and_then(|status| status.observed_generation);
                if seen.name_any() == name && observed == changed.metadata.generation {
                    taken.push(answered.elapsed().as_secs_f64() * 1000.0);
                    break;
                }
            }
        }
        Ok(taken)
    }
}

fn placed<K: Resource<DynamicType = ()>>(mut object: K, namespace: &str) -> K {
    let name = object.meta().name.clone();
    *object.meta_mut() = ObjectMeta { name, namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
    object
}

async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    ::process::start::provide_tls();
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let options = kube::config::KubeConfigOptions::default();
    Ok(Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?)?)
}

/// Kinds, ServiceAccounts and rights, as the manifests give them.
fn install(control_plane: &ControlPlane) -> anyhow::Result<()> {
    const RIGHTS: [&str; 6] =
        ["Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
    let kubectl = control_plane.client();
    let root = shell::root();
    kubectl.run(&["apply", "--server-side", "-k", &root.join("manifests/crds").display().to_string()])?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    let rendered = kubectl.run(&["kustomize", &root.join("manifests/base").display().to_string()])?;
    let mut items = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&rendered) {
        let object: Value = serde::Deserialize::deserialize(document)?;
        if RIGHTS.iter().any(|kind| object["kind"] == *kind) {
            items.push(object);
        }
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    kubectl.run_with(&["apply", "--server-side", "-f", "-"], &list.to_string())?;
    Ok(())
}

/// The kubeconfig of a role: a token bound to its pod, which exists and never runs.
fn role_kubeconfig(control_plane: &ControlPlane, dir: &Path, role: &str) -> anyhow::Result<PathBuf> {
    let kubectl = control_plane.client();
    let (account, pod) = (format!("openteam-{role}"), format!("openteam-{role}-0"));
    let restricted = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod, "namespace": NAMESPACE },
        "spec": {
            "serviceAccountName": account,
            "containers": [{ "name": role, "image": "localhost/none", "securityContext": restricted }],
        },
    });
    kubectl.run_with(&["create", "-f", "-"], &object.to_string())?;
    let arguments = ["create", "token", &account, "--namespace", NAMESPACE, "--bound-object-kind=Pod"];
    let token = kubectl.run(&[&arguments[..], &["--duration=3h", "--bound-object-name", &pod]].concat())?;
    let mut config: Value = serde_yaml::from_str(&fs::read_to_string(control_plane.kubeconfig())?)?;
    let user = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{ "name": user, "user": { "token": token.trim() } }]);
    let path = dir.join(format!("{role}.kubeconfig"));
    fs::write(&path, config.to_string())?;
    Ok(path)
}

fn start_operator(programs: &Programs, dir: &Path, kubeconfig: &Path, recorder: u16) -> anyhow::Result<Process> {
    let arguments = [format!("--recorder-connect=127.0.0.1:{recorder}"), "--allow-endpoints".to_owned()];
    Process::role(&programs.openteam, dir, "operator", kubeconfig, &arguments)
}

/// One application and as many sellers.
fn seed(sellers: usize) -> anyhow::Result<Seed> {
    let made_up = Seed::made_up()?;
    let seller = |_| -> anyhow::Result<Seller> {
        let mut one = Seed::made_up()?.sellers.remove(0);
        one.client_id.clone_from(&made_up.applications[0].client_id);
        Ok(one)
    };
    let sellers = (0..sellers).map(seller).collect::<anyhow::Result<_>>()?;
    Ok(Seed { sellers, ..made_up })
}

/// The emulated Amazon, which throttles nobody.
struct Amazon {
    process: Process,
    ca_bundle: String,
    url: String,
}

impl Amazon {
    fn start(programs: &Programs, dir: &Path, seed: &Seed) -> anyhow::Result<Self> {
        let file = dir.join("seed.yaml");
        fs::write(&file, serde_yaml::to_string(seed)?)?;
        let certificate = dir.join("amazon");
        let mut make = tethered(&programs.emulator);
        make.args(["certificate", "--san", "localhost", "--out"]).arg(&certificate);
        ensure!(spawn(make)?.wait()?.success(), "no certificate for the emulated Amazon");
        let (tls, control) = (free_port()?, free_port()?);
        let mut serve = tethered(&programs.emulator);
        serve.arg("serve").arg("--seed").arg(&file);
        serve.arg("--tls-cert").arg(certificate.join("tls.crt")).arg("--tls-key").arg(certificate.join("tls.key"));
        serve.args([format!("--listen=127.0.0.1:{tls}"), format!("--control=127.0.0.1:{control}")]);
        let process = Process { child: spawn(serve)?, port: control };
        process.wait_for("/", |answer| answer.starts_with("HTTP/1.1"))?;
        let ca_bundle = fs::read_to_string(certificate.join("ca.crt"))?;
        Ok(Self { process, ca_bundle, url: format!("https://localhost:{tls}") })
    }
}

/// A running program; ended when it is dropped.
struct Process {
    child: Child,
    /// Where it answers in plain HTTP.
    port: u16,
}

impl Process {
    fn role(program: &Path, dir: &Path, role: &str, kubeconfig: &Path, arguments: &[String]) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = File::options().create(true).append(true).open(dir.join(format!("{role}.log")))?;
        let mut command = tethered(program);
        command
            .args([role, "--namespace", NAMESPACE, "--pod", &format!("openteam-{role}-0")])
            .arg(format!("--settings={}", dir.join("settings").display()))
            .arg(format!("--probes=127.0.0.1:{port}"))
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Self { child: spawn(command)?, port })
    }

    /// Waits until `GET path` is answered so; half a second between looks, which themselves cost CPU.
    fn wait_for(&self, path: &str, is: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let limit = Instant::now() + Duration::from_secs(900);
        while !get(self.port, path).is_some_and(|answer| is(&answer)) {
            if Instant::now() > limit {
                bail!("{path} was not as expected within 15 minutes");
            }
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// SIGTERM, and its end.
    fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        shell::command("sh").args(["-c", "kill -TERM \"$1\"", "kill", &pid]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_verb_and_resource() {
        let line = |group: &str, resource: &str, subresource: &str, verb: &str, count: u32| {
            format!(
                "apiserver_request_total{{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"{group}\",\
                 resource=\"{resource}\",scope=\"resource\",subresource=\"{subresource}\",verb=\"{verb}\",\
                 version=\"v1\"}} {count}\n"
            )
        };
        let text = |patched: u32| {
            line("openteam.dev", "teams", "status", "APPLY", patched)
                + &line("openteam.dev", "teams", "", "WATCH", 2 * patched)
                + &line("coordination.k8s.io", "leases", "", "PUT", 3 * patched)
        };
        let (before, after) = (Requests::read(&text(2)), Requests::read(&text(5)));
        assert_eq!(after.since(&before, is_write), 3.0);
        assert_eq!(after.since(&before, |_| true), 9.0);
        assert_eq!(
            after.difference(&before),
            [("APPLY teams/status".to_owned(), 3.0), ("WATCH teams".to_owned(), 6.0)].into()
        );
    }
}
