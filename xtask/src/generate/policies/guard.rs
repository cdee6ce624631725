//! For namespaces that ask for it: text that looks like a token, where it does not belong.
//!
//! `matches()` over a large value costs more than a policy may; `contains()` of a short text does not. What it costs grows
//! with the tenth of the needle's length, rounded up, and a rule's cost has a limit: hence no needle longer than ten
//! characters, and few in a rule.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

use super::{
    contain::{META, OBJECT},
    object::{Policy, Reason, text},
    plurals, user_kinds,
};

/// The label of a namespace that wants it.
const LABEL: &str = "openteam.dev/guard";
/// How Amazon's access and refresh tokens begin, also where they are part of an address; what is in every client secret.
const TOKENS: [&str; 5] = ["Atza|", "Atzr|", "Atza%7", "Atzr%7", "oa2-cs.v1."];
const LONGEST: usize = 10;
const IN_A_RULE: usize = 4;

/// A text as it shows in base64, at whichever of the three places it begins: without the characters that depend on what
/// stands before and after.
fn in_base64(needle: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let bytes = [&vec![0; before], needle.as_bytes()].concat();
        let encoded = BASE64_STANDARD_NO_PAD.encode(&bytes);
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        encoded[from..to].chars().take(LONGEST).collect()
    })
}

pub(super) fn policies() -> Vec<Policy> {
    let encoded: Vec<String> = TOKENS.iter().flat_map(|token| in_base64(token)).collect();
    let plain: Vec<String> = TOKENS.map(str::to_owned).into();
    let both = [plain.clone(), encoded.clone()].concat();
    let kinds = user_kinds();
    vec![
        policy("configmaps", "", &["configmaps"], "data", &both),
        // Secrets hold base64 to begin with.
        policy("secrets", "", &["secrets"], "data", &encoded),
        policy("annotations", crds::GROUP, &plurals(&kinds), "metadata.?annotations", &plain),
    ]
}

fn policy(name: &str, group: &'static str, resources: &[&str], field: &str, needles: &[String]) -> Policy {
    let mut policy = Policy::new(
        format!("openteam-guard-{name}"),
        "Only in namespaces with the label openteam.dev/guard=true, and only advice: what cannot be looked at passes.",
    )
    .on(group, resources, &["CREATE", "UPDATE"])
    .variable("meta", META)
    // What type checking takes for bytes is base64 text when it is looked at.
    .variable("texts", format!("dyn(object.?{field}.orValue({{}}))"));
    policy.lenient = true;
    policy.namespaces_with = Some(LABEL);
    let shown = field.replace(".?", ".");
    for some in needles.chunks(IN_A_RULE) {
        let found: Vec<String> =
            some.iter().map(|needle| format!("variables.texts[k].contains({})", text(needle))).collect();
        policy = policy.rule(
            Reason::Invalid,
            format!("!variables.texts.exists(k, {})", found.join(" || ")),
            format!(
                "'{shown}: ' + {OBJECT} + ' holds what looks like a token or secret of Amazon: seal it with openteam seal, \
                 and take it for leaked'"
            ),
        );
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_base64_wherever_it_stands() {
        assert_eq!(in_base64("Atza|"), ["QXR6YX", "F0emF8", "BdHphf"]);
        for token in TOKENS {
            let needles = in_base64(token);
            for before in 0..9 {
                for after in ["", "x", "~~", "\u{ff}ab"] {
                    let text = format!("{}{token}{after}", "?".repeat(before));
                    let encoded = BASE64_STANDARD_NO_PAD.encode(&text);
                    assert!(encoded.contains(&needles[before % 3]), "{text}: {encoded} has none of {needles:?}");
                }
            }
        }
    }

    #[test]
    fn no_needle_is_too_long_or_found_everywhere() {
        for needle in TOKENS.iter().flat_map(|token| in_base64(token)) {
            assert!((6..=LONGEST).contains(&needle.len()), "{needle}");
        }
    }
}
