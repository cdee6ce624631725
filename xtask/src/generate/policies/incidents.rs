//! Where Incidents are, who says what happened, and when one may go.

use crds::IncidentPhase;

use super::{
    SYSTEM, account,
    contain::{META, OBJECT},
    kind_named,
    object::{Policy, Reason, text},
};

const KIND: &str = "Incident";
const PLURAL: &str = "incidents";

pub(super) fn policies() -> Vec<Policy> {
    vec![incidents(), status(), namespace()]
}

/// CEL: whether an Incident is closed. One that the operator has not looked at yet is not.
fn closed(incident: &str) -> String {
    format!("dyn({incident}).?status.?phase.orValue('') == {}", text(IncidentPhase::Closed.as_str()))
}

fn incidents() -> Policy {
    Policy::new(
        "openteam-incidents",
        "An Incident elsewhere would never be looked at, and one that is not closed is needed yet.",
    )
    .on(crds::GROUP, &[PLURAL], &["CREATE", "DELETE"])
    .variable("meta", META)
    .rule(
        Reason::Invalid,
        format!("request.operation != 'CREATE' || request.namespace == {}", text(SYSTEM)),
        format!(
            "'metadata.namespace: ' + {OBJECT} + ' would do nothing: an incident may reach across namespaces and lives in {SYSTEM}'"
        ),
    )
    .rule(
        Reason::Invalid,
        format!("request.operation != 'DELETE' || {}", closed("oldObject")),
        format!(
            "{OBJECT} + ' is not closed and is kept: restore what it contains and close it with spec.closed before it is deleted'"
        ),
    )
}

fn status() -> Policy {
    Policy::new("openteam-incident-status", "What happened is the operator's to say, whatever rights somebody has.")
        .on(crds::GROUP, &["incidents/status"], &["UPDATE"])
        .condition("notTheOperator", format!("request.userInfo.username != {}", text(&account("operator"))))
        .variable("meta", META)
        .rule(
            Reason::Forbidden,
            "dyn(object).?status.orValue({}) == dyn(oldObject).?status.orValue({})",
            format!("'status: only the operator writes it on ' + {OBJECT} + ': what people know goes into spec.notes'"),
        )
}

fn namespace() -> Policy {
    let mut policy = Policy::new(
        "openteam-incident-in-namespace",
        "The namespace of an Incident that is not closed stays. Lenient, because while the definition of the kind is gone no\n\
         namespace of the cluster could be deleted otherwise.",
    )
    .on("", &["namespaces"], &["DELETE"]);
    policy.lenient = true;
    policy.parameter = kind_named(KIND);
    policy.rule(
        Reason::Invalid,
        closed("params"),
        format!("'namespace ' + oldObject.metadata.name + ' holds {KIND} ' + params.metadata.name + ', which is not closed: close it first'"),
    )
}
