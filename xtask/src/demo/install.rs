//! Installing OpenTeam beside an emulated Amazon and a mailbox, and a Team that uses it.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use amazon_emulator::{Authority, Seed, Seller};
use anyhow::{Context, bail};
use cluster::Kubectl;
use serde_json::{Value, json};

use super::{CONNECTION, SYSTEM, TEAM, browser::Ports, place::Place, rotation::control};
use crate::{check::show, shell};

/// Between the two parts that [`FROM_SECRET`] prints.
const SEPARATOR: &str = "\n--ca--\n";
const FROM_SECRET: &str =
    r#"go-template={{index .data "seed.yaml" | base64decode}}{{"\n--ca--\n"}}{{index .data "ca.crt" | base64decode}}"#;

/// The emulated Amazon: who sells there, and whom it is trusted by.
pub(super) struct Amazon {
    seed: Seed,
    ca: String,
}

impl Amazon {
    /// Every credential made up for the sellers: what it is, and its text.
    pub(super) fn credentials(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secrets = self.seed.applications.iter().map(|one| {
            // What stands before the last dot is the same for all.
            let secret = one.client_secret.expose();
            ("client secret", secret.rsplit('.').next().unwrap_or(secret))
        });
        let tokens = self.seed.sellers.iter().map(|one| one.refresh_token.expose());
        secrets.chain(tokens.map(|token| ("refresh token", token)))
    }

    /// The authority of its certificate, PEM.
    pub(super) fn authority(&self) -> &str {
        &self.ca
    }

    /// Whose connection the samples have.
    pub(super) fn seller(&self) -> anyhow::Result<&Seller> {
        self.seed.sellers.first().context("nobody sells")
    }

    /// A seller of the same application whom nobody has connected.
    pub(super) fn other_seller(&self) -> anyhow::Result<&Seller> {
        let first = self.seller()?;
        let mut others = self.seed.sellers.iter().skip(1);
        others.find(|other| other.client_id == first.client_id).context("nobody else sells")
    }
}

/// A directory for what this run makes up. Under `target`, which Git ignores.
pub(super) fn scratch() -> anyhow::Result<PathBuf> {
    let directory = shell::root().join("target/demo");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Writes a file that only this user may read.
pub(super) fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(content.as_bytes())?)
}

/// Applies the demo's overlay with this machine's addresses, and waits until every pod is Ready.
pub(super) fn install(kubectl: &Kubectl, ports: &Ports) -> anyhow::Result<Amazon> {
    let (authority, made) = mailbox(kubectl)?;
    let overlay = overlay(ports, &authority)?.display().to_string();
    show("$ kubectl apply -k target/demo/install   # manifests/overlays/demo with the addresses of this machine");
    apply(kubectl, &["-k", &overlay])?;
    if let Some(secret) = made {
        kubectl.run_with(&["apply", "--server-side", "-f", "-"], &secret.to_string())?;
    }
    let amazon = amazon(kubectl)?;
    kubectl.run(&["rollout", "status", "-n", "amazon", "deployment/amazon", "--timeout=180s"])?;
    register(kubectl, &amazon, ports)?;
    let deployments = ["amazon", "mailbox", SYSTEM].map(|namespace| (namespace, "deployment"));
    for (namespace, kind) in deployments.into_iter().chain([(SYSTEM, "statefulset")]) {
        for name in kubectl.run(&["get", kind, "-n", namespace, "-o", "name"])?.lines() {
            kubectl.run(&["rollout", "status", "-n", namespace, name, "--timeout=180s"])?;
        }
    }
    show(&kubectl.run(&["get", "pods", "-A"])?);
    Ok(amazon)
}

/// Tells Amazon where the application's sellers come back to, as its developer does in Amazon's own pages.
fn register(kubectl: &Kubectl, amazon: &Amazon, ports: &Ports) -> anyhow::Result<()> {
    let of = &amazon.seller()?.client_id;
    let registration = json!({ "redirectUris": [redirect_uri(ports)], "cancelReturns": true });
    control(kubectl, "switches", &json!({ "registrations": { of.as_str(): registration } }))?;
    Ok(())
}

fn redirect_uri(ports: &Ports) -> String {
    format!("{}/amazon/callback", ports.portal())
}

/// The mailbox's authority, and the Secret with its certificate, unless an earlier demo on this cluster made one.
fn mailbox(kubectl: &Kubectl) -> anyhow::Result<(String, Option<Value>)> {
    let ca = r#"go-template={{index .data "ca.crt" | base64decode}}"#;
    let found = kubectl.run(&["get", "secret", "mailbox", "-n", "mailbox", "--ignore-not-found", "-o", ca])?;
    if !found.is_empty() {
        return Ok((found, None));
    }
    let authority = Authority::make(&["mailbox.mailbox.svc".to_owned()])?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "mailbox", "namespace": "mailbox" },
        "stringData": { "ca.crt": authority.ca, "tls.crt": authority.certificate, "tls.key": authority.key },
    });
    Ok((authority.ca, Some(secret)))
}

/// The demo's overlay with settings for this machine. The portal has settings of its own: what it tells people of the gateway is
/// an address here, while agents in the cluster call the Service.
fn overlay(ports: &Ports, mailbox_authority: &str) -> anyhow::Result<PathBuf> {
    let overlay = scratch()?.join("install");
    fs::create_dir_all(&overlay)?;
    fs::write(overlay.join("mailbox.crt"), mailbox_authority)?;
    let settings = [
        format!("publicUrl={}", ports.portal()),
        "smtpUrl=smtps://mailbox.mailbox.svc:465".to_owned(),
        "smtpFrom=openteam@openteam.example".to_owned(),
        "incidentContact=oncall@openteam.example".to_owned(),
    ];
    let of_portal = [&settings[..], &[format!("gatewayUrl={}", ports.gateway())]].concat();
    let ca = ["smtpCaBundle=mailbox.crt"];
    let volume = json!({ "name": "settings", "configMap": { "name": "openteam-portal-settings" } });
    let patch = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "openteam-portal", "namespace": SYSTEM },
        "spec": { "template": { "spec": { "volumes": [volume] } } },
    });
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../../manifests/overlays/demo"],
        "configMapGenerator": [
            { "name": "openteam", "namespace": SYSTEM, "behavior": "merge", "literals": settings, "files": ca },
            { "name": "openteam-portal-settings", "namespace": SYSTEM, "literals": of_portal, "files": ca },
        ],
        "patches": [{ "patch": patch.to_string() }],
    });
    fs::write(overlay.join("kustomization.yaml"), serde_yaml::to_string(&kustomization)?)?;
    Ok(overlay)
}

/// Makes up two sellers, unless an earlier demo on this cluster did: a connection's seller never changes.
fn amazon(kubectl: &Kubectl) -> anyhow::Result<Amazon> {
    let found = kubectl.run(&["get", "secret", "amazon", "-n", "amazon", "--ignore-not-found", "-o", FROM_SECRET])?;
    if let Some((seed, ca)) = found.split_once(SEPARATOR) {
        return Ok(Amazon { seed: Seed::parse(seed)?, ca: ca.to_owned() });
    }
    let mut seed = Seed::made_up().context("sellers cannot be made up")?;
    // One to be connected by YAML, another by the portal; of one application.
    let client_id = seed.sellers.first().context("nobody sells")?.client_id.clone();
    seed.sellers.push(Seller { client_id, ..Seed::made_up()?.sellers.remove(0) });
    // By the one name OpenTeam calls it, by the other a browser on this machine.
    let authority = Authority::make(&["amazon.amazon.svc".to_owned(), "localhost".to_owned()])?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "amazon", "namespace": "amazon" },
        "stringData": {
            "seed.yaml": seed.to_yaml()?,
            "ca.crt": authority.ca,
            "tls.crt": authority.certificate,
            "tls.key": authority.key,
        },
    });
    kubectl.run_with(&["apply", "--server-side", "-f", "-"], &secret.to_string())?;
    Ok(Amazon { seed, ca: authority.ca })
}

fn apply(kubectl: &Kubectl, what: &[&str]) -> anyhow::Result<()> {
    let mut words = vec!["apply", "--server-side"];
    words.extend(what);
    let mut command = kubectl.command();
    let output = command.args(&words).current_dir(shell::root()).output()?;
    if !output.status.success() {
        // Kinds are served a moment after their definitions are accepted; applying again is what a person would do.
        kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        let output = kubectl.command().args(&words).current_dir(shell::root()).output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

/// Seals the made-up seller's credentials and applies the samples, with the made-up ids in place of the samples' own.
pub(super) fn samples(place: &Place, amazon: &Amazon, ports: &Ports) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    let seller = amazon.seller()?;
    let application = amazon
        .seed
        .applications
        .iter()
        .find(|application| application.client_id == seller.client_id)
        .context("the seller's application is not there")?;
    let secret = seal(place, &format!("amazonapplication/{TEAM}/acme"), application.client_secret.expose())?;
    let token = seal(place, &format!("amazonconnection/{TEAM}/{CONNECTION}"), seller.refresh_token.expose())?;
    show(&format!("$ openteam seal --for amazonconnection/{TEAM}/{CONNECTION} < token"));
    show(&token.lines().map(shortened).collect::<Vec<String>>().join("\n"));

    let url = "https://amazon.amazon.svc";
    let patches = [
        json!({ "target": { "kind": "AmazonApplication" }, "patch": json!([
            { "op": "replace", "path": "/spec/applicationId", "value": application.application_id },
            { "op": "replace", "path": "/spec/clientId", "value": application.client_id },
            { "op": "add", "path": "/spec/endpoints",
              "value": { "lwa": url, "sellingPartnerApi": url, "consent": ports.amazon(), "caBundle": amazon.ca } },
            { "op": "add", "path": "/spec/redirectUri", "value": redirect_uri(ports) },
        ]).to_string() }),
        json!({ "target": { "kind": "AmazonConnection" }, "patch": json!([
            { "op": "add", "path": "/spec/sellingPartnerId", "value": seller.seller_id },
        ]).to_string() }),
    ];
    let scratch = scratch()?;
    let overlay = scratch.join("samples");
    fs::create_dir_all(&overlay)?;
    let kustomization: Value = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../../manifests/samples", "sealed.yaml"],
        "patches": patches,
    });
    fs::write(overlay.join("kustomization.yaml"), serde_yaml::to_string(&kustomization)?)?;
    fs::write(overlay.join("sealed.yaml"), format!("{secret}---\n{token}"))?;
    show("$ kubectl apply -k target/demo/samples   # manifests/samples with the made-up ids, and what was sealed");
    show(&kubectl.run(&["apply", "-k", &overlay.display().to_string()])?);
    Ok(())
}

fn shortened(line: &str) -> String {
    if line.chars().count() > 96 { line.chars().take(95).chain(['…']).collect() } else { line.to_owned() }
}

/// What `openteam seal` prints for a credential.
pub(super) fn seal(place: &Place, target: &str, credential: &str) -> anyhow::Result<String> {
    Ok(place.openteam(&["seal", "--for", target], credential)?.0)
}

/// Waits until Amazon has accepted the connection.
pub(super) fn ready(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.run(&["wait", "--for=condition=Ready", &format!("amzc/{CONNECTION}"), "-n", TEAM, "--timeout=90s"])?;
    for words in [&["get", "amzc", "-A"][..], &["get", "openteam", "-n", TEAM]] {
        show(&format!("$ kubectl {}", words.join(" ")));
        show(&kubectl.run(words)?);
    }
    Ok(())
}
