//! What several pages are made of.

use askama::{Template, filters::HtmlSafe};
use jiff::Timestamp;

/// A moment: UTC in the page, which the script puts into the reader's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ machine() }}">{{ words() }}</time>"#)]
pub struct When(pub Timestamp);

impl When {
    /// RFC 3339, whole seconds.
    fn machine(&self) -> impl std::fmt::Display {
        self.0.strftime("%Y-%m-%dT%H:%M:%SZ")
    }

    /// Such as `27 Nov 2026, 21:20 UTC`.
    pub(super) fn words(&self) -> impl std::fmt::Display {
        self.0.strftime("%-d %b %Y, %H:%M UTC")
    }
}

impl HtmlSafe for When {}

/// How good a state is. Each has its own colour and its own shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It works. A tick.
    Good,
    /// It is under way, nobody has to do anything. A clock.
    Wait,
    /// It works and needs somebody soon. A triangle.
    Warn,
    /// It does not work. A cross.
    Bad,
    /// It is over or not in use. A dash.
    Off,
}

impl Tone {
    /// As classes of the style sheet and the script's messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Off => "off",
        }
    }
}

/// A state: a word, and its tone by colour and shape.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/status.html")]
pub struct Status {
    /// How good it is.
    pub tone: Tone,
    /// The word for it, such as `Ready`.
    pub word: String,
}

impl Status {
    /// A state of this tone.
    #[must_use]
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self { tone, word: word.into() }
    }
}

impl HtmlSafe for Status {}

/// A field of a form: what was typed, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// What the field holds.
    pub value: String,
    /// What is wrong with it, as a whole sentence that says what to do.
    pub error: Option<String>,
}

impl Field {
    /// A field that holds this and is fine.
    #[must_use]
    pub fn of(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: None }
    }

    /// The same with what is wrong.
    #[must_use]
    pub fn wrong(value: impl Into<String>, error: impl Into<String>) -> Self {
        Self { value: value.into(), error: Some(error.into()) }
    }
}

/// Something wrong in a form, as the list above it links to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The id of the field in the page.
    pub field: &'static str,
    /// What is wrong.
    pub text: String,
}

/// The faults among fields, in the order of the form.
pub(super) fn faults<'a>(fields: impl IntoIterator<Item = (&'static str, &'a Option<String>)>) -> Vec<Fault> {
    let faults = fields.into_iter().filter_map(|(field, error)| Some(Fault { field, text: error.clone()? }));
    faults.collect()
}
