//! `docs/reference/kinds.md`: every kind with its fields, rules and columns, from the CRDs themselves.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

/// Of Kubernetes' own types (Condition, LabelSelector), whose fields its documentation tells.
const KNOWN_ELSEWHERE: [&str; 2] = ["allowedNamespaces", "conditions"];

/// The whole page.
pub(super) fn page(definitions: &[CustomResourceDefinition]) -> String {
    let mut page = "<!-- Generated from crds/src by `cargo xtask generate`; edit the Rust types instead. -->\n\
        # Kinds\n\n\
        Everything a user writes is `openteam.dev/v1alpha1`; `kubectl explain KIND.spec` tells the same at the prompt. Fields in\n\
        **bold** are required. What a rule refuses, the apiserver refuses with the message given here.\n\n"
        .to_owned();
    for definition in definitions {
        let _ = writeln!(page, "- [{0}](#{1})", definition.spec.names.kind, definition.spec.names.kind.to_lowercase());
    }
    for definition in definitions {
        kind(&mut page, definition);
    }
    page
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let spec = &definition.spec;
    let Some(version) = spec.versions.first() else { return };
    let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else { return };
    let _ = writeln!(page, "\n## {}\n", spec.names.kind);
    let _ = writeln!(page, "{}\n", sentence(schema));
    let short = spec.names.short_names.as_ref().and_then(|names| names.first());
    let short = short.map_or(String::new(), |short| format!(", short `{short}`"));
    let _ =
        writeln!(page, "`{}/{}`, namespaced; `kubectl get {}`{short}.", spec.group, version.name, spec.names.plural);
    if let Some(columns) = &version.additional_printer_columns {
        let _ = writeln!(page, "Columns: {}.", columns.iter().map(column).collect::<Vec<_>>().join(", "));
    }
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let _ = writeln!(page, "Rule: {}.", message(rule));
    }
    for part in ["spec", "status"] {
        let Some(props) = schema.properties.as_ref().and_then(|all| all.get(part)) else { continue };
        let _ = writeln!(page, "\n| `{part}` | | |\n|---|---|---|");
        rows(page, "", props);
        for rule in props.x_kubernetes_validations.iter().flatten() {
            let _ = writeln!(page, "| | rule | {} |", cell(&message(rule)));
        }
    }
}

/// A row a field, its own fields below it.
fn rows(page: &mut String, above: &str, schema: &JSONSchemaProps) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, props) in schema.properties.iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let shown = if required.contains(name) { format!("**`{path}`**") } else { format!("`{path}`") };
        let mut about = sentence(props);
        for rule in props.x_kubernetes_validations.iter().flatten() {
            let _ = write!(about, " *Rule: {}.*", message(rule));
        }
        let _ = writeln!(page, "| {shown} | {} | {} |", cell(&type_of(props)), cell(&about));
        if KNOWN_ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        match items(props) {
            Some(items) => rows(page, &format!("{path}[]"), items),
            None => rows(page, &path, props),
        }
    }
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// The type and its limits, in words.
fn type_of(schema: &JSONSchemaProps) -> String {
    let base = schema.format.as_deref().or(schema.type_.as_deref()).unwrap_or("any");
    let mut words = match items(schema) {
        Some(items) => format!("list of {}", type_of(items)),
        None if schema.enum_.is_some() => {
            let members = schema.enum_.iter().flatten().map(|member| member.0.to_string().replace('"', ""));
            members.collect::<Vec<_>>().join(" or ")
        }
        None => base.to_owned(),
    };
    let mut limit = |text: Option<String>| {
        if let Some(text) = text {
            let _ = write!(words, ", {text}");
        }
    };
    limit(schema.pattern.as_ref().map(|pattern| format!("`{pattern}`")));
    limit(range(schema.min_length, schema.max_length, "characters"));
    limit(range(schema.min_items, schema.max_items, "entries"));
    limit(schema.default.as_ref().map(|default| format!("default `{}`", default.0)));
    words
}

fn range(least: Option<i64>, most: Option<i64>, what: &str) -> Option<String> {
    match (least, most) {
        (None, None) => None,
        (Some(least), None) => Some(format!("{least} {what} or more")),
        (None, Some(most)) => Some(format!("up to {most} {what}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most} {what}")),
    }
}

fn column(column: &CustomResourceColumnDefinition) -> String {
    let wide = if column.priority.unwrap_or_default() > 0 { " (with `-o wide`)" } else { "" };
    format!("{}{wide}", column.name.to_uppercase())
}

fn message(rule: &ValidationRule) -> String {
    rule.message.clone().unwrap_or_else(|| format!("`{}`", rule.rule))
}

/// The description in one line.
fn sentence(schema: &JSONSchemaProps) -> String {
    schema.description.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A table's cell must not end early.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_field_and_rule_is_told() {
        let definitions = crds::definitions();
        let page = page(&definitions);
        for definition in &definitions {
            assert!(page.contains(&format!("\n## {}\n", definition.spec.names.kind)));
        }
        for told in ["**`marketplaceIds`**", "NA or EU or FE", "teamRef is immutable", "`scope.operations.deny`"] {
            assert!(page.contains(told), "{told}");
        }
        let descriptions = page.lines().filter(|line| line.starts_with("| `") || line.starts_with("| **`"));
        for line in descriptions {
            assert!(!line.ends_with("|  |"), "a field without a description: {line}");
            assert_eq!(line.replace("\\|", "").matches('|').count(), 4, "{line}");
        }
    }
}
