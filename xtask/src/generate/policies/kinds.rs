//! Our definitions: Kubernetes deletes every object of a kind with it and asks no policy about those.

use crds::annotation::ALLOW_DELETION;

use super::object::{Policy, Reason};

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

fn policy() -> Policy {
    Policy::new(
        "openteam-keep-kinds",
        "With a definition go all objects of its kind, contained ones too, and no policy is asked about those.",
    )
    .on("apiextensions.k8s.io", &["customresourcedefinitions"], &["DELETE"])
    .condition(
        "ours",
        format!("oldObject.spec.group == '{0}' || oldObject.spec.group.endsWith('.{0}')", crds::GROUP),
    )
    .rule(
        Reason::Invalid,
        format!("oldObject.metadata.?annotations[?'{ALLOW_DELETION}'].orValue('') == 'true'"),
        format!(
            "oldObject.metadata.name + ': with it goes every object of the kind, evidence included; if that is meant, set \
             metadata.annotations[{ALLOW_DELETION}]=true first'"
        ),
    )
}
