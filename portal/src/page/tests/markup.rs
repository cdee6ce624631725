//! Reads a page more strictly than a browser does: every tag closed, every attribute quoted and said once, every id unique.

use std::collections::{BTreeMap, BTreeSet};

/// Elements that have no end (HTML, section 13.1.2).
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "meta"];

/// An element as it stands in the page.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// All text in it, of what is in it too.
    pub(super) text: String,
    /// What it is in, outermost first.
    ancestors: Vec<usize>,
    ancestor_names: Vec<String>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    pub(super) fn within(&self, name: &str) -> bool {
        self.ancestor_names.iter().any(|it| it == name)
    }

    pub(super) fn heading(&self) -> Option<u8> {
        let level = self.name.strip_prefix('h')?.parse().ok()?;
        (1..=6).contains(&level).then_some(level)
    }

    /// What a screen reader says of it.
    pub(super) fn label(&self) -> &str {
        self.attribute("aria-label").unwrap_or(&self.text).trim()
    }
}

/// A page that was read.
pub(super) struct Markup(Vec<Element>);

impl Markup {
    pub(super) fn parse(html: &str) -> Result<Self, String> {
        let mut rest = html.strip_prefix("<!doctype html>").ok_or("no doctype")?;
        let (mut all, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut ids = BTreeSet::new();
        while !rest.is_empty() {
            let at = rest.find('<').unwrap_or(rest.len());
            let text = unescaped(&rest[..at])?;
            for &it in &open {
                all[it].text.push_str(&text);
            }
            rest = &rest[at..];
            if rest.is_empty() {
                break;
            }
            let end = tag_end(rest)?;
            let tag = &rest[1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                let last = open.pop().ok_or_else(|| format!("</{name}> ends nothing"))?;
                if all[last].name != name {
                    return Err(format!("</{name}> ends a <{}>", all[last].name));
                }
                continue;
            }
            let empty = tag.ends_with('/');
            let (name, attributes) = opened(tag.trim_end_matches('/'))?;
            if let Some(id) = attributes.get("id")
                && (id.is_empty() || !ids.insert(id.clone()))
            {
                return Err(format!("id {id:?} is there twice, or is empty"));
            }
            let ancestor_names = open.iter().map(|&it| all[it].name.clone()).collect();
            all.push(Element { name, attributes, text: String::new(), ancestors: open.clone(), ancestor_names });
            let last = all.len() - 1;
            if !empty && !VOID.contains(&all[last].name.as_str()) {
                open.push(last);
            }
        }
        match open.last() {
            Some(&it) => Err(format!("<{}> does not end", all[it].name)),
            None => Ok(Self(all)),
        }
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.0.iter()
    }

    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements().filter(move |it| it.name == name)
    }

    pub(super) fn one(&self, name: &str) -> Result<&Element, String> {
        let mut found = self.named(name);
        match (found.next(), found.next()) {
            (Some(it), None) => Ok(it),
            (None, _) => Err(format!("no {name}")),
            (Some(_), Some(_)) => Err(format!("more than one {name}")),
        }
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Element> {
        self.elements().find(|it| it.attribute("id") == Some(id))
    }

    /// Ids of what stands inside a label.
    pub(super) fn inside_labels(&self) -> impl Iterator<Item = &str> {
        let inside = |it: &&Element| it.ancestors.iter().any(|&up| self.0[up].name == "label");
        self.elements().filter(inside).filter_map(|it| it.attribute("id"))
    }
}

/// Where the tag ends that the text begins with: at the first `>` outside of quotes.
fn tag_end(text: &str) -> Result<usize, String> {
    let mut quoted = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return Ok(at),
            '<' => return Err(format!("< in a tag: {}", text.chars().take(60).collect::<String>())),
            _ => {}
        }
    }
    Err("a tag does not end".to_owned())
}

fn opened(tag: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let (name, mut rest) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(format!("<{name}> is no tag"));
    }
    let mut attributes = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok((name.to_owned(), attributes));
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if key.is_empty() || !key.chars().all(word) {
            return Err(format!("{key:?} is no attribute of <{name}>"));
        }
        let mut value = "";
        rest = after;
        if let Some(after) = after.strip_prefix('=') {
            let quoted = after.strip_prefix('"').ok_or_else(|| format!("{key} is not quoted"))?;
            (value, rest) = quoted.split_once('"').ok_or("quotes do not end")?;
            if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
                return Err(format!("no space after {key}"));
            }
        }
        if attributes.insert(key.to_owned(), unescaped(value)?).is_some() {
            return Err(format!("{key} is there twice"));
        }
    }
}

/// Text with its character references resolved, as far as templates and askama write them.
fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (reference, after) = after.split_once(';').ok_or("a bare &")?;
        out.push_str(before);
        let number = reference.strip_prefix('#').and_then(|n| n.parse().ok()).and_then(char::from_u32);
        let c = match reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            _ => number.ok_or_else(|| format!("&{reference}; is no character"))?,
        };
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let page = |body: &str| Markup::parse(&format!("<!doctype html><html>{body}</html>")).map(|_| ());
    assert_eq!(page("<p>a &#38; b<br></p>"), Ok(()));
    for body in [
        "<p>",
        "</p>",
        "<p><b></p></b>",
        "<p class=a></p>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<p id=\"a\" id=\"b\"></p>",
        "<p a\"b\"></p>",
        "<p title=\"<\"></p>",
        "a & b",
        "a < b",
        "<P></P>",
        "&nothing;",
    ] {
        assert!(page(body).is_err(), "{body}");
    }
    assert!(Markup::parse("<html></html>").is_err());
}
