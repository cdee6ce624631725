//! What belongs to a contained object stays too, and so does the namespace it is in.
//!
//! A policy sees one object. What others say it sees as parameters: each object of a kind of ours in the namespace of the
//! request, one after the other.

use crds::annotation::DISABLE;

use super::{
    Kind,
    contain::{META, OBJECT, told},
    contained_kinds, kind_named,
    object::{Policy, Reason},
};

/// CEL: whether the parameter is contained.
fn contained() -> String {
    format!("'{DISABLE}' in params.metadata.?annotations.orValue({{}})")
}

/// CEL for `Kind namespace/name, which is contained by …` of the parameter.
fn by(kind: &str) -> String {
    format!(
        "'{kind} ' + params.metadata.namespace + '/' + params.metadata.name + ', which is contained by ' + {}",
        told("params")
    )
}

pub(super) fn policies() -> Vec<Policy> {
    let of_connection =
        "variables.credential || params.metadata.name in variables.spec.?scope.?connections.orValue([])";
    // A credential does not name the Team, only its connection: in a Team's namespace all are taken for its own.
    let of_team = "variables.spec.?for.?kind.orValue('') == 'AmazonConnection' || \
                   variables.spec.?teamRef.?name.orValue('') == params.metadata.name";
    let mut policies = vec![
        deletions("AmazonApplication", &["sealedcredentials"], "variables.credential"),
        deletions("AmazonConnection", &["agentgrants", "runtimetokens", "sealedcredentials"], of_connection),
        changes("AmazonConnection", &["agentgrants"], of_connection),
        deletions("Team", &["agentgrants", "amazonconnections", "runtimetokens", "sealedcredentials"], of_team),
        changes("Team", &["agentgrants", "amazonconnections"], of_team),
    ];
    policies.extend(contained_kinds().iter().map(namespace));
    policies
}

/// A policy about what belongs to the parameter, an object of `kind`, and whether that is contained.
fn belongings(policy: Policy, kind: &str, belongs: &str) -> Policy {
    let policy = Policy { parameter: kind_named(kind), ..policy };
    policy
        .variable("meta", META)
        .variable("spec", "dyn(oldObject.spec)")
        .variable(
            "credential",
            format!(
                "variables.spec.?for.?kind.orValue('') == '{kind}' && \
                 variables.spec.?for.?name.orValue('') == params.metadata.name"
            ),
        )
        .variable("belongs", format!("{} && ({belongs})", contained()))
}

/// Deletions while the `kind` it belongs to is contained.
fn deletions(kind: &str, ours: &[&str], belongs: &str) -> Policy {
    let policy = Policy::new(
        format!("openteam-evidence-of-{}", kind.to_lowercase()),
        "What belongs to a contained object is evidence too, and is not deleted.",
    )
    .on(crds::GROUP, ours, &["DELETE"])
    .on(crds::INTERNAL_GROUP, &["storedcredentials"], &["DELETE"]);
    belongings(policy, kind, belongs).rule(
        Reason::Invalid,
        "!variables.belongs",
        format!(
            "{OBJECT} + ' belongs to ' + {} + ', and is kept as evidence: to end what it allows, set \
             metadata.annotations[{DISABLE}] on it; it can be deleted when that is restored'",
            by(kind)
        ),
    )
}

/// Changes while the `kind` it belongs to is contained. Lenient, or it would keep people from containing: for half a
/// minute after a restart the apiserver may not know the kinds that parameters are of, and looks for them before it
/// looks at anything that could leave annotations alone.
fn changes(kind: &str, ours: &[&str], belongs: &str) -> Policy {
    let mut policy = Policy::new(
        format!("openteam-evidence-changed-of-{}", kind.to_lowercase()),
        "What belongs to a contained object is evidence too, and changed only by who may contain. Lenient, so that nothing\n\
         ever keeps an annotation from containing.",
    )
    .on(crds::GROUP, ours, &["UPDATE"]);
    policy.lenient = true;
    belongings(policy, kind, belongs).rule(
        Reason::Forbidden,
        format!(
            "dyn(object.spec) == variables.spec || !variables.belongs || {}",
            "authorizer.group(request.resource.group).resource(request.resource.resource)\
             .namespace(request.namespace).name(variables.meta.name).check('contain').allowed()"
        ),
        format!(
            "'spec: ' + {OBJECT} + ' belongs to ' + {} + ': ' + request.userInfo.username + \
             ' may change it with the verb contain, or when that is restored'",
            by(kind)
        ),
    )
}

fn namespace(of: &Kind) -> Policy {
    let kind = &of.kind;
    let mut policy = Policy::new(
        format!("openteam-evidence-in-namespace-{}", kind.to_lowercase()),
        "A namespace with a contained object is not deleted: everything else in it would go first. Lenient, because while\n\
         the definition of the kind is gone no namespace of the cluster could be deleted otherwise.",
    )
    .on("", &["namespaces"], &["DELETE"]);
    policy.lenient = true;
    policy.parameter = Some(of.clone());
    policy.rule(
        Reason::Invalid,
        format!("!({})", contained()),
        format!(
            "'namespace ' + oldObject.metadata.name + ' holds {kind} ' + params.metadata.name + ', which is contained by ' \
             + {} + ' and kept as evidence: restore it first'",
            told("params")
        ),
    )
}
