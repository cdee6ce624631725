//! The annotations that act, and how they are read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Contains the object it stands on: nothing under it works while the annotation is present, whatever its value.
/// The value names the incidents, separated by commas: `inc-7` or `inc-7,inc-8`.
pub const DISABLE: &str = "openteam.dev/disable";

/// Says that an object was restored: `inc-7/2026-01-01T00:00:00Z`, several separated by commas. An incident leaves
/// [`DISABLE`] only in a write that says so here, with a later time than any that was there (`manifests/policies`).
pub const RESTORED: &str = "openteam.dev/restored";

/// On a CustomResourceDefinition of ours: `true` lets it be deleted, with every object of the kind.
pub const ALLOW_DELETION: &str = "openteam.dev/allow-deletion";

/// On an AmazonConnection: Amazon is asked once per new value whether the credentials are good and where the seller takes
/// part. Any text; what was last acted on is in `status.tested`.
pub const TEST: &str = "openteam.dev/test";

/// On an AmazonConnection, a Team or an AmazonApplication: what it keeps secret is rotated, once per new value. Until that
/// has happened gateways refuse what hangs from a Team or connection; an application's client secret is rotated while
/// everything goes on. What was last acted on is in `status.rotation`, of an application in `status.secretRotation`.
pub const ROTATE: &str = "openteam.dev/rotate";

/// On an AmazonConnection: the seller is asked once per new value to consent again, while everything goes on. What was last
/// acted on is in `status.renewal`.
pub const RENEW: &str = "openteam.dev/renew";

/// How much of the value of [`TEST`], [`ROTATE`] and [`RENEW`] counts and is told, in bytes.
pub const VALUE_LENGTH: usize = 128;

fn value<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let value = meta.annotations.as_ref()?.get(key)?;
    Some(&value[..value.floor_char_boundary(VALUE_LENGTH)])
}

/// The value of [`TEST`], as far as it counts.
#[must_use]
pub fn test(meta: &ObjectMeta) -> Option<&str> {
    value(meta, TEST)
}

/// The value of [`ROTATE`], as far as it counts.
#[must_use]
pub fn rotate(meta: &ObjectMeta) -> Option<&str> {
    value(meta, ROTATE)
}

/// The value of [`RENEW`], as far as it counts.
#[must_use]
pub fn renew(meta: &ObjectMeta) -> Option<&str> {
    value(meta, RENEW)
}

/// The incidents that contain an object, or `None` where it is free.
///
/// Presence decides, not the value: an empty value contains too and is told as `unnamed`, so that a slip of the hand
/// in an emergency errs on the safe side.
#[must_use]
pub fn incidents(meta: &ObjectMeta) -> Option<Vec<String>> {
    let value = meta.annotations.as_ref()?.get(DISABLE)?;
    let named: Vec<String> =
        value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(if named.is_empty() { vec!["unnamed".to_owned()] } else { named })
}

/// The value of [`RESTORED`] that goes with taking these incidents out at `time` (RFC 3339).
#[must_use]
pub fn restored(incidents: &[String], time: &str) -> String {
    incidents.iter().map(|incident| format!("{incident}/{time}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(value: &str) -> ObjectMeta {
        ObjectMeta { annotations: Some([(DISABLE.to_owned(), value.to_owned())].into()), ..ObjectMeta::default() }
    }

    #[test]
    fn presence_contains_whatever_the_value() {
        assert_eq!(incidents(&annotated("inc-7")), Some(vec!["inc-7".to_owned()]));
        assert_eq!(incidents(&annotated("inc-7, inc-8")), Some(vec!["inc-7".to_owned(), "inc-8".to_owned()]));
        for value in ["", " ", ",", "false"] {
            assert!(incidents(&annotated(value)).is_some(), "{value:?} must contain");
        }
    }

    #[test]
    fn a_restoration_names_each_incident_with_its_time() {
        let time = "2026-01-01T00:00:00Z";
        let said = restored(&incidents(&annotated("inc-7, inc-8")).unwrap(), time);
        assert_eq!(said, format!("inc-7/{time},inc-8/{time}"));
        assert_eq!(restored(&incidents(&annotated("")).unwrap(), time), format!("unnamed/{time}"));
    }

    #[test]
    fn a_value_counts_by_its_first_bytes() {
        let annotated = |value: &str| ObjectMeta {
            annotations: Some([(TEST.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(test(&ObjectMeta::default()), None);
        assert_eq!(test(&annotated("")), Some(""));
        assert_eq!(test(&annotated(&"é".repeat(100))).map(str::len), Some(128));
        assert_eq!(test(&annotated(&format!("a{}", "é".repeat(100)))).map(str::len), Some(127));
    }

    #[test]
    fn an_object_without_the_annotation_is_free() {
        assert_eq!(incidents(&ObjectMeta::default()), None);
        let other = ObjectMeta { annotations: Some([("a".to_owned(), "b".to_owned())].into()), ..Default::default() };
        assert_eq!(incidents(&other), None);
    }
}
