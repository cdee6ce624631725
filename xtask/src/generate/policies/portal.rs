//! What the portal may write, whose label is its mark, and who touches what it knows of people.

use crds::{
    MANAGED_BY, PORTAL,
    annotation::{DISABLE, RENEW, RESTORED, TEST},
};

use super::{
    account,
    contain::{META, OBJECT, named},
    object::{Policy, Reason, list, text},
    plurals,
    stored::CLEANERS,
    user_kinds,
};

/// What the portal writes at all.
const KINDS: [&str; 4] = ["amazonconnections", "runtimetokens", "sealedcredentials", "teams"];
/// The annotations that it sets, and never takes off.
const SETS: [&str; 3] = [DISABLE, RENEW, TEST];

pub(super) fn policies() -> Vec<Policy> {
    vec![portal(), incidents(), label(), users()]
}

fn is_the_portal() -> String {
    format!("request.userInfo.username == {}", text(&account("portal")))
}

/// CEL: whether an object's metadata carry the portal's label.
fn marked(metadata: &str) -> String {
    let (label, value) = (MANAGED_BY, PORTAL);
    format!("{metadata}.?labels[?'{label}'].orValue('') == '{value}'")
}

/// CEL: whether a field of the metadata is as it was.
fn same(field: &str, empty: &str) -> String {
    format!("object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})")
}

fn portal() -> Policy {
    let (label, value) = (MANAGED_BY, PORTAL);
    let sets = list(&SETS);
    let is = |operation: &str| format!("request.operation == '{operation}'");
    let unless = |operation: &str| format!("request.operation != '{operation}'");
    let incidents = |of: &str| named(&format!("variables.{of}['{DISABLE}']"));
    Policy::new(
        "openteam-portal",
        "The portal creates and deletes what carries its label, names connections that do, and annotates. It serves strangers:\n\
         whoever should get hold of it restores nothing, and gets at no application's secret and no token of Amazon's by it.",
    )
    .on(crds::GROUP, &KINDS, &["CREATE", "UPDATE", "DELETE"])
    .condition("portal", is_the_portal())
    .variable("meta", META)
    .variable("made", format!("oldObject == null ? {} : {}", marked("object.metadata"), marked("oldObject.metadata")))
    .variable("old", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
    .variable("new", "object == null ? {} : object.metadata.?annotations.orValue({})")
    .variable("was", "oldObject == null ? dyn({}) : dyn(oldObject.spec)")
    .variable("is", "object == null ? dyn({}) : dyn(object.spec)")
    .variable("contained", format!("'{DISABLE}' in variables.old"))
    .rule(
        Reason::Forbidden,
        format!("{} || variables.made", is("UPDATE")),
        format!("{OBJECT} + ': the portal creates and deletes only what has the label {label}={value}'"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || (size(variables.new) == 0 && size(object.metadata.?finalizers.orValue([])) == 0)",
            unless("CREATE")
        ),
        format!("'metadata: the portal creates ' + {OBJECT} + ' without annotations and finalizers'"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || (variables.is.?access.orValue('Proxy') == 'Proxy' && \
             variables.is.?scope.?access.orValue('Proxy') == 'Proxy')",
            unless("CREATE")
        ),
        format!("'spec: the portal has nobody given Amazon\\'s own tokens: access of ' + {OBJECT} + ' must be Proxy'"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || request.kind.kind != 'SealedCredential' || \
             variables.is.?for.?kind.orValue('') == 'AmazonConnection'",
            unless("CREATE")
        ),
        format!("'spec.for: what the portal seals is for connections, ' + {OBJECT} + ' is not'"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || variables.is == variables.was || \
             (request.kind.kind == 'AmazonConnection' && variables.made && !variables.contained && \
             variables.was.all(f, f == 'displayName' || (f in variables.is && variables.is[f] == variables.was[f])) && \
             variables.is.all(f, f == 'displayName' || f in variables.was))",
            unless("UPDATE")
        ),
        format!(
            "'spec: the portal changes nothing but displayName, of a connection with the label {label}={value} that is not \
             contained; ' + {OBJECT} + ' stays as it is'"
        ),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || ({} && {} && {})",
            unless("UPDATE"),
            same("labels", "{}"),
            same("finalizers", "[]"),
            same("ownerReferences", "[]")
        ),
        format!("'metadata: the portal changes nothing but annotations of ' + {OBJECT}"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || (variables.old.all(k, k in variables.new && (k in {sets} || variables.new[k] == variables.old[k])) && \
             variables.new.all(k, k in {sets} || k in variables.old))",
            unless("UPDATE")
        ),
        format!("'metadata.annotations: the portal sets {} of ' + {OBJECT} + ', and takes none off'", SETS.join(", ")),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "{} || !variables.contained || !('{DISABLE}' in variables.new) || {}.all(i, i in {})",
            unless("UPDATE"),
            incidents("old"),
            incidents("new")
        ),
        format!("'metadata.annotations[{DISABLE}]: the portal takes no incident out of ' + {OBJECT}"),
    )
}

fn incidents() -> Policy {
    let keeps = |field: &str| {
        format!("dyn(object.spec).?{field}.orValue(dyn('')) == dyn(oldObject.spec).?{field}.orValue(dyn(''))")
    };
    Policy::new(
        "openteam-portal-incidents",
        "The portal notes in an Incident who contained what, and why. The rest of an Incident is other people's.",
    )
    .on(crds::GROUP, &["incidents"], &["CREATE", "UPDATE"])
    .condition("portal", is_the_portal())
    .variable("meta", META)
    .rule(
        Reason::Forbidden,
        "request.operation != 'CREATE' || \
             (dyn(object.spec).all(f, f in ['title', 'notes']) && size(object.metadata.?annotations.orValue({})) == 0 && \
             size(object.metadata.?finalizers.orValue([])) == 0 && size(object.metadata.?ownerReferences.orValue([])) == 0)",
        format!("'spec: the portal opens ' + {OBJECT} + ' with a title and notes, and no more'"),
    )
    .rule(
        Reason::Forbidden,
        format!(
            "request.operation != 'UPDATE' || ({} && {} && {} && {} && {} && {} && {} && {})",
            keeps("title"),
            keeps("severity"),
            keeps("detectedAt"),
            keeps("closed"),
            same("annotations", "{}"),
            same("labels", "{}"),
            same("finalizers", "[]"),
            same("ownerReferences", "[]")
        ),
        format!("'spec: the portal adds notes to ' + {OBJECT} + ', and changes nothing else'"),
    )
}

fn label() -> Policy {
    let (label, value) = (MANAGED_BY, PORTAL);
    Policy::new(
        "openteam-portal-label",
        "The label says what the portal may delete, and what the operator clears away for it. Who restores backups may set it\n\
         too, by the verb that restoring StoredCredentials takes.",
    )
    .on(crds::GROUP, &plurals(&user_kinds()), &["CREATE", "UPDATE"])
    .condition("notThePortal", format!("!({})", is_the_portal()))
    .condition("marks", format!("{} && (oldObject == null || !({}))", marked("object.metadata"), marked("oldObject.metadata")))
    .variable("meta", META)
    .rule(
        Reason::Forbidden,
        super::stored::restores_backups(),
        format!(
            "'metadata.labels[{label}]: {value} says what the portal made, and ' + request.userInfo.username + \
             ' is not the portal; leave it out of ' + {OBJECT}"
        ),
    )
}

fn users() -> Policy {
    let ours = list(&[DISABLE, RESTORED]);
    let annotated_only = [
        "object.spec == oldObject.spec".to_owned(),
        same("labels", "{}"),
        same("finalizers", "[]"),
        same("ownerReferences", "[]"),
        format!("variables.old.all(k, k in {ours} || (k in variables.new && variables.new[k] == variables.old[k]))"),
        format!("variables.new.all(k, k in {ours} || k in variables.old)"),
    ];
    Policy::new(
        "openteam-portal-users",
        "A PortalUser holds sessions: who writes one signs in as that person. The portal does; responders and restorers\n\
         annotate it; Kubernetes clears it away.",
    )
    .on(crds::INTERNAL_GROUP, &["portalusers"], &["CREATE", "UPDATE", "DELETE"])
    .condition("notThePortal", format!("!({})", is_the_portal()))
    .condition(
        "notClearedAway",
        format!("request.operation != 'DELETE' || !(request.userInfo.username in {})", list(&CLEANERS)),
    )
    .variable("meta", META)
    .variable("old", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
    .variable("new", "object == null ? {} : object.metadata.?annotations.orValue({})")
    .rule(
        Reason::Forbidden,
        format!("(request.operation == 'UPDATE' && {}) || {}", annotated_only.join(" && "), super::stored::restores_backups()),
        format!(
            "{OBJECT} + ': only the portal writes it; ' + request.userInfo.username + \
             ' may set metadata.annotations[{DISABLE}] with the verb contain'"
        ),
    )
}
