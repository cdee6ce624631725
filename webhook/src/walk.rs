//! Which events each annotation that acts leaves. One that is new fails until it is here.

use audit::{EventName as E, Role};
use crds::annotation::{ALLOW_DELETION, DISABLE, RENEW, RESTORED, ROTATE, TEST};

/// Where the annotations are.
const SOURCE: &str = include_str!("../../crds/src/annotation.rs");

/// What an annotation leaves: of who set it, and of what came of it. Nothing only for a reason.
const TABLE: [(&str, &[E], &[E], &str); 6] = [
    (DISABLE, &[E::ContainedBy, E::RestoringBy], &[E::Contained, E::Restored], ""),
    (ROTATE, &[E::RotationAskedBy], &[E::Rotated, E::SecretRotationRequested, E::CredentialResealed], ""),
    (RENEW, &[E::RenewalAskedBy], &[E::ConsentMailed], ""),
    (TEST, &[E::TestAskedBy], &[E::CallIntended, E::CallAnswered, E::CallFailed], ""),
    (RESTORED, &[], &[], "goes with a change of openteam.dev/disable, which leaves RestoringBy and Restored"),
    (ALLOW_DELETION, &[], &[], "stands on Kubernetes' own objects: the apiserver's audit log has it"),
];

#[test]
fn every_annotation_leaves_events_or_says_why_not() {
    let declared = SOURCE.matches("pub const ").count() - SOURCE.matches("pub const VALUE_LENGTH").count();
    assert_eq!(declared, TABLE.len(), "an annotation is not in this table");
    for (annotation, by, came_of_it, why_not) in TABLE {
        assert!(SOURCE.contains(&format!("&str = \"{annotation}\";")), "{annotation}");
        assert_eq!(by.is_empty(), !why_not.is_empty(), "{annotation}");
        assert!(by.iter().all(|event| event.row().writers.contains(&Role::Webhook)), "{annotation}");
        assert!(came_of_it.iter().all(|event| event.row().writers.contains(&Role::Operator)), "{annotation}");
    }
}

#[test]
fn what_asks_something_of_a_credential_is_claimed() {
    let meta = |keys: &[&str]| k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        annotations: Some(keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect()),
        ..Default::default()
    };
    let all = TABLE.map(|(annotation, ..)| annotation);
    let asked = crate::restoration::asked(None, &meta(&all));
    assert_eq!(asked.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [ROTATE, RENEW, TEST]);
    let manifest = include_str!("../../manifests/base/webhook-configuration.yaml");
    for key in [DISABLE, ROTATE, RENEW, TEST] {
        assert!(manifest.contains(&format!("'{key}'")), "the apiserver tells the webhook of {key}");
    }
}

#[test]
fn nothing_that_the_catalogue_has_of_the_webhook_is_left_out() {
    // Of the process; and deleting is no annotation.
    let others = [E::Started, E::Stopped, E::EventsLost, E::Unexpected, E::DeletedBy];
    for row in audit::catalog().filter(|row| row.writers.contains(&Role::Webhook)) {
        let is_told = TABLE.iter().any(|(_, by, ..)| by.contains(&row.name));
        assert!(is_told || others.contains(&row.name), "{}", row.name.as_str());
    }
}
