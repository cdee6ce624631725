//! The section of `docs/audit.md` that lists every event, from the catalogue itself.

use std::fmt::Write;

use anyhow::{Context, Result};
use audit::{Class, Row, catalog};

const BEGIN: &str = "<!-- Generated from audit/src/event/catalog.rs by `cargo xtask generate`. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

/// The page with that section as the catalogue is; the rest stays.
///
/// # Errors
/// The page does not have the two lines that it stands between.
pub(super) fn filled(page: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("no place for the events begins")?;
    let (_, after) = rest.split_once(END).context("the place for the events does not end")?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", section()))
}

/// A table a class.
fn section() -> String {
    let mut text = String::new();
    for class in Class::ALL {
        let _ = write!(
            text,
            "\n### {} {}\n\n| event | `type_uid` | severity | `message` | written by | in `unmapped` | when |\n\
             |---|---|---|---|---|---|---|\n",
            class.uid(),
            class.caption()
        );
        for row in catalog().filter(|row| row.class == class) {
            let Row { name, severity, message, writers, unmapped, cause, .. } = row;
            let types: Vec<String> = row.type_uids().map(|uid| uid.to_string()).collect();
            let writers: Vec<String> = writers.iter().map(ToString::to_string).collect();
            let unmapped: Vec<String> = unmapped.iter().map(|field| format!("`{field}`")).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {severity:?} | {message} | {} | {} | {cause} |",
                name.as_str(),
                types.join(", "),
                writers.join(", "),
                unmapped.join(", ")
            );
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_one_row_and_what_stands_around_them_stays() {
        let page = filled(&format!("# Before\n{BEGIN}not so\n{END}after\n")).unwrap();
        assert!(page.starts_with("# Before\n") && page.ends_with("after\n") && !page.contains("not so"), "{page}");
        for row in catalog() {
            let rows = page.lines().filter(|line| line.starts_with(&format!("| {} |", row.name.as_str())));
            assert_eq!(rows.count(), 1, "{}", row.name.as_str());
        }
        assert_eq!(filled(&page).unwrap(), page);
    }

    #[test]
    fn a_page_without_a_place_for_them_is_refused() {
        assert!(filled("# Page\n").is_err());
        assert!(filled(&format!("# Page\n{BEGIN}")).is_err());
    }
}
