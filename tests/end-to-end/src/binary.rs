//! The binary `openteam`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// The binary that `OPENTEAM_BINARY` names, else the workspace's own, built now.
pub(crate) fn openteam() -> PathBuf {
    if let Some(given) = std::env::var_os("OPENTEAM_BINARY") {
        return given.into();
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--bin=openteam", "--message-format=json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "openteam does not build");
    // One JSON object a line; the artifact of a binary says where it is (The Cargo Book, "External tools").
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "openteam")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo tells where the binary is")
}
