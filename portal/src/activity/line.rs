//! Events as lines of a file: JSON, or comma-separated values (RFC 4180). A file says what the page says, and no more.

use serde_json::json;

use crate::page::ActivityEvent;

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Comma-separated values.
    Csv,
    /// JSON values separated by LF.
    Json,
}

/// What the last line of a file says. A file without it is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// How many events there are.
    pub(super) events: usize,
    /// Why there are no more, where the record may have more.
    pub(super) why: Option<&'static str>,
    /// The address of the next file.
    pub(super) next: Option<String>,
}

impl Format {
    /// By what addresses call it.
    pub(super) fn of(text: &str) -> Option<Self> {
        [Self::Csv, Self::Json].into_iter().find(|format| format.extension() == text)
    }

    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "jsonl",
        }
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/x-ndjson",
        }
    }

    /// What a file begins with.
    pub(super) fn head(self) -> String {
        match self {
            Self::Csv => row(["time", "who", "what", "object", "outcome"]),
            Self::Json => String::new(),
        }
    }

    /// The line of an event.
    pub(super) fn line(self, event: &ActivityEvent) -> String {
        let ActivityEvent { at, who, what, object, outcome } = event;
        let time = at.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        match self {
            Self::Csv => row([&time, who, what, object.as_deref().unwrap_or_default(), &outcome.word]),
            Self::Json => {
                let event =
                    json!({ "time": time, "who": who, "what": what, "object": object, "outcome": outcome.word });
                format!("{event}\n")
            }
        }
    }

    /// The last line.
    pub(super) fn end(self, end: &End) -> String {
        let End { events, why, next } = end;
        match self {
            Self::Csv => {
                let mut text = format!("End of the file, {events} events");
                if let Some(why) = why {
                    text += &format!(". There may be more: {why}");
                }
                if let Some(next) = next {
                    text += &format!(". It goes on at {next}");
                }
                row(["", "", &text, "", ""])
            }
            Self::Json => {
                let end = json!({ "events": events, "isComplete": why.is_none(), "why": why, "next": next });
                format!("{}\n", json!({ "end": end }))
            }
        }
    }
}

fn row(cells: [&str; 5]) -> String {
    cells.map(cell).join(",") + "\r\n"
}

/// A value between quotes that no spreadsheet takes for a formula (OWASP, "CSV Injection"). Whoever gives a connection its
/// name would else have programs of others' do something. Where a cell may begin there is an apostrophe before what begins a
/// formula: at the start, and behind what separates cells where commas do not.
fn cell(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut begins = true;
    for letter in text.chars() {
        if begins && matches!(letter, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') {
            quoted.push('\'');
        }
        // Spaces in front are not looked at by all.
        begins = matches!(letter, ';' | '\t' | '\r' | '\n') || begins && (letter.is_whitespace() || letter == '"');
        if letter == '"' {
            quoted.push('"');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Status, Tone, When};

    fn event() -> ActivityEvent {
        ActivityEvent {
            at: When("2026-11-27T21:10:00.5Z".parse().unwrap()),
            who: "Token laptop".to_owned(),
            what: "getOrder".to_owned(),
            object: Some("Acme \"North\", 1".to_owned()),
            outcome: Status::new(Tone::Bad, "Refused: not in its scope"),
        }
    }

    #[test]
    fn an_event_is_one_line_and_says_what_the_page_says() {
        let csv = Format::Csv.line(&event());
        let expected =
            r#""2026-11-27T21:10:00Z","Token laptop","getOrder","Acme ""North"", 1","Refused: not in its scope""#;
        assert_eq!(csv, format!("{expected}\r\n"));
        assert_eq!(Format::Csv.head(), "\"time\",\"who\",\"what\",\"object\",\"outcome\"\r\n");
        let json = Format::Json.line(&event());
        assert!(json.ends_with('\n') && json.trim_end().lines().count() == 1);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["object"], "Acme \"North\", 1");
        assert_eq!(read.as_object().unwrap().len(), 5);
        let of_nothing = ActivityEvent { object: None, ..event() };
        assert!(Format::Csv.line(&of_nothing).contains(r#","","Refused"#));
        for format in [Format::Csv, Format::Json] {
            assert_eq!(Format::of(format.extension()), Some(format));
        }
        assert_eq!((Format::of(""), Format::of("CSV"), Format::of("xlsx")), (None, None, None));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("=1+1", r#""'=1+1""#),
            ("+49 1", r#""'+49 1""#),
            ("-1", r#""'-1""#),
            ("@SUM(A1)", r#""'@SUM(A1)""#),
            ("  =1", r#""  '=1""#),
            ("＝1", r#""'＝1""#),
            ("\t=1", "\"'\t'=1\""),
            ("\r\n=1", "\"'\r'\n'=1\""),
            // Where semicolons separate cells, a quote within one is no end of it.
            ("a;=1", r#""a;'=1""#),
            ("a\";\"=1", r#""a"";""'=1""#),
            ("\"=1", r#""""'=1""#),
            // Only there.
            ("a=b, -c", r#""a=b, -c""#),
            ("ada+bot@acme.example", r#""ada+bot@acme.example""#),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_line_says_whether_there_is_more() {
        let whole = End { events: 3, why: None, next: None };
        assert_eq!(Format::Csv.end(&whole), "\"\",\"\",\"End of the file, 3 events\",\"\",\"\"\r\n");
        let read: serde_json::Value = serde_json::from_str(&Format::Json.end(&whole)).unwrap();
        assert_eq!((&read["end"]["events"], &read["end"]["isComplete"]), (&3.into(), &true.into()));
        let next = Some("https://portal.example/teams/a/a/activity/export?as=csv&before=7".to_owned());
        let part = End { events: 10_000, why: Some("a file has 10,000 events at most"), next: next.clone() };
        assert!(
            Format::Csv
                .end(&part)
                .contains("There may be more: a file has 10,000 events at most. It goes on at https://")
        );
        let read: serde_json::Value = serde_json::from_str(&Format::Json.end(&part)).unwrap();
        assert_eq!((&read["end"]["isComplete"], read["end"]["next"].as_str()), (&false.into(), next.as_deref()));
    }
}
