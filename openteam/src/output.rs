//! Printing what a command found: for people as a table, for programs as JSON or YAML.

use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Yaml,
}

impl Output {
    /// Prints on standard output; `table` is asked for people's form only.
    pub(crate) fn print(self, value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => table(),
            Self::Json => serde_json::to_string_pretty(value)? + "\n",
            Self::Yaml => serde_yaml::to_string(value)?,
        };
        std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written to")
    }
}

/// Rows below headings, each column as wide as its widest cell; `-` where there is nothing.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len(), 1]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let cell = if cell.is_empty() { "-" } else { cell };
            format!("{cell:width$}")
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let body = rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(headings)).chain(body).collect()
}

/// A time in UTC, to the second.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%FT%TZ").to_string()
}

/// A number of things, in words.
pub(crate) fn count(count: impl Into<i64>, one: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), String::new()], ["longer".to_owned(), "x".to_owned()]];
        assert_eq!(table(["NAME", "B"], &rows), "NAME    B\na       -\nlonger  x\n");
    }
}
