//! Who may write StoredCredentials.

use super::{
    account,
    object::{Policy, Reason, list, text},
};

/// Who deletes what has no owner or no namespace any more; the last where controllers share one account.
pub(super) const CLEANERS: [&str; 3] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
];

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

fn policy() -> Policy {
    Policy::new(
        "openteam-stored-credentials",
        "The operator writes StoredCredentials and Kubernetes clears them away. Anybody else needs the verb\n\
         `restore-backup`, and in the whole cluster: it is asked for without a namespace, so that all verbs in one namespace\n\
         are not enough.",
    )
    .on(crds::INTERNAL_GROUP, &["storedcredentials"], &["CREATE", "UPDATE", "DELETE"])
    .condition("notTheOperator", format!("request.userInfo.username != {}", text(&account("operator"))))
    .condition(
        "notClearedAway",
        format!("request.operation != 'DELETE' || !(request.userInfo.username in {})", list(&CLEANERS)),
    )
    .variable("meta", super::contain::META)
    .rule(
        Reason::Forbidden,
        format!(
            "authorizer.group('{}').resource('storedcredentials').check('restore-backup').allowed()",
            crds::INTERNAL_GROUP
        ),
        format!(
            "{} + ': only the operator writes it; ' + request.userInfo.username + \
             ' may restore a backup with the verb restore-backup in the whole cluster'",
            super::contain::OBJECT
        ),
    )
}
