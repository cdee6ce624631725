//! The public sealing keys, as far as it takes to tell whether an input can be opened.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use seal::KeyId;

/// Name of the ConfigMap that the operator publishes.
pub(crate) const NAME: &str = "openteam-sealing-keys";

/// The ids of the keys that open inputs, and the one to seal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealingKeys {
    pub(crate) all: BTreeSet<KeyId>,
    pub(crate) current: KeyId,
}

impl SealingKeys {
    /// What the ConfigMap says; `None` for one that is not as the operator makes it.
    pub(crate) fn read(map: &ConfigMap) -> Option<Self> {
        let data = map.data.as_ref()?;
        let current: KeyId = data.get("current")?.parse().ok()?;
        let all: BTreeSet<KeyId> = data.keys().filter_map(|id| id.parse().ok()).collect();
        all.contains(&current).then_some(Self { all, current })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_not_the_operators_gives_no_keys() {
        let map = |entries: &[(&str, &str)]| ConfigMap {
            data: Some(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
            ..ConfigMap::default()
        };
        let (one, two) = ("0000000000000001", "0000000000000002");
        let read = SealingKeys::read(&map(&[("current", one), (one, "key"), (two, "key")])).unwrap();
        assert_eq!((read.all.len(), read.current), (2, one.parse().unwrap()));
        for entries in [&[][..], &[(one, "key")], &[("current", two), (one, "key")], &[("current", "x"), (one, "key")]]
        {
            assert_eq!(SealingKeys::read(&map(entries)), None, "{entries:?}");
        }
        assert_eq!(SealingKeys::read(&ConfigMap::default()), None);
    }
}
