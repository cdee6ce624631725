//! Printing an object as a person would have written it.

use anyhow::Context;
use serde::Serialize;

/// The object's YAML on standard output, without empty fields of the apiserver's.
pub(crate) fn print(object: &impl Serialize) -> anyhow::Result<()> {
    use std::io::Write;
    let yaml = serde_yaml::to_string(object).context("the manifest cannot be written as YAML")?;
    std::io::stdout().write_all(yaml.as_bytes()).context("standard output cannot be written to")
}
