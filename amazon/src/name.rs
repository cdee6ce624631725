//! What people call operations: in `operations.allow` and `operations.deny` of a scope.

use crate::{Class, Operation, operations};

/// What a name in a list of operations stands for.
#[derive(Debug)]
pub enum Known {
    /// A class.
    Class(Class),
    /// One operation; two for `shipping/v2/linkCarrierAccount`, which is both a POST and a PUT.
    Operations(Vec<&'static Operation>),
    /// A bare operation id that several APIs or versions use; these are the names to choose from.
    Ambiguous(Vec<String>),
    /// Nothing.
    Unknown,
}

/// What `name` stands for: a class, `api/version/operationId` such as `orders/v0/getOrders`, or a bare operation id where it
/// is unique. Case counts. It also answers for names of operations that are never served: see [`Operation::never_served`].
#[must_use]
pub fn known_name(name: &str) -> Known {
    if let Ok(class) = name.parse() {
        return Known::Class(class);
    }
    let mut called: Vec<&'static Operation> = Vec::new();
    let mut named: Vec<&'static Operation> = Vec::new();
    for operation in operations() {
        if operation.operation_id == name {
            called.push(operation);
        }
        if operation.is_qualified(name) {
            named.push(operation);
        }
    }
    if !named.is_empty() {
        return Known::Operations(named);
    }
    let mut names: Vec<String> = called.iter().map(|o| o.name()).collect();
    names.dedup();
    match names.len() {
        0 => Known::Unknown,
        1 => Known::Operations(called),
        _ => Known::Ambiguous(names),
    }
}

impl Operation {
    /// Its full name, `api/version/operationId`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.api, self.version, self.operation_id)
    }

    /// Whether `name`, full or bare, stands for this operation: for lists that allow. An ambiguous bare name stands for none,
    /// so that a list accepted before a new API made a name ambiguous grants less, not more.
    #[must_use]
    pub fn named_by(&self, name: &str) -> bool {
        self.is_qualified(name) || (name == self.operation_id && matches!(known_name(name), Known::Operations(_)))
    }

    /// Whether `name` may mean this operation: for lists that deny. An ambiguous bare name means all it could.
    #[must_use]
    pub fn maybe_named_by(&self, name: &str) -> bool {
        name == self.operation_id || self.is_qualified(name)
    }

    fn is_qualified(&self, name: &str) -> bool {
        let mut parts = name.split('/');
        parts.next() == Some(self.api)
            && parts.next() == Some(self.version)
            && parts.next() == Some(self.operation_id)
            && parts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_full_name_stands_for_its_operation_only() {
        let mut names = BTreeSet::new();
        for operation in operations() {
            let name = operation.name();
            let Known::Operations(found) = known_name(&name) else {
                panic!("{name}");
            };
            let expected = if name == "shipping/v2/linkCarrierAccount" { 2 } else { 1 };
            assert_eq!(found.len(), expected, "{name}");
            assert!(operation.named_by(&name));
            names.insert(name);
        }
        assert_eq!(names.len(), 369);
    }

    #[test]
    fn a_bare_name_works_where_it_is_unique() {
        for name in ["searchOrders", "createFeed", "linkCarrierAccount"] {
            assert!(matches!(known_name(name), Known::Operations(_)), "{name}");
        }
        assert!(crate::find("GET", "/orders/2026-01-01/orders").unwrap().operation.named_by("searchOrders"));
    }

    #[test]
    fn an_ambiguous_name_stands_for_no_operation_and_lists_the_choices() {
        let Known::Ambiguous(names) = known_name("getOrder") else {
            panic!("getOrder is in five APIs");
        };
        assert_eq!(names.len(), 5);
        assert!(names.contains(&"orders/v0/getOrder".to_owned()));
        assert!(operations().iter().all(|o| !o.named_by("getOrder")));
        let denied = operations().iter().filter(|o| o.maybe_named_by("getOrder"));
        assert_eq!(denied.count(), 5);
    }

    #[test]
    fn classes_are_not_operations() {
        for class in Class::ALL {
            assert!(matches!(known_name(class.as_str()), Known::Class(c) if c == class));
            assert!(operations().iter().all(|o| !o.named_by(class.as_str())));
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in [
            "",
            "*",
            "getorders",
            "orders",
            "orders/v0",
            "orders/v0/",
            "orders/v0/getOrders/",
            "/orders/v0/getOrders",
            "orders/v1/getOrders",
            "orders/v0/*",
            " searchOrders",
            "GET /orders/v0/orders",
        ] {
            assert!(matches!(known_name(name), Known::Unknown), "{name}");
            assert!(operations().iter().all(|o| !o.maybe_named_by(name)), "{name}");
            assert!(operations().iter().all(|o| !o.named_by(name)), "{name}");
        }
    }
}
