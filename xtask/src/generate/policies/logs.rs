//! Who may write what is known of the recorders' logs.

use super::{
    SYSTEM,
    object::{Policy, Reason, text},
    stored::for_the_operator_alone,
};

/// As `process::checkpoints` has it.
const NAME: &str = "openteam-audit";

pub(super) fn policies() -> Vec<Policy> {
    let witnessed = Policy::new(
            "openteam-witnessed-logs",
            "What the witness remembers of the recorders' logs is the operator's to write: who could change it could have a log\n\
             that was cut pass for whole. Anybody else needs the verb `restore-backup` in the whole cluster.",
        )
        .on("", &["configmaps"], &["CREATE", "UPDATE", "DELETE"])
        .condition("ours", format!("request.namespace == {} && (object == null ? oldObject : object).metadata.name == {}", text(SYSTEM), text(NAME)));
    vec![
        for_the_operator_alone(witnessed, &format!("'ConfigMap {NAME}")),
        Policy::new(
            "openteam-retention",
            "Records are kept for a year at least: Amazon's Data Protection Policy asks for it. Roles refuse less at their start;\n\
             this says so before.",
        )
        .on("", &["configmaps"], &["CREATE", "UPDATE"])
        .condition(
            "settings",
            format!(
                "request.namespace == {} && object.metadata.name.startsWith('openteam') && has(object.data) && 'retention' in object.data",
                text(SYSTEM)
            ),
        )
        .rule(
            Reason::Invalid,
            "object.data['retention'].matches('^(36[5-9]|3[7-9][0-9]|[4-9][0-9]{2}|[1-9][0-9]{3})d$')",
            "'data.retention: ' + object.data['retention'] + ' is less than 365d, or no number of days: records are kept for a year at least'",
        ),
    ]
}
