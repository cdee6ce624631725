//! Who may write what of the record is to be reviewed, and who may say that they have.

use super::{
    SYSTEM, account,
    object::{Policy, Reason, list, text},
};

/// As `process::review` has them.
const NAME: &str = process::review::NAME;
const ANNOTATIONS: [&str; 2] = [process::review::SIGNED_OFF, process::review::NOTE];

pub(super) fn policies() -> Vec<Policy> {
    let signed_off = text(process::review::SIGNED_OFF);
    // What a write may not touch, each as it was.
    let same = |path: &str, empty: &str| format!("object.{path}.orValue({empty}) == oldObject.{path}.orValue({empty})");
    let others = format!(
        "variables.new.all(k, k in {known} || (k in variables.old && variables.old[k] == variables.new[k])) && \
         variables.old.all(k, k in {known} || k in variables.new)",
        known = list(&ANNOTATIONS)
    );
    let only_signs = format!(
        "request.operation == 'UPDATE' && {} && {} && {} && {} && {} && {} && {others}",
        same("?data", "{}"),
        same("?binaryData", "{}"),
        same("?immutable", "false"),
        same("metadata.?labels", "{}"),
        same("metadata.?ownerReferences", "[]"),
        same("metadata.?finalizers", "[]"),
    );
    vec![
        Policy::new(
            "openteam-reviews",
            "What of the record is to be reviewed is the operator's to write. That they have reviewed it, people with the verb `audit` on\n\
             teams.openteam.dev in the whole cluster say by an annotation, each in their own name and of the current digest. Anybody else\n\
             needs the verb `restore-backup` in the whole cluster.",
        )
        .on("", &["configmaps"], &["CREATE", "UPDATE", "DELETE"])
        .condition(
            "ours",
            format!(
                "request.namespace == {} && (object == null ? oldObject : object).metadata.name == {}",
                text(SYSTEM),
                text(NAME)
            ),
        )
        .condition("notTheOperator", format!("request.userInfo.username != {}", text(&account("operator"))))
        .condition(
            "notClearedAway",
            format!(
                "request.operation != 'DELETE' || !(request.userInfo.username in {})",
                list(&super::stored::CLEANERS)
            ),
        )
        .variable("old", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
        .variable("new", "object == null ? {} : object.metadata.?annotations.orValue({})")
        .variable(
            "restores",
            super::stored::restores_backups(),
        )
        .variable("onlySigns", only_signs)
        .variable(
            "right",
            "object == null ? '' : object.?data.orValue({})[?'digest'].orValue('') + ' ' + request.userInfo.username",
        )
        .rule(
            Reason::Forbidden,
            "variables.restores || variables.onlySigns",
            format!(
                "'ConfigMap {NAME}: only the operator writes it; others sign it off by the annotation {}; ' + \
                 request.userInfo.username + ' may restore a backup with the verb restore-backup in the whole cluster'",
                process::review::SIGNED_OFF
            ),
        )
        .rule(
            Reason::Forbidden,
            format!(
                "variables.restores || authorizer.group('{}').resource('teams').check('audit').allowed()",
                crds::GROUP
            ),
            format!(
                "'ConfigMap {NAME}: ' + request.userInfo.username + ' may sign it off with the verb audit on teams.{} in the \
                 whole cluster'",
                crds::GROUP
            ),
        )
        .rule(
            Reason::Forbidden,
            format!(
                "variables.restores || (size(variables.new) == size(variables.old) && \
                 variables.new.all(k, k in variables.old && variables.old[k] == variables.new[k])) || \
                 variables.new[?{signed_off}].orValue('') == variables.right"
            ),
            format!(
                "'metadata.annotations[{}]: must be ' + variables.right + ': the current digest and your own name'",
                process::review::SIGNED_OFF
            ),
        ),
    ]
}
