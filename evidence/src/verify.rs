//! Checking a bundle, and naming what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use thiserror::Error;

use crate::{
    Bundle, FORMAT, MANIFEST, Manifest, PublicKey, SIGNATURE, Signature,
    manifest::{digest, is_digest},
};

/// What a bundle is held against. What is `None` is not checked.
#[derive(Debug, Default)]
pub struct Expected<'a> {
    /// The keys of which one must have signed; known from elsewhere than the bundle.
    pub keys: Option<&'a [PublicKey]>,
    /// The bundle before.
    pub previous: Option<&'a Bundle>,
    /// The digest of a record that a recorder had as its last one.
    pub journal_record: Option<&'a str>,
    /// The digest of the manifest, as the Incident's status has it.
    pub digest: Option<&'a str>,
}

/// Something that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The manifest is none.
    #[error("{MANIFEST}: {0}")]
    Manifest(String),
    /// The signature's file is not of its form.
    #[error("{SIGNATURE}: not a signature with a key")]
    Signature,
    /// Somebody else's signature, or of another manifest.
    #[error("{SIGNATURE}: key {0} has not signed this {MANIFEST}")]
    NotSigned(String),
    /// The manifest names another key than its signature.
    #[error("{MANIFEST}: says that key {said} signs, and {SIGNATURE} is of key {signed}")]
    OtherKeyNamed {
        /// What the manifest says.
        said: String,
        /// What the signature says.
        signed: String,
    },
    /// The key is none of those expected.
    #[error("{SIGNATURE}: signed by key {0}, which is none of yours")]
    UnknownKey(String),
    /// A file that the manifest lists is not there.
    #[error("{0}: is not there, {MANIFEST} lists it")]
    Gone(String),
    /// A file that the manifest does not list is there.
    #[error("{0}: is there, {MANIFEST} does not list it")]
    Added(String),
    /// A file is not what was signed.
    #[error("{path}: was changed: SHA-256 {found}, {MANIFEST} says {said}")]
    Changed {
        /// Which.
        path: String,
        /// Its digest.
        found: String,
        /// What the manifest says.
        said: String,
    },
    /// The manifest lists a file twice, or not in the order of paths.
    #[error("{MANIFEST}: {0} is listed twice or out of order")]
    Listed(String),
    /// The archive's files are not in their order.
    #[error("{0}: is not at its place in the archive")]
    OutOfOrder(String),
    /// A file is not of the form that its name says.
    #[error("{path}: {what}")]
    Form {
        /// Which.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A manifest whose digest is not the expected one.
    #[error("{MANIFEST}: SHA-256 {found}, the Incident says {said}")]
    OtherDigest {
        /// Its digest.
        found: String,
        /// What was expected.
        said: String,
    },
    /// Not the bundle that follows the given one.
    #[error("not the bundle after the given one: {0}")]
    Chain(String),
    /// No recorder stood at the given record.
    #[error("{MANIFEST}: no recorder's last record has the SHA-256 {0}")]
    Position(String),
}

/// Whether the key can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Trust {
    /// One of the keys that were expected signed it.
    Known,
    /// Nobody said whose key is right: the key in the bundle proves that nothing was changed since it signed, not who did.
    Unknown,
}

/// What was found out about a bundle.
#[derive(Debug)]
pub struct Report {
    /// What it says of itself, where that can be read.
    pub manifest: Option<Manifest>,
    /// The digest of its manifest.
    pub digest: String,
    /// Id of the key that its signature names.
    pub key_id: Option<String>,
    /// Whether that key was expected.
    pub trust: Trust,
    /// What was checked, in words.
    pub checked: Vec<String>,
    /// What is wrong. Nothing where it is whole.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Bundle {
    /// What the manifest says, checked only for its form.
    ///
    /// # Errors
    /// [`Fault::Manifest`].
    pub fn manifest(&self) -> Result<Manifest, Fault> {
        let manifest: Manifest = serde_json::from_slice(&self.manifest)
            .map_err(|error| Fault::Manifest(format!("not of the form {FORMAT}: {error}")))?;
        let wrong = |what: &str| Err(Fault::Manifest(what.to_owned()));
        if manifest.format != FORMAT {
            return wrong("of another format");
        }
        if manifest.sequence == 0 || (manifest.sequence == 1) != manifest.previous.is_none() {
            return wrong("only the first bundle has none before it");
        }
        if !manifest.previous.iter().chain(manifest.files.iter().map(|file| &file.sha256)).all(|it| is_digest(it)) {
            return wrong("a digest is none");
        }
        Ok(manifest)
    }

    /// Checks everything. Needs nothing but the bundle and what it is held against.
    #[must_use]
    pub fn verify(&self, expected: &Expected<'_>) -> Report {
        let mut report = Report {
            manifest: None,
            digest: self.digest(),
            key_id: None,
            trust: Trust::Unknown,
            checked: Vec::new(),
            faults: Vec::new(),
        };
        if let Some(said) = expected.digest {
            report.check("the manifest is the one that the Incident names", || {
                let found = digest(&self.manifest);
                if found == said { vec![] } else { vec![Fault::OtherDigest { found, said: said.to_owned() }] }
            });
        }
        let manifest = match self.manifest() {
            Ok(manifest) => manifest,
            Err(fault) => {
                report.faults.push(fault);
                return report;
            }
        };
        self.check_signature(&manifest, expected.keys, &mut report);
        report.check(&format!("{} files, none more, none less, none changed", manifest.files.len()), || {
            self.faulty_files(&manifest)
        });
        report.check("JSON and YAML can be read", || self.faulty_forms());
        if let Some(previous) = expected.previous {
            report.check("it follows the given bundle", || follows(&manifest, previous).into_iter().collect());
        }
        if let Some(record) = expected.journal_record {
            report.check("a recorder stood at the given record", || {
                let stood = manifest.journal.iter().any(|journal| journal.digest == record);
                if stood { vec![] } else { vec![Fault::Position(record.to_owned())] }
            });
        }
        report.manifest = Some(manifest);
        report
    }

    fn check_signature(&self, manifest: &Manifest, keys: Option<&[PublicKey]>, report: &mut Report) {
        let read: Option<Signature> = serde_json::from_slice(&self.signature).ok();
        let Some((key, signature)) = read.and_then(|signature| Some((signature.key().ok()?, signature))) else {
            report.faults.push(Fault::Signature);
            return;
        };
        let id = key.id();
        report.check(&format!("signed by key {id}"), || {
            if !key.has_signed(&self.manifest, &signature) {
                return vec![Fault::NotSigned(id.clone())];
            }
            if manifest.key_id != id {
                return vec![Fault::OtherKeyNamed { said: manifest.key_id.clone(), signed: id.clone() }];
            }
            vec![]
        });
        if let Some(keys) = keys {
            let is_known = keys.contains(&key);
            report.check("the key is one of yours", || {
                if is_known { vec![] } else { vec![Fault::UnknownKey(id.clone())] }
            });
            if is_known {
                report.trust = Trust::Known;
            }
        }
        report.key_id = Some(id);
    }

    fn faulty_files(&self, manifest: &Manifest) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut listed = BTreeSet::new();
        let mut last: Option<&str> = None;
        for file in &manifest.files {
            if last.is_some_and(|last| *last >= *file.path) {
                faults.push(Fault::Listed(file.path.clone()));
            }
            last = Some(&file.path);
            listed.insert(&file.path);
            match self.files.get(&file.path) {
                None => faults.push(Fault::Gone(file.path.clone())),
                Some(content) => {
                    let found = digest(content);
                    if found != file.sha256 || content.len() as u64 != file.bytes {
                        faults.push(Fault::Changed { path: file.path.clone(), found, said: file.sha256.clone() });
                    }
                }
            }
        }
        faults.extend(self.files.keys().filter(|path| !listed.contains(path)).cloned().map(Fault::Added));
        if let Some(order) = &self.order {
            let wanted = [MANIFEST, SIGNATURE].into_iter().chain(self.files.keys().map(String::as_str));
            let displaced = order.iter().zip(wanted).find(|(found, wanted)| found != wanted);
            faults.extend(displaced.map(|(found, _)| Fault::OutOfOrder(found.clone())));
        }
        faults
    }

    fn faulty_forms(&self) -> Vec<Fault> {
        let wrong = |path: &str, content: &[u8]| -> Option<String> {
            if path.ends_with(".jsonl") {
                let mut lines = content.split(|byte| *byte == b'\n').enumerate().peekable();
                while let Some((number, line)) = lines.next() {
                    if line.is_empty() && lines.peek().is_none() {
                        return None;
                    }
                    if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err() {
                        return Some(format!("line {} is not JSON", number + 1));
                    }
                }
                return None;
            }
            let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(content).is_ok();
            let is_yaml = || serde_yaml::from_slice::<serde::de::IgnoredAny>(content).is_ok();
            match path.rsplit_once('.').map(|(_, ending)| ending) {
                Some("json") if !is_json() => Some("is not JSON".to_owned()),
                Some("yaml") if !is_yaml() => Some("is not YAML".to_owned()),
                Some("json" | "yaml") => None,
                _ => Some("neither .json, .jsonl nor .yaml".to_owned()),
            }
        };
        let faults: BTreeMap<&String, String> =
            self.files.iter().filter_map(|(path, content)| Some((path, wrong(path, content)?))).collect();
        faults.into_iter().map(|(path, what)| Fault::Form { path: path.clone(), what }).collect()
    }
}

impl Report {
    fn check(&mut self, what: &str, check: impl FnOnce() -> Vec<Fault>) {
        let faults = check();
        if faults.is_empty() {
            self.checked.push(what.to_owned());
        }
        self.faults.extend(faults);
    }
}

fn follows(manifest: &Manifest, previous: &Bundle) -> Option<Fault> {
    let wrong = |what: &str| Some(Fault::Chain(what.to_owned()));
    let before = match previous.manifest() {
        Ok(before) => before,
        Err(fault) => return wrong(&format!("its {fault}")),
    };
    if (&manifest.cluster, &manifest.incident) != (&before.cluster, &before.incident) {
        return wrong("of another incident");
    }
    if manifest.previous.as_ref() != Some(&previous.digest()) {
        return wrong("it names another manifest as the one before");
    }
    if Some(manifest.sequence) != before.sequence.checked_add(1) {
        return wrong("the numbers do not follow each other");
    }
    None
}
