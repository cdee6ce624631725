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
    let policy = Policy::new(
        "openteam-stored-credentials",
        "The operator writes StoredCredentials and Kubernetes clears them away. Anybody else needs the verb\n\
         `restore-backup`, and in the whole cluster: it is asked for without a namespace, so that all verbs in one namespace\n\
         are not enough.",
    )
    .on(crds::INTERNAL_GROUP, &["storedcredentials"], &["CREATE", "UPDATE", "DELETE"])
    .variable("meta", super::contain::META);
    for_the_operator_alone(policy, &format!("{} + '", super::contain::OBJECT))
}

/// CEL: the user restores backups, in the whole cluster.
pub(super) fn restores_backups() -> String {
    format!(
        "authorizer.group('{}').resource('storedcredentials').check('restore-backup').allowed()",
        crds::INTERNAL_GROUP
    )
}

/// Only the operator writes it, Kubernetes clears it away, and who restores backups may in the whole cluster. `named` is CEL up to
/// within a text: what the message begins with.
pub(super) fn for_the_operator_alone(policy: Policy, named: &str) -> Policy {
    policy
        .condition("notTheOperator", format!("request.userInfo.username != {}", text(&account("operator"))))
        .condition(
            "notClearedAway",
            format!("request.operation != 'DELETE' || !(request.userInfo.username in {})", list(&CLEANERS)),
        )
        .rule(
            Reason::Forbidden,
            restores_backups(),
            format!(
                "{named}: only the operator writes it; ' + request.userInfo.username + \
                 ' may restore a backup with the verb restore-backup in the whole cluster'"
            ),
        )
}
