//! Which operations a list allows.

use amazon::Operation;
use crds::Operations;

/// Whether the rules of a scope or a connection let the operation pass. Without rules: class `read` only; deny wins.
pub(crate) fn allows(rules: Option<&Operations>, operation: &Operation) -> bool {
    let class = operation.class().as_str();
    let Some(rules) = rules else { return class == amazon::Class::Read.as_str() };
    // A bare name that several APIs share allows none of them and denies all of them.
    let denied = rules.deny.iter().any(|entry| entry == class || operation.maybe_named_by(entry));
    !denied && rules.allow.iter().any(|entry| entry == class || operation.named_by(entry))
}

/// Whether the rules allow the operation by its own name, not only by its class.
pub(crate) fn names(rules: Option<&Operations>, operation: &Operation) -> bool {
    rules.is_some_and(|rules| rules.allow.iter().any(|entry| operation.named_by(entry))) && allows(rules, operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: &str, path: &str) -> &'static Operation {
        amazon::find(method, path).unwrap().operation
    }

    fn rules(allow: &[&str], deny: &[&str]) -> Option<Operations> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Some(Operations { allow: owned(allow), deny: owned(deny) })
    }

    #[test]
    fn without_rules_only_reading_is_allowed() {
        assert!(allows(None, operation("GET", "/orders/2026-01-01/orders")));
        assert!(!allows(None, operation("POST", "/feeds/2021-06-30/feeds")));
        assert!(!allows(None, operation("GET", "/finances/v0/financialEvents")));
        assert!(!allows(None, operation("GET", "/orders/v0/orders/1/address")));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(!allows(rules(&[], &[]).as_ref(), operation("GET", "/orders/2026-01-01/orders")));
    }

    #[test]
    fn deny_wins_by_name_and_by_class() {
        let search = operation("GET", "/orders/2026-01-01/orders");
        assert!(allows(rules(&["read"], &[]).as_ref(), search));
        for deny in ["searchOrders", "orders/2026-01-01/searchOrders", "read"] {
            assert!(!allows(rules(&["read", "searchOrders"], &[deny]).as_ref(), search), "{deny}");
        }
    }

    #[test]
    fn an_ambiguous_name_allows_none_and_denies_all() {
        let order = operation("GET", "/orders/v0/orders/1");
        assert!(!allows(rules(&["getOrder"], &[]).as_ref(), order));
        assert!(allows(rules(&["orders/v0/getOrder"], &[]).as_ref(), order));
        assert!(!allows(rules(&["read"], &["getOrder"]).as_ref(), order));
    }

    #[test]
    fn a_class_is_not_a_name() {
        let order = operation("GET", "/orders/v0/orders/1");
        assert!(!names(rules(&["read"], &[]).as_ref(), order));
        assert!(names(rules(&["orders/v0/getOrder"], &[]).as_ref(), order));
        assert!(!names(rules(&["orders/v0/getOrder"], &["read"]).as_ref(), order));
        assert!(!names(None, order));
    }
}
