//! Who may contain, who may restore, and how a restoration says what it is.

use crds::annotation::{DISABLE, RESTORED};

use super::{
    contained_kinds,
    object::{Policy, Reason},
};

/// Longest value of `openteam.dev/disable`: a policy's work has a limit, and a value that it could not be done for would
/// never come off again.
const LONGEST_DISABLE: usize = 1024;
/// Longest value of `openteam.dev/restored`.
const LONGEST_RESTORED: usize = 2048;
/// `<incident>/<time>`, RFC 3339; whether that day is there is left to CEL's own `timestamp`.
const ENTRY: &str = "(?s)^.+/[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\
                     (\\\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
/// CEL for the time of an entry.
const TIME: &str = "timestamp(e.substring(e.lastIndexOf('/') + 1))";

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

/// The incidents that a value names, as `crds::annotation::incidents` reads it; where it names none, none.
pub(super) fn named(value: &str) -> String {
    format!("{value}.split(',').map(i, i.trim()).filter(i, i != '')")
}

/// CEL for `Kind namespace/name` of the object in the request, which a deletion of many does not name.
pub(super) const OBJECT: &str = "request.kind.kind + ' ' + request.namespace + '/' + variables.meta.name";
/// CEL for the metadata that [`OBJECT`] speaks of.
pub(super) const META: &str = "object != null ? object.metadata : oldObject.metadata";
/// CEL that asks the authorizer about the object in the request.
pub(super) const MAY: &str = "authorizer.group(request.resource.group).resource(request.resource.resource)\
                              .namespace(request.namespace).name(variables.meta.name)";

/// CEL for the incidents that contain an object, as its annotation has them; in one line, or Kubernetes would not tell the
/// message.
pub(super) fn told(object: &str) -> String {
    let value = format!("{object}.metadata.annotations['{DISABLE}']");
    format!("({value}.trim() == '' ? 'unnamed' : {value}.replace('\\n', ' '))")
}

fn policy() -> Policy {
    let kinds = contained_kinds();
    let names =
        |whose: &str, of: &str| format!("variables.{whose} ? {} : []", named(&format!("variables.{of}['{DISABLE}']")));
    let disable = format!("'metadata.annotations[{DISABLE}]: '");
    let restored = format!("'metadata.annotations[{RESTORED}]: '");
    // At three in the morning somebody overwrites one incident with another.
    let add = format!(
        "(variables.holds ? '; to add an incident, keep those that are there: {DISABLE}=' + {} + ',' + {} : '')",
        told("oldObject"),
        told("object")
    );
    Policy::new(
        "openteam-contain",
        "Containing needs the verb `contain`. Restoring needs the verb `restore` and says so in the same write: whoever has\n\
         all verbs, as GitOps controllers often do, restores nothing by applying what Git has.",
    )
    .on_kinds(&kinds, &["CREATE", "UPDATE"])
    .variable("meta", META)
    .variable("old", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
    .variable("new", "object.metadata.?annotations.orValue({})")
    .variable("held", format!("'{DISABLE}' in variables.old"))
    .variable("holds", format!("'{DISABLE}' in variables.new"))
    .variable("wasNamed", names("held", "old"))
    .variable("isNamed", names("holds", "new"))
    // Presence contains, whatever the value.
    .variable("was", "variables.held && size(variables.wasNamed) == 0 ? ['unnamed'] : variables.wasNamed")
    .variable("now", "variables.holds && size(variables.isNamed) == 0 ? ['unnamed'] : variables.isNamed")
    .variable("added", "variables.now.filter(i, !(i in variables.was))")
    // Naming what had no name takes nothing out.
    .variable(
        "gone",
        "variables.holds && variables.was == ['unnamed'] ? [] : variables.was.filter(i, !(i in variables.now))",
    )
    .variable("said", format!("variables.new[?'{RESTORED}'].orValue('')"))
    .variable("saidBefore", format!("variables.old[?'{RESTORED}'].orValue('')"))
    .variable("says", "variables.said != '' && variables.said != variables.saidBefore")
    .variable("entries", "variables.says ? variables.said.split(',').map(e, e.trim()) : []")
    .variable(
        "times",
        format!(
            "variables.saidBefore.split(',').map(e, e.trim()).filter(e, e.matches('{ENTRY}'))\
             .map(e, {TIME})"
        ),
    )
    // The incidents that a new entry is about; one is new if it is later than all that were there.
    .variable(
        "freed",
        format!(
            "variables.entries.filter(e, e.matches('{ENTRY}'))\
             .filter(e, variables.times.all(t, {TIME} > t))\
             .map(e, e.substring(0, e.lastIndexOf('/')))"
        ),
    )
    .variable("may", MAY)
    .rule(
        Reason::Invalid,
        format!("!variables.holds || size(variables.new['{DISABLE}']) <= {LONGEST_DISABLE}"),
        format!("{disable} + 'at most {LONGEST_DISABLE} characters; name the incidents alone, separated by commas'"),
    )
    .rule(
        Reason::Forbidden,
        "size(variables.added) == 0 || variables.may.check('contain').allowed()",
        format!(
            "{disable} + request.userInfo.username + ' may not contain ' + {OBJECT} + \
             ': it takes the verb contain, as ClusterRole openteam-responder has it'"
        ),
    )
    .rule(
        Reason::Forbidden,
        "size(variables.gone) == 0 || variables.may.check('restore').allowed()",
        format!(
            "{disable} + request.userInfo.username + ' may not restore ' + {OBJECT} + ' from ' + \
             variables.gone.join(', ').replace('\\n', ' ') + \
             ': it takes the verb restore, as ClusterRole openteam-restorer has it' + {add}"
        ),
    )
    .rule(
        Reason::Invalid,
        "variables.gone.all(i, i in variables.freed)",
        format!(
            "{restored} + 'to restore ' + {OBJECT} + ', say so in the same write: {RESTORED}=' + \
             variables.gone.map(i, i.replace('\\n', ' ') + '/TIME').join(',') + \
             ', TIME being now (date -u +%FT%TZ) and later than any there' + {add}"
        ),
    )
    .rule(
        Reason::Invalid,
        // A day that is not there makes an error of the comparison, which refuses too.
        format!(
            "size(variables.said) <= {LONGEST_RESTORED} && \
             variables.entries.all(e, e.matches('{ENTRY}') && {TIME} > timestamp('2000-01-01T00:00:00Z'))"
        ),
        format!(
            "{restored} + 'must be INCIDENT/TIME, several separated by commas, at most {LONGEST_RESTORED} characters; \
             TIME as date -u +%FT%TZ prints it'"
        ),
    )
    .rule(
        Reason::Forbidden,
        "!variables.says || size(variables.gone) > 0 || variables.may.check('restore').allowed()",
        format!(
            "{restored} + request.userInfo.username + ' may not set it on ' + {OBJECT} + ': only who restores says so'"
        ),
    )
    .rule(
        Reason::Invalid,
        "!variables.held || variables.said == variables.saidBefore || size(variables.gone) > 0",
        format!("{restored} + {OBJECT} + ' is contained: it changes only in the write that takes an incident out'"),
    )
}
