//! JSON as a recorder looks at it: read in place, so that an event is checked without being taken apart and put together.

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Members of an object; events have far fewer. Each is compared with those before it.
const MOST_MEMBERS: usize = 64;

/// A value. Every part of it was parsed as it will be when it is read again: nesting, numbers and texts are within what
/// `serde_json::Value` takes.
pub(super) enum Node<'a> {
    Number(u64),
    Text(Cow<'a, str>),
    Object(Members<'a>),
    /// Something else, well formed.
    Other,
}

/// The members of an object. None is there twice: who reads the event later might take the other one.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Members<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0.iter().find_map(|(one, node)| (one == name).then_some(node))
    }
}

impl<'a> Node<'a> {
    pub(super) fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn object(&self) -> Option<&Members<'a>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        while items.next_element::<Node<'de>>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut members = Members(Vec::new());
        while let Some((Node::Text(name), node)) = map.next_entry()? {
            if members.get(&name).is_some() {
                return Err(de::Error::custom("a member is there twice"));
            }
            if members.0.len() == MOST_MEMBERS {
                return Err(de::Error::custom("an object has too many members"));
            }
            members.0.push((name, node));
        }
        Ok(Node::Object(members))
    }
}
