//! Who may rotate, and what a value must be that acts once.

use crds::annotation::{RENEW, ROTATE, VALUE_LENGTH};

use super::{
    contain::{MAY, META, OBJECT},
    object::{Policy, Reason},
};

/// The kinds that can be rotated.
pub(super) const KINDS: [&str; 3] = ["AmazonApplication", "AmazonConnection", "Team"];

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

/// CEL for the value of an annotation, before and after.
fn value(annotation: &str) -> (String, String) {
    let of = |whose: &str| format!("variables.{whose}[?'{annotation}']");
    (of("old"), of("new"))
}

fn policy() -> Policy {
    let (was, is) = value(ROTATE);
    let field = |annotation: &str| format!("'metadata.annotations[{annotation}]: '");
    let policy = Policy::new(
        "openteam-rotate",
        "Rotating needs the verb `rotate`: it ends what works, and only the seller brings it back. Taking the annotation away\n\
         does nothing, so that what applies what Git has is not refused. Renewing takes nothing away: who may update may ask.",
    )
    .on(crds::GROUP, &["amazonapplications", "amazonconnections", "teams"], &["CREATE", "UPDATE"])
    .variable("meta", META)
    .variable("old", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
    .variable("new", "object.metadata.?annotations.orValue({})")
    .variable("changes", format!("{was} != {is}"))
    .variable("may", MAY)
    .rule(
        Reason::Forbidden,
        format!(
            "!variables.changes || variables.may.check('rotate').allowed() || \
             (!({is}.hasValue()) && variables.may.check('update').allowed())"
        ),
        format!(
            "{} + request.userInfo.username + ' may not rotate ' + {OBJECT} + \
             ': it takes the verb rotate, as ClusterRole openteam-rotator has it'",
            field(ROTATE)
        ),
    );
    [ROTATE, RENEW].into_iter().fold(policy, |policy, annotation| {
        let (was, is) = value(annotation);
        policy.rule(
            Reason::Invalid,
            format!(
                "{was} == {is} || !({is}.hasValue()) || \
                 (size({is}.orValue('').trim()) > 0 && size({is}.orValue('')) <= {VALUE_LENGTH})"
            ),
            format!(
                "{} + 'must be 1 to {VALUE_LENGTH} characters, such as a date: each new value acts once'",
                field(annotation)
            ),
        )
    })
}
