//! What stays as it is while an object is contained, and what somebody who may only contain can change at all.

use crds::annotation::{DISABLE, RESTORED, ROTATE};

use super::{
    contain::{MAY, META, OBJECT, told},
    contained_kinds,
    object::{Policy, Reason, list},
};

pub(super) fn policies() -> Vec<Policy> {
    vec![freeze(), annotate_only()]
}

fn freeze() -> Policy {
    let held_by = format!("' is contained by ' + {} + ' and kept as evidence'", told("oldObject"));
    Policy::new(
        "openteam-freeze",
        "A contained object is evidence: it is not deleted, keeps finalizers and owners (Kubernetes deletes what has none\n\
         left), and its spec is changed only by who may contain.",
    )
    .on_kinds(&contained_kinds(), &["UPDATE", "DELETE"])
    .condition("contained", format!("'{DISABLE}' in oldObject.metadata.?annotations.orValue({{}})"))
    .variable("meta", META)
    .variable("may", MAY)
    .rule(
        Reason::Invalid,
        "request.operation != 'DELETE'",
        format!("{OBJECT} + {held_by} + ': restore it before it is deleted; to end what it allows, it need not go'"),
    )
    .rule(
        Reason::Invalid,
        "request.operation == 'DELETE' || oldObject.metadata.?finalizers.orValue([])\
         .all(f, f in object.metadata.?finalizers.orValue([]))",
        format!("'metadata.finalizers: ' + {OBJECT} + {held_by} + ': none is taken away before it is restored'"),
    )
    .rule(
        Reason::Invalid,
        "request.operation == 'DELETE' || \
         oldObject.metadata.?ownerReferences.orValue([]) == object.metadata.?ownerReferences.orValue([])",
        format!("'metadata.ownerReferences: ' + {OBJECT} + {held_by} + ': they do not change before it is restored'"),
    )
    .rule(
        Reason::Forbidden,
        "request.operation == 'DELETE' || object.spec == oldObject.spec || variables.may.check('contain').allowed()",
        format!(
            "'spec: ' + {OBJECT} + {held_by} + ': ' + request.userInfo.username + \
             ' may change it with the verb contain, or when it is restored'"
        ),
    )
}

fn annotate_only() -> Policy {
    // Each has a policy of its own that asks for its verb.
    let ours = list(&[DISABLE, RESTORED, ROTATE]);
    let same = |field: &str, empty: &str| {
        format!("object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})")
    };
    Policy::new(
        "openteam-annotate-only",
        "Annotating takes the verb `patch`, which would change everything else too: whoever has not `update` changes\n\
         nothing but the annotations that contain, restore and rotate.",
    )
    .on_kinds(&contained_kinds(), &["UPDATE"])
    .variable("meta", META)
    .variable("old", "oldObject.metadata.?annotations.orValue({})")
    .variable("new", "object.metadata.?annotations.orValue({})")
    .variable(
        "annotatedOnly",
        [
            "object.spec == oldObject.spec".to_owned(),
            same("labels", "{}"),
            same("finalizers", "[]"),
            same("ownerReferences", "[]"),
            format!(
                "variables.old.all(k, k in {ours} || (k in variables.new && variables.new[k] == variables.old[k]))"
            ),
            format!("variables.new.all(k, k in {ours} || k in variables.old)"),
        ]
        .join(" && "),
    )
    .variable("may", MAY)
    .rule(
        Reason::Forbidden,
        "variables.annotatedOnly || variables.may.check('update').allowed()",
        format!(
            "{OBJECT} + ': without the verb update ' + request.userInfo.username + ' may change nothing but \
             metadata.annotations[{DISABLE}], [{RESTORED}] and [{ROTATE}]'"
        ),
    )
}
