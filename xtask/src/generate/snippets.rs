//! Code blocks of `docs/` that are whole files of the tests, so that what a reader pastes is what was tried.
//!
//! A line `<!-- from PATH -->` stands right before the block; PATH is seen from the project's root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

const FENCE: &str = "```";

/// Fills the blocks; with `check` changes nothing.
///
/// # Errors
/// A file cannot be read or written; with `check` also when a block is not its file's text, each page by its name.
pub(super) fn run(root: &Path, check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for page in pages(&root.join("docs"))? {
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {name}"))?;
        let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
        let wanted = filled(&text, read).with_context(|| name.clone())?;
        if wanted == text {
            continue;
        }
        if check {
            stale.push(format!("{name} does not have the code that it takes from tests"));
        } else {
            fs::write(&page, wanted).with_context(|| format!("cannot write {name}"))?;
        }
    }
    if stale.is_empty() { Ok(()) } else { bail!("{}\nrun `cargo xtask generate`", stale.join("\n")) }
}

/// All Markdown below a directory, in order of their names.
fn pages(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(pages(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The page with each block as its file is.
fn filled(page: &str, read: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        filled += line;
        filled.push('\n');
        let Some(path) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let Some(opening) = lines.next().filter(|line| line.starts_with(FENCE)) else {
            bail!("no block begins right after «{line}»");
        };
        if !lines.by_ref().any(|line| line == FENCE) {
            bail!("the block after «{line}» does not end");
        }
        let text = read(path)?;
        if text.lines().any(|line| line.starts_with(FENCE)) {
            bail!("{path} has a line that would end the block");
        }
        filled += &format!("{opening}\n{}\n{FENCE}\n", text.trim_end());
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n<!-- from a.py -->\n```python\nold\n```\n\n```\nnot ours\n```\n";

    fn read(path: &str) -> Result<String> {
        if path == "a.py" { Ok("one\n\ntwo\n".to_owned()) } else { bail!("{path} is not there") }
    }

    #[test]
    fn a_block_becomes_its_file_and_the_rest_stays() {
        let text = filled(PAGE, read).unwrap();
        assert_eq!(text, PAGE.replace("old", "one\n\ntwo"));
        assert_eq!(filled(&text, read).unwrap(), text);
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        for page in [
            "<!-- from a.py -->\n",
            "<!-- from a.py -->\n\n```python\n```\n",
            "<!-- from a.py -->\n```python\nnever ends\n",
            "<!-- from b.py -->\n```python\n```\n",
        ] {
            assert!(filled(page, read).is_err(), "{page:?}");
        }
    }

    #[test]
    fn code_that_differs_from_its_file_is_found() {
        let root = tempfile::tempdir().unwrap();
        let page = root.path().join("docs/deep/page.md");
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(root.path().join("a.py"), "new\n").unwrap();
        fs::write(&page, PAGE).unwrap();
        let said = run(root.path(), true).unwrap_err().to_string();
        assert!(said.contains("docs/deep/page.md"), "{said}");
        assert_eq!(fs::read_to_string(&page).unwrap(), PAGE);
        run(root.path(), false).unwrap();
        run(root.path(), true).unwrap();
    }
}
