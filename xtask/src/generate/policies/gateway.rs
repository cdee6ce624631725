//! What of a status a gateway may write.

use crds::condition::REFRESHED;

use super::{
    account,
    contain::{META, OBJECT},
    object::{Policy, Reason, list, text},
};

/// The fields of AmazonConnection's status that are a gateway's, besides its condition.
const FIELDS: [&str; 2] = ["exposedUntil", "refreshedWith"];

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

fn policy() -> Policy {
    let fields = list(&[&FIELDS[..], &["conditions"]].concat());
    let others = |of: &str| format!("dyn({of}).?status.?conditions.orValue([]).filter(c, c.type != '{REFRESHED}')");
    Policy::new(
        "openteam-gateway",
        "A gateway writes the condition `Refreshed` and two fields of a connection's status; the rest is the operator's.",
    )
    .on(crds::GROUP, &["amazonconnections/status"], &["UPDATE"])
    .condition("gateway", format!("request.userInfo.username == {}", text(&account("gateway"))))
    .variable("meta", META)
    .variable("old", "dyn(oldObject).?status.orValue({})")
    .variable("new", "dyn(object).?status.orValue({})")
    .variable("otherConditions", others("object"))
    .rule(
        Reason::Forbidden,
        format!(
            "variables.old.all(f, f in {fields} || (f in variables.new && variables.new[f] == variables.old[f])) && \
             variables.new.all(f, f in {fields} || f in variables.old)"
        ),
        format!("'status: a gateway writes {} of ' + {OBJECT} + ' and the condition {REFRESHED}, nothing else'",
            FIELDS.join(" and ")),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "variables.otherConditions.all(c, c in {0}) && {0}.all(c, c in variables.otherConditions)",
            others("oldObject")
        ),
        format!("'status.conditions: a gateway writes the condition {REFRESHED} of ' + {OBJECT} + ', no other'"),
    )
}
