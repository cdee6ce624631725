//! What of inputs the operator may delete.

use crds::{CredentialField, MANAGED_BY, PORTAL};

use super::{
    account,
    contain::{META, OBJECT},
    object::{Policy, Reason, text},
};

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

fn policy() -> Policy {
    let field = CredentialField::AuthorizationCode.as_str();
    Policy::new(
        "openteam-operator-deletions",
        "The operator deletes the codes of consents that the portal made, and no other input: those are somebody's.",
    )
    .on(crds::GROUP, &["sealedcredentials"], &["DELETE"])
    .condition("operator", format!("request.userInfo.username == {}", text(&account("operator"))))
    .variable("meta", META)
    .rule(
        Reason::Forbidden,
        format!(
            "oldObject.metadata.?labels['{MANAGED_BY}'].orValue('') == '{PORTAL}' && \
             dyn(oldObject).?spec.?field.orValue('') == '{field}'"
        ),
        format!("{OBJECT} + ': the operator deletes an {field} with the label {MANAGED_BY}: {PORTAL}, nothing else'"),
    )
}
