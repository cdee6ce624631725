//! Single generated files, and what each is made from.

use std::fs;

use anyhow::{Context, Result, bail};
use process::settings::{ALL, Settings};
use serde_json::json;

use super::{Files, events, kinds, policies, repository};

const RULES: &str = "manifests/alerts/openteam.rules.yaml";
const AUDIT: &str = "docs/audit.md";

/// Path within the repository, and text.
fn wanted() -> Result<Files> {
    Ok([
        ("manifests/components/prometheus-operator/rules.yaml".to_owned(), prometheus_rule()?),
        (AUDIT.to_owned(), audit_page()?),
        ("docs/reference/kinds.md".to_owned(), kinds::page(&crds::definitions())),
        ("docs/reference/settings.md".to_owned(), settings()),
        ("process/src/policies.json".to_owned(), policies::as_json()?),
    ]
    .into())
}

/// Writes them; with `check` only says which are not as they would be written.
pub(super) fn run(check: bool) -> Result<()> {
    let mut differing = Vec::new();
    for (path, text) in wanted()? {
        let file = repository().join(&path);
        if fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        if !check {
            fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
        }
        differing.push(path);
    }
    if check && !differing.is_empty() {
        bail!("not as generated: {}\nrun `cargo xtask generate`", differing.join(", "));
    }
    Ok(())
}

/// The page about the record, of which one section is generated.
fn audit_page() -> Result<String> {
    let page = fs::read_to_string(repository().join(AUDIT)).with_context(|| format!("cannot read {AUDIT}"))?;
    events::filled(&page).context(AUDIT)
}

/// The alerts as the Prometheus operator wants them.
fn prometheus_rule() -> Result<String> {
    let rules = fs::read_to_string(repository().join(RULES)).with_context(|| format!("cannot read {RULES}"))?;
    let spec: serde_json::Value = serde_yaml::from_str(&rules).with_context(|| format!("{RULES} is no YAML"))?;
    let object = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "openteam",
            "namespace": "openteam-system",
            "labels": { "app.kubernetes.io/name": "openteam" },
        },
        "spec": spec,
    });
    let yaml = serde_yaml::to_string(&object)?;
    Ok(format!("# Generated from {RULES} by `cargo xtask generate`; edit that instead.\n{yaml}"))
}

fn settings() -> String {
    let mut text = "<!-- Generated from process/src/settings.rs by `cargo xtask generate`. -->\n\n# Settings\n\n\
        All roles read one ConfigMap, `openteam`, at their start. Every key may be left out. A key that is no setting, or a \
        value that\nits setting does not take, keeps a role from starting, and its log names it.\n\n\
        | key | takes | default | |\n|---|---|---|---|\n"
        .to_owned();
    for setting in ALL {
        let default = match setting.value(&Settings::default(), "openteam-system").as_str() {
            "" => "none".to_owned(),
            value => format!("`{value}`"),
        };
        text += &format!("| `{}` | {} | {default} | {} |\n", setting.key, setting.takes, setting.does);
    }
    text += "\n## Changing them\n\n\
        `manifests/base` generates the ConfigMap (`configMapGenerator`), so its name ends in a hash of its content, and an\n\
        overlay merges keys into it, as `manifests/overlays/production` shows. A change is a new ConfigMap and a rollout of\n\
        all roles. Operator and gateways are replaced one by one, each new pod Ready before an old one goes: settings with\n\
        which no role starts stop that at the first pod, and those that run go on. The recorder is one pod and has no second to\n\
        go on with: while it does not start, every call is refused. So check settings before they are applied.\n\n\
        `kubectl apply -k` leaves the ConfigMaps of earlier settings behind, `openteam-HASH` each; nothing reads them any more.\n\
        Argo CD and Flux prune them; by hand it is `kubectl -n openteam-system delete configmap openteam-HASH`.\n\n\
        ## Checking them\n\n\
        ```\n\
        kubectl kustomize my-overlay | openteam config check --file -   # before they are applied\n\
        openteam config check                                           # those the gateways run with\n\
        ```\n\n\
        It prints every setting with its effective value and whether that is the default, and each mistake with what would be\n\
        right. `-o json` and `-o yaml` are for scripts. It ends with 0 if the settings are right, with 1 if not, and with 2 if\n\
        there are none to check.\n\n\
        ## Mail\n\n\
        Off by default. With `smtpUrl` and `smtpFrom` the operator mails what happens to whom it concerns: `incidentContact` and\n\
        the contacts of Teams (`Team.spec.contacts`). Always over TLS; a server that offers none, or a certificate that is not\n\
        that of its host by a trusted authority, is told nothing. User name and password are not settings: they are in Secret\n\
        `openteam-smtp` ([install](../install.md#mail)), and a change of them counts with the next mail. `smtpCaBundle` is many\n\
        lines, so it comes from a file: `files: [smtpCaBundle=ca.crt]` in the overlay's `configMapGenerator`.\n\n\
        ## Traces\n\n\
        Off by default. With `tracesEndpoint` the roles send OpenTelemetry spans by OTLP over HTTP (protobuf): a call to the\n\
        gateway, with its route, operation, outcome and status; a refresh at Login with Amazon; the wait for the record; a\n\
        TokenReview; a pass of the operator over an object, with kind, namespace and name. Never a path, a query, a header, a\n\
        body or a token. A caller's `traceparent` is linked to, not continued, and never sent to Amazon. With the collector\n\
        away spans are dropped and nobody waits. Headers that the collector wants, such as a key, are given to the pods as\n\
        `OTEL_EXPORTER_OTLP_HEADERS` from a Secret; a private authority as `SSL_CERT_FILE`.\n\n\
        ## Logs outside\n\n\
        With `auditUrl` each recorder copies its [logs](../audit.md) there, `POD/SHARD/` with the files of tlog-tiles, every ten\n\
        minutes and up to what the operator cosigned. Credentials as below, from the Secret `openteam-audit-storage` of the\n\
        recorder's pod. `checkpoint` is the one file that is replaced; a bucket with Object Lock keeps its older versions.\n\
        Rights as below, and of a bucket that keeps versions those to list and read them (`s3:ListBucketVersions`,\n\
        `s3:GetObjectVersion`): for [`openteam audit fetch`](../audit.md#from-a-copy-outside), and for the recorder where\n\
        something was put over a file.\n\n\
        ## Evidence outside\n\n\
        With `evidenceUrl` the operator copies each [bundle of evidence](../formats.md#evidence-bundle) there, those made before\n\
        as well, after a recorder keeps it. For S3, or what speaks it, region, credentials and endpoint are in the variables that\n\
        Amazon's own tools read (`AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_WEB_IDENTITY_TOKEN_FILE`,\n\
        `AWS_ENDPOINT_URL`, …), which the operator's pod takes from the Secret `openteam-evidence-storage`, where there is one.\n\
        It needs the right to put objects and to read them, and none to delete: nothing is overwritten (`If-None-Match`), and\n\
        checksums are sent as a bucket with Object Lock wants them. While a copy fails, the Incident's condition `EvidenceKept`\n\
        says why, and bundles are made and kept by the recorder all the same.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapped_rules_are_the_plain_ones() {
        let wrapped: serde_json::Value = serde_yaml::from_str(&prometheus_rule().unwrap()).unwrap();
        let plain = fs::read_to_string(repository().join(RULES)).unwrap();
        assert_eq!(wrapped["spec"], serde_yaml::from_str::<serde_json::Value>(&plain).unwrap());
    }

    #[test]
    fn every_setting_is_in_its_reference() {
        let text = settings();
        assert!(ALL.iter().all(|setting| text.contains(&format!("| `{}` |", setting.key))), "{text}");
    }
}
