//! Which objects of a kind look at which others: what one change concerns is looked up, not searched for among all.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crds::NamespacedReference;

use crate::stores::Kind;

/// An object of a watched kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    /// Empty for a Namespace, and for an Incident that an annotation names: there is one namespace for these.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(kind: Kind, namespace: Option<&str>, name: &str) -> Self {
        Self { kind, namespace: namespace.unwrap_or_default().to_owned(), name: name.to_owned() }
    }

    /// A Namespace.
    pub(crate) fn namespace(name: Option<&str>) -> Self {
        Self::new(Kind::Namespace, None, name.unwrap_or_default())
    }

    /// An Incident, as an annotation names it.
    pub(crate) fn incident(name: &str) -> Self {
        Self::new(Kind::Incident, None, name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

type Map = HashMap<Name, Vec<Arc<NamespacedReference>>>;

/// For each object that some look at, those that do.
#[derive(Default)]
pub(crate) struct Dependents(Mutex<Map>);

impl Dependents {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that look at `name`.
    pub(crate) fn of(&self, name: &Name) -> Vec<Arc<NamespacedReference>> {
        self.map().get(name).cloned().unwrap_or_default()
    }

    /// `object` looked at some, and looks at others now.
    pub(crate) fn replace(&self, object: &NamespacedReference, before: &[Name], now: &[Name]) {
        if before == now {
            return;
        }
        let mut map = self.map();
        for name in before {
            if let Some(them) = map.get_mut(name) {
                them.retain(|one| **one != *object);
                if them.is_empty() {
                    map.remove(name);
                }
            }
        }
        add(&mut map, object.clone(), now.iter().cloned());
    }

    /// These are all there are.
    pub(crate) fn rebuild(&self, all: impl Iterator<Item = (NamespacedReference, Vec<Name>)>) {
        let mut map = Map::new();
        for (object, names) in all {
            add(&mut map, object, names.into_iter());
        }
        *self.map() = map;
    }
}

fn add(map: &mut Map, object: NamespacedReference, names: impl Iterator<Item = Name>) {
    let object = Arc::new(object);
    for name in names {
        let them = map.entry(name).or_default();
        // One that names another twice is still one.
        if them.last().is_none_or(|last| !Arc::ptr_eq(last, &object)) {
            them.push(object.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> NamespacedReference {
        NamespacedReference { namespace: "acme".into(), name: name.into() }
    }

    fn team(name: &str) -> Name {
        Name::new(Kind::Team, Some("acme"), name)
    }

    fn of(dependents: &Dependents, name: &str) -> Vec<String> {
        dependents.of(&team(name)).iter().map(|it| it.name.clone()).collect()
    }

    #[test]
    fn an_object_is_found_by_what_it_looks_at_now() {
        let dependents = Dependents::default();
        dependents.replace(&object("na"), &[], &[team("a"), team("a"), team("b")]);
        dependents.replace(&object("eu"), &[], &[team("a")]);
        assert_eq!(of(&dependents, "a"), ["na", "eu"]);
        assert_eq!(of(&dependents, "b"), ["na"]);
        dependents.replace(&object("na"), &[team("a"), team("a"), team("b")], &[team("c")]);
        assert_eq!(
            (of(&dependents, "a"), of(&dependents, "b"), of(&dependents, "c")),
            (vec!["eu".to_owned()], vec![], vec!["na".to_owned()])
        );
        dependents.replace(&object("na"), &[team("c")], &[]);
        assert_eq!(of(&dependents, "c"), Vec::<String>::new());
        assert_eq!(dependents.map().len(), 1, "what nobody looks at is forgotten");
        dependents.rebuild([(object("fe"), vec![team("b")])].into_iter());
        assert_eq!((of(&dependents, "a"), of(&dependents, "b")), (vec![], vec!["fe".to_owned()]));
    }
}
