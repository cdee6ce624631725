//! Which incidents a write puts on an object or takes off, read as the policies read them (`manifests/policies/contain.yaml`);
//! and what it asks of its credential.

use crds::annotation::{RENEW, ROTATE, TEST, incidents};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The incidents that a write adds; `old` is none for a creation.
pub(crate) fn added(old: Option<&ObjectMeta>, new: &ObjectMeta) -> Vec<String> {
    let was = old.and_then(incidents).unwrap_or_default();
    incidents(new).unwrap_or_default().into_iter().filter(|incident| !was.contains(incident)).collect()
}

/// The incidents that a write takes off.
pub(crate) fn freed(old: &ObjectMeta, new: &ObjectMeta) -> Vec<String> {
    let was = incidents(old).unwrap_or_default();
    match incidents(new) {
        // Naming what had no name frees nothing.
        Some(_) if was == ["unnamed"] => Vec::new(),
        now => {
            let now = now.unwrap_or_default();
            was.into_iter().filter(|incident| !now.contains(incident)).collect()
        }
    }
}

/// The annotations with a new value that a write asks something of the credential by, each with that value.
pub(crate) fn asked(old: Option<&ObjectMeta>, new: &ObjectMeta) -> Vec<(&'static str, String)> {
    let keys = [ROTATE, RENEW, TEST].into_iter();
    let value = |meta: &ObjectMeta, key| meta.annotations.as_ref().and_then(|all| all.get(key)).cloned();
    let new = keys.filter_map(|key| Some((key, value(new, key)?)));
    new.filter(|(key, now)| old.and_then(|old| value(old, key)).as_ref() != Some(now)).collect()
}

#[cfg(test)]
mod tests {
    use crds::annotation::DISABLE;

    use super::*;

    fn meta(disable: Option<&str>) -> ObjectMeta {
        let annotations = disable.map(|value| [(DISABLE.to_owned(), value.to_owned())].into());
        ObjectMeta { annotations, ..ObjectMeta::default() }
    }

    #[test]
    fn what_is_added_and_freed_is_told_by_incident() {
        for (was, now, is_added, is_freed) in [
            (None, None, &[][..], &[][..]),
            (None, Some("inc-7"), &["inc-7"], &[]),
            (None, Some(""), &["unnamed"], &[]),
            (Some("inc-7"), Some("inc-7, inc-8"), &["inc-8"], &[]),
            (Some("inc-7,inc-8"), Some("inc-8"), &[], &["inc-7"]),
            (Some("inc-7"), Some("inc-8"), &["inc-8"], &["inc-7"]),
            (Some("inc-7"), Some(""), &["unnamed"], &["inc-7"]),
            (Some("inc-7"), None, &[], &["inc-7"]),
            (Some(""), None, &[], &["unnamed"]),
            (Some(""), Some("inc-7"), &["inc-7"], &[]),
            (Some("inc-7"), Some(" inc-7 ,"), &[], &[]),
        ] {
            let (was, now) = (meta(was), meta(now));
            assert_eq!(added(Some(&was), &now), is_added, "{was:?} {now:?}");
            assert_eq!(freed(&was, &now), is_freed, "{was:?} {now:?}");
        }
        assert_eq!(added(None, &meta(Some("inc-7"))), ["inc-7"], "born contained");
    }

    #[test]
    fn what_is_asked_of_a_credential_is_a_new_value() {
        let meta = |annotations: &[(&str, &str)]| {
            let all = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ObjectMeta { annotations: Some(all), ..ObjectMeta::default() }
        };
        let both = meta(&[(ROTATE, "1"), (RENEW, "2")]);
        let found = |old, new: &ObjectMeta| asked(old, new).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(found(None, &both), [ROTATE, RENEW]);
        assert_eq!(found(Some(&both), &meta(&[(ROTATE, "1"), (RENEW, "2"), (TEST, "1")])), [TEST]);
        assert_eq!(found(Some(&both), &both), [""; 0]);
        assert_eq!(found(Some(&both), &meta(&[(ROTATE, "2"), (RENEW, "2")])), [ROTATE]);
        assert_eq!(found(Some(&both), &meta(&[])), [""; 0], "taken away it asks nothing");
    }
}
