//! What of the record is shown, as an address says it: `connection`, `what`, `outcome`, `who`, `from`, `to` and `text`.
//!
//! A value that is none is told at its field, and nothing is read: a list that left it out would look like its answer.

use audit::wire::reading::{Asked, NotSought, Outcome, Sought, Topic};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::names::Names;
use crate::{
    page::{ActivityFilter, Choice, Field, Select},
    portal::Fields,
};

/// The fields, in the order of the form and of addresses.
const CONNECTION: &str = "connection";
const WHAT: &str = "what";
const OUTCOME: &str = "outcome";
const WHO: &str = "who";
const FROM: &str = "from";
const TO: &str = "to";
const TEXT: &str = "text";

/// Outcomes to choose among. One that is only begun has none yet.
const OUTCOMES: [(Outcome, &str, &str); 3] = [
    (Outcome::Succeeded, "succeeded", "Succeeded"),
    (Outcome::Failed, "failed", "Failed"),
    (Outcome::Refused, "refused", "Refused"),
];

/// A topic in people's words.
const fn words(topic: Topic) -> &'static str {
    match topic {
        Topic::Calls => "Calls",
        Topic::Changes => "Changes",
        Topic::Members => "Members",
        Topic::Reads => "Reads of the record and of credentials",
        Topic::Alarms => "Alarms",
    }
}

/// A filter, with what is wrong in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    connection: Option<String>,
    topic: Option<Topic>,
    outcome: Option<Outcome>,
    who: Option<Sought>,
    text: Option<Sought>,
    /// From the beginning of a day on.
    since: Option<Timestamp>,
    /// Up to the end of a day.
    until: Option<Timestamp>,
    /// What was typed and is not empty, by field, in their order.
    typed: Vec<(&'static str, String)>,
    wrong: Vec<(&'static str, String)>,
}

impl Filter {
    pub(super) fn read(fields: &Fields, names: &Names) -> Self {
        let mut filter = Self::default();
        filter.connection = filter.take(fields, CONNECTION, |name| {
            let known = names.connection(name).is_some();
            let none =
                || format!("There is no connection {} now. Choose one, or look for its name in the words.", cut(name));
            known.then(|| name.to_owned()).ok_or_else(none)
        });
        filter.topic = filter.take(fields, WHAT, |text| {
            let none = || format!("{} is not what something can be. Choose from the list.", cut(text));
            Topic::ALL.into_iter().find(|topic| topic.as_str() == text).ok_or_else(none)
        });
        filter.outcome = filter.take(fields, OUTCOME, |text| {
            let none = || format!("{} is no outcome. Choose one from the list.", cut(text));
            OUTCOMES.iter().find(|(_, value, _)| *value == text).map(|it| it.0).ok_or_else(none)
        });
        filter.who = filter.take(fields, WHO, |text| sought(names, text));
        let from = filter.take(fields, FROM, day);
        let to = filter.take(fields, TO, |text| match (day(text)?, from) {
            ((_, end), Some((begin, _))) if end <= begin => {
                Err("Choose a last day that is not before the first.".to_owned())
            }
            (day, _) => Ok(day),
        });
        (filter.since, filter.until) = (from.map(|(begin, _)| begin), to.map(|(_, end)| end));
        filter.text = filter.take(fields, TEXT, |text| sought(names, text));
        filter
    }

    /// Reads a field; one that is empty, or there twice, is not there.
    fn take<T>(
        &mut self,
        fields: &Fields,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = fields.text(name);
        if text.is_empty() {
            return None;
        }
        let read = read(&text);
        self.typed.push((name, text));
        read.map_err(|wrong| self.wrong.push((name, wrong))).ok()
    }

    pub(super) fn is_wrong(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// The question of the recorders, for the events of whatever `of` says.
    pub(super) fn asked(&self, of: Asked) -> Asked {
        Asked {
            connection: self.connection.clone(),
            topic: self.topic,
            outcome: self.outcome,
            who: self.who.clone(),
            text: self.text.clone(),
            since: self.since,
            until: self.until,
            ..of
        }
    }

    /// An address with this filter, and `more` behind it.
    pub(super) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        self.address_without("", path, more)
    }

    fn address_without(&self, without: &str, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.typed.iter().filter(|(name, _)| *name != without));
        let query = query.extend_pairs(more).finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Each thing that is looked for, in words, and the address without it.
    pub(super) fn loosened(&self, path: &str, names: &Names) -> Vec<(String, String)> {
        let told = |(name, text): &(&'static str, String)| {
            let outcome = || OUTCOMES.iter().find(|it| it.1 == text).map(|it| it.2.to_owned());
            let (label, value) = match *name {
                CONNECTION => ("Connection", names.connection(text).map(str::to_owned)),
                WHAT => ("What", self.topic.map(|topic| words(topic).to_owned())),
                OUTCOME => ("Outcome", outcome()),
                WHO => ("Who", None),
                FROM => ("From", None),
                TO => ("To", None),
                _ => ("Words", None),
            };
            let value = value.unwrap_or_else(|| text.clone());
            (format!("{label}: {value}"), self.address_without(name, path, &[]))
        };
        self.typed.iter().map(told).collect()
    }

    /// The form, with what was typed and what is wrong beside each field.
    pub(super) fn form(&self, names: &Names) -> ActivityFilter {
        let typed = |name: &str| self.typed.iter().find(|(field, _)| *field == name).map(|(_, text)| text.as_str());
        let error = |name: &str| self.wrong.iter().find(|(field, _)| *field == name).map(|(_, text)| text.clone());
        let field = |name: &str| Field { value: typed(name).unwrap_or_default().to_owned(), error: error(name) };
        let choice = |name: &str, value: &str, label: &str| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
            selected: typed(name) == Some(value),
        };
        let select = |name: &'static str, choices: Vec<Choice>| Select { choices, error: error(name) };
        let connections = names.connections().map(|(name, shown)| choice(CONNECTION, name, shown));
        let topics = Topic::ALL.into_iter().map(|topic| choice(WHAT, topic.as_str(), words(topic)));
        let outcomes = OUTCOMES.iter().map(|(_, value, label)| choice(OUTCOME, value, label));
        ActivityFilter {
            connection: select(CONNECTION, connections.collect()),
            what: select(WHAT, topics.collect()),
            outcome: select(OUTCOME, outcomes.collect()),
            who: field(WHO),
            suggested: names.suggested(),
            from: field(FROM),
            to: field(TO),
            text: field(TEXT),
            is_used: !self.typed.is_empty(),
        }
    }
}

fn sought(names: &Names, text: &str) -> Result<Sought, String> {
    const LETTERS: &str = "Type up to 100 letters.";
    if text.chars().count() > Sought::MOST_LETTERS {
        return Err(LETTERS.to_owned());
    }
    let told = |wrong| match wrong {
        NotSought::NoWords => LETTERS,
        NotSought::TooMany => "This fits too many people and connections. Type more of it.",
    };
    names.sought(text).map_err(|wrong| told(wrong).to_owned())
}

/// A value that a list to choose from does not have, as it is told there.
fn cut(text: &str) -> String {
    let mut letters = text.chars();
    let begin: String = letters.by_ref().take(Sought::MOST_LETTERS).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    format!("“{begin}{more}”")
}

/// The beginning of a day in UTC, and of the next.
fn day(text: &str) -> Result<(Timestamp, Timestamp), String> {
    // Written so and no other way, as browsers send it (HTML, section 4.10.5.1.7): what jiff reads besides is no day alone.
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let begin = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let both = date.and_then(|date| Some((begin(date)?, begin(date.tomorrow().ok()?)?)));
    both.ok_or_else(|| "Give a day as year, month and day, such as 2026-11-27.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::names::tests::names, *};

    const PATH: &str = "/teams/acme/acme/activity";

    fn read(query: &str) -> Filter {
        Filter::read(&Fields::read(query.as_bytes()), &names())
    }

    #[test]
    fn a_filter_is_read_from_its_address_and_written_into_it_again() {
        let query = "connection=acme-na&what=calls&outcome=refused&who=Token+laptop&from=2026-11-01&to=2026-11-30&text=caf%C3%A9";
        let filter = read(query);
        assert!(!filter.is_wrong(), "{filter:?}");
        assert_eq!(filter.address(PATH, &[]), format!("{PATH}?{query}"));
        assert_eq!(filter.address(PATH, &[("before", "7.x")]), format!("{PATH}?{query}&before=7.x"));
        let asked = filter.asked(Asked { namespace: "acme".to_owned(), limit: Some(5), ..Asked::default() });
        assert_eq!((asked.namespace.as_str(), asked.limit), ("acme", Some(5)));
        assert_eq!((asked.connection.as_deref(), asked.topic), (Some("acme-na"), Some(Topic::Calls)));
        assert_eq!(asked.outcome, Some(Outcome::Refused));
        assert_eq!(asked.who, Some(names().sought("Token laptop").unwrap()));
        assert_eq!(asked.text, Some(names().sought("café").unwrap()));
        // The last day is one of them.
        let times = [asked.since, asked.until].map(|time| time.unwrap().to_string());
        assert_eq!(times, ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"]);
        // As browsers send the form, with fields that are empty.
        let empty = read("connection=&what=&outcome=&who=+&from=&to=&text=&before=3&done=x");
        assert_eq!((empty.address(PATH, &[]), empty.is_wrong()), (PATH.to_owned(), false));
        assert_eq!(empty.asked(Asked::default()), Asked::default());
    }

    #[test]
    fn what_is_wrong_is_told_at_its_field_and_the_others_stay() {
        let long = format!("who={}", "x".repeat(101));
        for (query, wrong) in [
            ("connection=other-na", CONNECTION),
            ("connection=Acme%2C+North+America", CONNECTION),
            ("what=Calls", WHAT),
            ("what=sign-ins", WHAT),
            ("outcome=done", OUTCOME),
            (&long, WHO),
            ("text=a%0Ab", TEXT),
            ("from=yesterday", FROM),
            ("from=2026-02-30", FROM),
            ("from=2026-1-1", FROM),
            ("from=20260101", FROM),
            ("to=2026-01-01T10:00", TO),
            ("to=9999-12-31", TO),
            ("from=2026-02-02&to=2026-02-01", TO),
        ] {
            let filter = read(&format!("{query}&text=order&outcome=failed"));
            let filter = if wrong == TEXT || wrong == OUTCOME { read(query) } else { filter };
            let fields: Vec<_> = filter.wrong.iter().map(|(field, _)| *field).collect();
            assert_eq!(fields, [wrong], "{query}");
            let form = filter.form(&names());
            assert!(form.is_used);
            if wrong != TEXT && wrong != OUTCOME {
                assert_eq!(form.text, Field::of("order"), "{query}");
                assert!(
                    form.outcome.choices.iter().any(|choice| choice.value == "failed" && choice.selected),
                    "{query}"
                );
            }
        }
        assert!(!read("from=2026-02-02&to=2026-02-02").is_wrong(), "a day alone");
        let maybe = read("outcome=maybe").form(&names()).outcome;
        assert_eq!(maybe.error.as_deref(), Some("“maybe” is no outcome. Choose one from the list."));
        assert!(!maybe.choices.iter().any(|choice| choice.selected));
        let endless = read(&format!("what={}", "x".repeat(5000))).form(&names());
        assert!(endless.what.error.unwrap().chars().count() < 200);
        let form = read("from=soon").form(&names());
        assert_eq!((form.from.value.as_str(), form.from.error.is_some()), ("soon", true));
        // A field that is there twice says nothing.
        assert_eq!(read("what=calls&what=changes").topic, None);
    }

    #[test]
    fn each_thing_that_is_looked_for_can_be_left_out() {
        let filter = read("connection=acme-na&outcome=refused&text=a%26b");
        assert_eq!(
            filter.loosened(PATH, &names()),
            [
                ("Connection: Acme, North America", "?outcome=refused&text=a%26b"),
                ("Outcome: Refused", "?connection=acme-na&text=a%26b"),
                ("Words: a&b", "?connection=acme-na&outcome=refused"),
            ]
            .map(|(words, query)| (words.to_owned(), format!("{PATH}{query}")))
        );
        assert_eq!(read("what=calls").loosened(PATH, &names()), [("What: Calls".to_owned(), PATH.to_owned())]);
    }
}
