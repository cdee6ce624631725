//! What the documents say of the repository is so: the tests they name are there, and their links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::shell::root;

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", "node_modules"].iter().any(|skipped| name == *skipped);
        if entry.file_type().unwrap().is_dir() {
            if !skipped && !name.to_string_lossy().starts_with('.') {
                files(&path, ending, found);
            }
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(root(), "md", &mut found);
    assert!(found.len() > 5, "{found:?}");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Names of functions in the code.
fn functions() -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(root(), "rs", &mut sources);
    let mut names = BTreeSet::new();
    for source in sources {
        for line in fs::read_to_string(source).unwrap().lines() {
            if let Some((_, rest)) = line.split_once("fn ") {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                names.insert(rest.chars().take_while(|c| word(*c)).collect());
            }
        }
    }
    names
}

/// Texts in backticks that can only be a test's name: a sentence in snake case.
fn tests_named(text: &str) -> impl Iterator<Item = &str> {
    let sentence = |name: &&str| {
        name.matches('_').count() >= 4
            && !name.starts_with("openteam_")
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').skip(1).step_by(2).filter(sentence)
}

/// Targets of links into the repository, without what names a place in the page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|to| !to.is_empty() && !to.contains(':'))
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let functions = functions();
    let mut named = 0;
    for (path, text) in documents() {
        for name in tests_named(&text) {
            named += 1;
            assert!(functions.contains(name), "{} names the test {name}, which is not there", path.display());
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        for link in links(&text) {
            seen += 1;
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{} links to {link}, which is not there", path.display());
        }
    }
    assert!(seen > 10, "{seen}");
}

/// Texts that look like a reason and are none: kinds and names of Kubernetes', headers and operators of selectors.
const NO_REASONS: [&str; 24] = [
    "AccessDeniedException",
    "AgentGrant",
    "AmazonApplication",
    "AmazonConnection",
    "CertificateAuthority",
    "CertificateSigningRequest",
    "ConfigMap",
    "DoesNotExist",
    "EvidenceKey",
    "InternalFailure",
    "InvalidInputException",
    "NamespaceTerminating",
    "NotFound",
    "NotIn",
    "PrivateKey",
    "RefreshToken",
    "ResourceNotFoundException",
    "RuntimeToken",
    "SealedCredential",
    "SealingKey",
    "ServiceAccount",
    "StoredCredential",
    "StoredCredentials",
    "ValidatingWebhookConfiguration",
];

/// CamelCase words of two parts or more in quotes, outside tests.
fn reasons(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_reason = |word: &&str| {
        let mut capitals = word.match_indices(|c: char| c.is_ascii_uppercase()).map(|(at, _)| at);
        word.chars().all(|c| c.is_ascii_alphanumeric())
            && capitals.next() == Some(0)
            && capitals.next().is_some_and(|at| at > 1)
    };
    code.split('"').skip(1).step_by(2).filter(is_reason)
}

#[test]
fn every_reason_in_the_code_is_explained() {
    let page = fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let mut sources = Vec::new();
    for crate_ in ["access", "gateway", "operator"] {
        files(&root().join(crate_).join("src"), "rs", &mut sources);
    }
    sources.push(root().join("process/src/mail.rs"));
    let mut seen = BTreeSet::new();
    for path in sources.iter().filter(|path| path.file_stem().is_some_and(|stem| stem != "tests" && stem != "testing"))
    {
        let source = fs::read_to_string(path).unwrap();
        for reason in reasons(&source).filter(|reason| !NO_REASONS.contains(reason)) {
            assert!(
                page.contains(&format!("`{reason}`")),
                "docs/reference/errors.md does not explain {reason} of {}",
                path.display()
            );
            seen.insert(reason.to_owned());
        }
    }
    assert!(seen.len() > 40, "{seen:?}");
}

#[test]
fn names_and_links_are_told_from_other_text() {
    let text = "see `a_test_that_is_a_sentence` and `not_one`, [b](docs/b.md#c), [d](#d), [e](https://e.example)";
    assert_eq!(tests_named(text).collect::<Vec<_>>(), ["a_test_that_is_a_sentence"]);
    assert_eq!(links(text).collect::<Vec<_>>(), ["docs/b.md"]);
}
