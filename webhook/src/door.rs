//! Whom the webhook answers, and whether they can trust it: both are in the apiserver's configuration, where the operator
//! wrote them ([`process::admission`]).

use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::{Api, Client};
use process::{
    admission::{self, CONFIGURATION, Entry},
    certificate::RoleCertificate,
};
use subtle::ConstantTimeEq;
use tokio::{
    sync::{Notify, watch as channel},
    time::{sleep, timeout},
};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// While something is missing.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Between two looks, however many ask for one.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);
/// How long who shows a key that is not known yet waits for a look.
const PATIENCE: Duration = Duration::from_millis(600);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two requests for a certificate that is trusted: where the configuration is wrong they do not help.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What was last seen.
#[derive(Clone, Default)]
struct Seen {
    /// Whether it was looked at, and something was there.
    configured: Option<bool>,
    /// The newest first. The one before it still opens: an apiserver learns of a change a moment after us.
    keys: Vec<String>,
    /// Of each entry, PEM.
    bundles: Vec<Vec<u8>>,
}

impl Seen {
    fn after(&self, configuration: Option<&ValidatingWebhookConfiguration>) -> Self {
        let Some(configuration) = configuration else {
            return Self { configured: Some(false), keys: self.keys.clone(), bundles: Vec::new() };
        };
        let mut keys = self.keys.clone();
        if let Some(key) = admission::key(configuration)
            && keys.first().is_none_or(|newest| newest != key)
        {
            keys.insert(0, key.to_owned());
            keys.truncate(2);
        }
        let ours = configuration.webhooks.iter().flatten().filter(|it| Entry::of_webhook(&it.name).is_some());
        let bundle = |it: &k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
            it.client_config.ca_bundle.clone().unwrap_or_default().0
        };
        Self { configured: Some(true), keys, bundles: ours.map(bundle).collect() }
    }
}

/// What was last seen of the configuration.
#[derive(Default)]
pub(crate) struct Door {
    seen: ArcSwap<Seen>,
    wanted: Notify,
    looks: channel::Sender<u64>,
}

impl Door {
    /// Whether who shows this key is the apiserver. The apiserver may know a new one before we do: for one that could be it the
    /// configuration is looked at again.
    pub(crate) async fn opens(&self, key: &str) -> bool {
        if self.knows(key) {
            return true;
        }
        if !admission::is_key(key) {
            return false;
        }
        let mut looks = self.looks.subscribe();
        self.wanted.notify_one();
        // One that was under way may have begun too early.
        for _ in 0..2 {
            if timeout(PATIENCE, looks.changed()).await.is_err() || self.knows(key) {
                break;
            }
        }
        self.knows(key)
    }

    fn knows(&self, key: &str) -> bool {
        let seen = self.seen.load();
        // All are compared, each in constant time: neither which nor how much of one was right shows.
        seen.keys.iter().fold(false, |opens, one| opens | bool::from(one.as_bytes().ct_eq(key.as_bytes())))
    }

    /// Whether the apiserver can ask: not without a configuration, which is no fault of ours.
    pub(crate) fn ready(&self, certificate: &RoleCertificate) -> Result<(), String> {
        let seen = self.seen.load();
        match seen.configured {
            None => return Err(format!("ValidatingWebhookConfiguration {CONFIGURATION} was not looked at yet")),
            Some(false) => return Ok(()),
            Some(true) => {}
        }
        if seen.keys.is_empty() || seen.bundles.iter().any(Vec::is_empty) {
            return Err(format!(
                "ValidatingWebhookConfiguration {CONFIGURATION} has not got key and caBundle from the operator yet"
            ));
        }
        if seen.bundles.iter().all(|bundle| certificate.is_trusted_by(bundle)) {
            return Ok(());
        }
        Err(format!(
            "ValidatingWebhookConfiguration {CONFIGURATION} trusts another authority than signed our certificate"
        ))
    }

    /// Looks at the configuration for as long as it is polled, and asks for another certificate where it trusts another
    /// authority.
    pub(crate) async fn watch(&self, client: &Client, certificate: &RoleCertificate) {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let mut asked: Option<Instant> = None;
        let mut told = false;
        loop {
            let failed = match timeout(ANSWER_LIMIT, api.get_opt(CONFIGURATION)).await {
                Ok(Ok(found)) => {
                    self.seen.store(self.seen.load().after(found.as_ref()).into());
                    self.looks.send_modify(|n| *n += 1);
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer".to_owned()),
            };
            // Once, not at each look.
            if let Some(error) = failed.as_ref().filter(|_| !told) {
                tracing::warn!(error, "ValidatingWebhookConfiguration {CONFIGURATION} cannot be read");
            }
            told = failed.is_some();
            let distrusted = {
                let seen = self.seen.load();
                !seen.bundles.is_empty()
                    && seen.bundles.iter().all(|bundle| !bundle.is_empty() && !certificate.is_trusted_by(bundle))
            };
            if distrusted && asked.is_none_or(|asked| asked.elapsed() > ASK_AGAIN_AFTER) {
                tracing::info!(
                    "the apiserver trusts another authority than signed our certificate: asking for a new one"
                );
                asked = Some(Instant::now());
                certificate.renew_now();
            }
            sleep(LOOK_AT_MOST_EVERY).await;
            let rest = if self.ready(certificate).is_ok() { LOOK_EVERY } else { LOOK_SOON };
            // Wanted or not, it is looked at.
            let _ = timeout(rest, self.wanted.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(key: &str) -> ValidatingWebhookConfiguration {
        let webhooks = Entry::ALL.map(|entry| {
            json!({
                "name": format!("{}.openteam.dev", entry.as_str()),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {
                    "caBundle": "cGVt",
                    "service": { "namespace": "openteam-system", "name": "openteam-webhook", "path": entry.path(key) },
                },
            })
        });
        serde_json::from_value(json!({ "metadata": { "name": CONFIGURATION }, "webhooks": webhooks })).unwrap()
    }

    #[test]
    fn the_newest_key_and_the_one_before_it_open_and_nothing_else_does() {
        let (one, two, three) = ("1".repeat(32), "2".repeat(32), "3".repeat(32));
        let door = Door::default();
        let see =
            |found: Option<&ValidatingWebhookConfiguration>| door.seen.store(door.seen.load().after(found).into());
        assert!(!door.knows(&one) && !door.knows(""));
        see(None);
        assert!(!door.knows(""));
        see(Some(&configuration(&one)));
        assert!(door.knows(&one));
        assert!(!door.knows(&two) && !door.knows(&one[1..]) && !door.knows(&format!("{one}1")) && !door.knows(""));
        see(Some(&configuration("not a key")));
        assert!(door.knows(&one), "while the operator mends it");
        see(Some(&configuration(&two)));
        assert!(door.knows(&one) && door.knows(&two));
        see(Some(&configuration(&three)));
        assert!(!door.knows(&one) && door.knows(&two) && door.knows(&three));
        assert_eq!(door.seen.load().bundles, vec![b"pem".to_vec(); 3]);
    }
}
