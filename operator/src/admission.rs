//! The ValidatingWebhookConfiguration's part that only the operator can know: whom the apiserver trusts, and the key by which
//! the webhook knows the apiserver ([`process::admission`]). The rest is the manifests'.
//!
//! Written where it differs and when somebody changes it; at rest nothing is written. Without a configuration there is
//! nothing to do: advice is optional.

use std::time::Duration;

use data_encoding::HEXLOWER;
use futures::{StreamExt, pin_mut};
use k8s_openapi::{ByteString, api::admissionregistration::v1::ValidatingWebhookConfiguration};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use process::{
    admission::{CONFIGURATION, Entry, key},
    certificate::chain,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    error::{Cause, cause},
    status::MANAGER,
};

const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why the configuration was not written.
#[derive(Debug, thiserror::Error)]
enum TendError {
    #[error("ValidatingWebhookConfiguration {CONFIGURATION} could not be written")]
    Api(#[source] Cause),
    #[error("no randomness for a key")]
    Randomness(#[from] getrandom::Error),
}

/// Keeps it as it must be, for as long as it is polled. `authority` is the certificate of ours, PEM.
pub(crate) async fn run(client: Client, authority: String) {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let ours = watcher::Config::default().fields(&format!("metadata.name={CONFIGURATION}"));
    let seen = watcher(api.clone(), ours).default_backoff().applied_objects();
    pin_mut!(seen);
    while let Some(seen) = seen.next().await {
        match seen {
            Ok(configuration) => tend(&api, configuration, &authority).await,
            Err(error) => tracing::warn!(error = chain(&error), "watch of the webhook's configuration broke off"),
        }
    }
}

/// Writes what differs, and tries until it is written. What changes meanwhile comes after it by the watch.
async fn tend(
    api: &Api<ValidatingWebhookConfiguration>,
    configuration: ValidatingWebhookConfiguration,
    authority: &str,
) {
    let mut seen = Some(configuration);
    while let Some(configuration) = seen {
        let error = match write(api, &configuration, authority).await {
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::warn!(error = chain(&error), "the apiserver may not reach the webhook: spec changes are refused then");
        sleep(RETRY_AFTER).await;
        seen = api.get_opt(CONFIGURATION).await.unwrap_or(Some(configuration));
    }
}

async fn write(
    api: &Api<ValidatingWebhookConfiguration>,
    configuration: &ValidatingWebhookConfiguration,
    authority: &str,
) -> Result<(), TendError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let Some(patch) = plan(configuration, authority, &HEXLOWER.encode(&random)) else { return Ok(()) };
    let written = api.patch(CONFIGURATION, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await;
    written.map_err(|error| TendError::Api(cause(error)))?;
    tracing::info!("the apiserver was told whom to trust and where to ask the webhook");
    Ok(())
}

/// What must be applied; nothing where all is as it must be. `new_key` is taken where there is none yet. Entries that are not
/// ours, and such as do not go to a Service, are left alone.
fn plan(configuration: &ValidatingWebhookConfiguration, authority: &str, new_key: &str) -> Option<Value> {
    let key = key(configuration).unwrap_or(new_key);
    let bundle = ByteString(authority.as_bytes().to_vec());
    let (mut webhooks, mut differs) = (Vec::new(), false);
    for webhook in configuration.webhooks.iter().flatten() {
        let Some(entry) = Entry::of_webhook(&webhook.name) else { continue };
        let Some(service) = &webhook.client_config.service else { continue };
        let path = entry.path(key);
        differs |= service.path.as_ref() != Some(&path) || webhook.client_config.ca_bundle.as_ref() != Some(&bundle);
        webhooks.push(json!({
            "name": webhook.name,
            "clientConfig": {
                "caBundle": bundle,
                "service": { "namespace": service.namespace, "name": service.name, "path": path },
            },
        }));
    }
    differs.then(|| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": CONFIGURATION },
            "webhooks": webhooks,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    fn configuration() -> Value {
        let webhook = |name: &str, client: Value| json!({ "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": client });
        let service =
            || json!({ "service": { "namespace": "openteam-system", "name": "openteam-webhook", "port": 443 } });
        json!({
            "metadata": { "name": CONFIGURATION },
            "webhooks": [
                webhook("validate.openteam.dev", service()),
                webhook("record.openteam.dev", service()),
                webhook("restore.openteam.dev", service()),
                webhook("else.example.com", service()),
            ],
        })
    }

    fn planned(configuration: &Value, authority: &str, new_key: &str) -> Option<Value> {
        plan(&serde_json::from_value(configuration.clone()).unwrap(), authority, new_key)
    }

    /// As the apiserver merges what is applied.
    fn applied(mut configuration: Value, patch: &Value) -> Value {
        for wanted in patch["webhooks"].as_array().unwrap() {
            let all = configuration["webhooks"].as_array_mut().unwrap();
            let one = all.iter_mut().find(|one| one["name"] == wanted["name"]).unwrap();
            one["clientConfig"]["caBundle"] = wanted["clientConfig"]["caBundle"].clone();
            one["clientConfig"]["service"]["path"] = wanted["clientConfig"]["service"]["path"].clone();
        }
        configuration
    }

    #[test]
    fn a_new_configuration_gets_bundle_and_key_and_then_nothing_is_written() {
        let patch = planned(&configuration(), "pem", KEY).unwrap();
        assert_eq!(patch["webhooks"].as_array().unwrap().len(), 3, "ours alone: {patch}");
        let done = applied(configuration(), &patch);
        assert_eq!(done["webhooks"][0]["clientConfig"]["service"]["path"], format!("/validate/{KEY}"));
        assert_eq!(done["webhooks"][1]["clientConfig"]["caBundle"], "cGVt");
        assert_eq!(planned(&done, "pem", OTHER), None, "the key that is there stays");
    }

    #[test]
    fn whatever_somebody_changed_of_it_is_put_right() {
        let done = applied(configuration(), &planned(&configuration(), "pem", KEY).unwrap());
        let changed = |pointer: &str, value: Value| {
            let mut changed = done.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        for (pointer, value, key) in [
            ("/webhooks/0/clientConfig/caBundle", json!("Zm9yZWlnbg=="), KEY),
            ("/webhooks/2/clientConfig/caBundle", json!(null), KEY),
            // A path that somebody else chose is known to them.
            ("/webhooks/1/clientConfig/service/path", json!("/record"), OTHER),
            ("/webhooks/1/clientConfig/service/path", json!(format!("/record/{OTHER}")), OTHER),
        ] {
            let changed = changed(pointer, value);
            let mended = applied(changed.clone(), &planned(&changed, "pem", OTHER).unwrap());
            assert_eq!(mended["webhooks"][1]["clientConfig"]["service"]["path"], format!("/record/{key}"), "{pointer}");
            assert_eq!(planned(&mended, "pem", KEY), None, "{pointer}");
        }
        // Another authority, as after a restore of its Secret.
        let patch = planned(&done, "other", OTHER).unwrap();
        assert_eq!(patch["webhooks"][0]["clientConfig"]["caBundle"], "b3RoZXI=");
        assert_eq!(patch["webhooks"][0]["clientConfig"]["service"]["path"], format!("/validate/{KEY}"));
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let mut elsewhere = configuration();
        for webhook in elsewhere["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"] = json!({ "url": "https://example.com/" });
        }
        assert_eq!(planned(&elsewhere, "pem", KEY), None);
        assert_eq!(planned(&json!({ "metadata": { "name": CONFIGURATION } }), "pem", KEY), None);
    }
}
