//! What can be wrong with the settings, said so that it can be put right.

use std::fmt;

use super::ALL;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A key that no setting has.
    #[error("{key} is not a setting; {}", suggestion(*nearest))]
    Unknown {
        /// The key.
        key: String,
        /// The setting that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that its setting cannot take.
    #[error("{key}: {why}; it takes {takes}")]
    Invalid {
        /// The setting.
        key: &'static str,
        /// What is wrong with the value.
        why: String,
        /// What would be right.
        takes: &'static str,
    },
}

impl Fault {
    /// What to say of a key that is none of [`ALL`].
    pub(super) fn no_setting(key: &str) -> Self {
        // Up to two slips of the finger, and capitals anyhow.
        let distance = |setting: &str| strsim::damerau_levenshtein(&setting.to_lowercase(), &key.to_lowercase());
        let nearest = ALL.iter().map(|setting| (distance(setting.key), setting.key)).min();
        let nearest = nearest.filter(|(distance, _)| *distance <= 2).map(|(_, key)| key);
        Self::Unknown { key: key.chars().take(60).collect(), nearest }
    }

    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown { key, .. } => key,
            Self::Invalid { key, .. } => key,
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("there are: {}", ALL.map(|setting| setting.key).join(", ")),
    }
}

/// All that is wrong, in one line.
#[derive(Debug)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}
