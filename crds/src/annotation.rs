//! The annotations that act, and how they are read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Contains the object it stands on: nothing under it works while the annotation is present, whatever its value.
/// The value names the incidents, separated by commas: `inc-7` or `inc-7,inc-8`.
pub const DISABLE: &str = "openteam.dev/disable";

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
    fn an_object_without_the_annotation_is_free() {
        assert_eq!(incidents(&ObjectMeta::default()), None);
        let other = ObjectMeta { annotations: Some([("a".to_owned(), "b".to_owned())].into()), ..Default::default() };
        assert_eq!(incidents(&other), None);
    }
}
