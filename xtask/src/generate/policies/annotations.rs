//! Keys of ours that nothing reads: in an emergency a slip of the hand must not look like containment.

use crds::annotation::{DISABLE, RENEW, RESTORED, ROTATE, TEST};

use super::{
    Kind,
    contain::{META, OBJECT},
    contained_kinds,
    object::{Policy, Reason, list, text},
    rotate, user_kinds,
};

/// What people write, and what they mean by it; without what stands before the slash, in lower case.
const SLIPS: [(&str, &[&str]); 5] = [
    (
        DISABLE,
        &[
            "block",
            "blocked",
            "contain",
            "contained",
            "containment",
            "deactivate",
            "desable",
            "diable",
            "disabel",
            "disable",
            "disabled",
            "disables",
            "dissable",
            "freeze",
            "frozen",
            "incident",
            "incidents",
            "lock",
            "revoke",
            "stop",
            "suspend",
            "suspended",
        ],
    ),
    (RESTORED, &["enable", "enabled", "release", "released", "resolved", "restore", "restored", "restores", "resume"]),
    (ROTATE, &["roll", "rotate", "rotated", "rotates", "rotation"]),
    (RENEW, &["reauthorize", "reconsent", "renew", "renewal", "renewed", "renews"]),
    (TEST, &["check", "probe", "test", "tested", "tests", "verify"]),
];
/// What is refused without anything before a slash too; other words people may have for notes of their own.
const BARE: [&str; 4] = ["contain", "contained", "disable", "disabled"];

/// The annotations that do something on a kind.
fn known(kind: &Kind) -> Vec<&'static str> {
    let mut known = Vec::new();
    if kind.contained {
        known.extend([DISABLE, RESTORED]);
    }
    if rotate::KINDS.contains(&kind.kind.as_str()) {
        known.push(ROTATE);
    }
    if kind.kind == "AmazonConnection" {
        known.extend([RENEW, TEST]);
    }
    known
}

pub(super) fn policies() -> Vec<Policy> {
    vec![policy()]
}

/// CEL for a map from texts to CEL.
fn map(entries: impl Iterator<Item = (String, String)>) -> String {
    let entries: Vec<String> = entries.map(|(key, value)| format!("{}: {value}", text(&key))).collect();
    format!("{{{}}}", entries.join(", "))
}

fn policy() -> Policy {
    let mut kinds = user_kinds();
    kinds.extend(contained_kinds().into_iter().filter(|kind| kind.group != crds::GROUP));
    let slips = SLIPS.iter().flat_map(|(meant, slips)| slips.iter().map(|slip| ((*slip).to_owned(), text(meant))));
    // Keys that were there before stay: an object that has one can still be contained.
    let added = |field: &str, suspicious: &str| {
        format!(
            "object.metadata.?{field}.orValue({{}}).filter(k, \
             !(oldObject != null && k in oldObject.metadata.?{field}.orValue({{}})) && ({suspicious}))"
        )
    };
    let ours = format!("k.lowerAscii().startsWith('openteam') || k.contains('{}/')", crds::GROUP);
    let known_of = map(kinds.iter().map(|kind| (kind.kind.clone(), list(&known(kind)))));
    let told = "(size(variables.known) > 0 ? ' Known here: ' + variables.known.join(', ') : \
                ' None is known here: contain what it is for')";
    let meant =
        |key: &str| format!("variables.slips[?{key}.lowerAscii().substring({key}.lastIndexOf('/') + 1)].orValue('')");
    Policy::new(
        "openteam-annotations",
        "A key of ours that nothing reads is refused, so that nobody takes a slip of the hand for containment. Only what a\n\
         write adds is looked at: an object with an old key can still be contained.",
    )
    .on_kinds(&kinds, &["CREATE", "UPDATE"])
    .variable("meta", META)
    .variable("known", format!("{known_of}[request.kind.kind]"))
    .variable("slips", map(slips))
    .variable(
        "unknown",
        added("annotations", &format!("!(k in variables.known) && ({ours} || k.lowerAscii() in {})", list(&BARE))),
    )
    .variable("labels", added("labels", &ours))
    .variable("meant", format!("size(variables.unknown) == 0 ? '' : {}", meant("variables.unknown[0]")))
    .variable("meantByLabel", format!("size(variables.labels) == 0 ? '' : {}", meant("variables.labels[0]")))
    .rule(
        Reason::Invalid,
        "size(variables.unknown) == 0",
        format!(
            "'metadata.annotations[' + variables.unknown[0] + ']: ' + \
             'does nothing on ' + {OBJECT} + \
             (variables.meant in variables.known ? ': did you mean ' + variables.meant + '?' : '.') \
             + {told}"
        ),
    )
    .rule(
        Reason::Invalid,
        "size(variables.labels) == 0",
        format!(
            "'metadata.labels[' + variables.labels[0] + ']: no label of ours does anything on ' + {OBJECT} + \
             (variables.meantByLabel in variables.known ? \
             ': did you mean the annotation ' + variables.meantByLabel + '?' : '.') \
             + {told}"
        ),
    )
}
