//! How the apiserver's ValidatingWebhookConfiguration and the webhook find each other: the operator writes there whom to trust
//! and, behind the name of each entry, a key; the webhook answers to that key alone.
//!
//! An apiserver shows no credential to a webhook unless its own command line says so, which most people cannot change. So
//! what it alone is told is the way to know it by: who can read the configuration administers the cluster, and none of the
//! roles that Kubernetes gives to others can.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

/// The ValidatingWebhookConfiguration. Not `openteam`: kustomize would take that, in a role, for the ConfigMap whose name it
/// lengthens.
pub const CONFIGURATION: &str = "openteam-webhook";
/// Digits of a key: 128 random bits, lower-case hexadecimal.
const KEY_DIGITS: usize = 32;

/// What the apiserver asks the webhook for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Whether an object may be stored, before one is created or its spec changed.
    Validate,
    /// To record who contained or deleted.
    Record,
    /// To record who restores, before it happens.
    Restore,
}

impl Entry {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Validate, Self::Record, Self::Restore];

    /// Its name in paths and metrics, and before `.openteam.dev` in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Record => "record",
            Self::Restore => "restore",
        }
    }

    /// The entry with this word for a name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.as_str() == word)
    }

    /// The entry of this name in the configuration.
    #[must_use]
    pub fn of_webhook(name: &str) -> Option<Self> {
        Self::named(name.strip_suffix(".openteam.dev")?)
    }

    /// The path that the apiserver sends its reviews to.
    #[must_use]
    pub fn path(self, key: &str) -> String {
        format!("/{}/{key}", self.as_str())
    }

    /// The key in such a path.
    #[must_use]
    pub fn key(self, path: &str) -> Option<&str> {
        let key = path.strip_prefix('/')?.strip_prefix(self.as_str())?.strip_prefix('/')?;
        is_key(key).then_some(key)
    }
}

/// Whether a text has the form of a key.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.len() == KEY_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The one key that all entries of ours have; `None` where they have not got one yet, or several.
#[must_use]
pub fn key(configuration: &ValidatingWebhookConfiguration) -> Option<&str> {
    let keys = configuration.webhooks.iter().flatten().filter_map(|webhook| {
        let entry = Entry::of_webhook(&webhook.name)?;
        let path = webhook.client_config.service.as_ref().and_then(|service| service.path.as_deref());
        Some(path.and_then(|path| entry.key(path)))
    });
    let mut keys: Vec<Option<&str>> = keys.collect();
    keys.dedup();
    match keys[..] {
        [only] => only,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{ServiceReference, ValidatingWebhook, WebhookClientConfig};

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff";

    fn configuration(paths: &[(&str, Option<&str>)]) -> ValidatingWebhookConfiguration {
        let webhook = |(name, path): &(&str, Option<&str>)| ValidatingWebhook {
            name: (*name).to_owned(),
            client_config: WebhookClientConfig {
                service: Some(ServiceReference { path: path.map(str::to_owned), ..ServiceReference::default() }),
                ..WebhookClientConfig::default()
            },
            ..ValidatingWebhook::default()
        };
        ValidatingWebhookConfiguration {
            webhooks: Some(paths.iter().map(webhook).collect()),
            ..ValidatingWebhookConfiguration::default()
        }
    }

    #[test]
    fn a_path_has_a_key_or_it_is_none_of_ours() {
        for entry in Entry::ALL {
            assert_eq!(entry.key(&entry.path(KEY)), Some(KEY));
            assert_eq!(Entry::of_webhook(&format!("{}.openteam.dev", entry.as_str())), Some(entry));
        }
        for path in ["", "/", "/validate", "/validate/", "/validate/short", "/record/00112233445566778899aabbccddeeff"]
        {
            assert_eq!(Entry::Validate.key(path), None, "{path}");
        }
        assert_eq!(Entry::Validate.key(&format!("/validate/{}", KEY.to_uppercase())), None);
        assert_eq!(Entry::of_webhook("validate.example.com"), None);
    }

    #[test]
    fn a_configuration_has_a_key_when_all_its_entries_have_the_same() {
        let (validate, record) = (Entry::Validate.path(KEY), Entry::Record.path(KEY));
        let other = Entry::Record.path(&"0".repeat(32));
        let both = |record: Option<&str>| {
            configuration(&[
                ("validate.openteam.dev", Some(&validate)),
                ("record.openteam.dev", record),
                ("x.y.z", None),
            ])
        };
        assert_eq!(key(&both(Some(&record))), Some(KEY));
        for record in [None, Some("/"), Some(&other[..]), Some(&validate[..])] {
            assert_eq!(key(&both(record)), None, "{record:?}");
        }
        assert_eq!(key(&configuration(&[])), None);
    }
}
