//! A ValidatingAdmissionPolicy and its binding, as Kubernetes wants them.

use serde_json::{Value, json};

use super::{Kind, LABEL};

/// What a refusal is to the client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    /// A right is missing.
    Forbidden,
    /// Nobody may.
    Invalid,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Validation {
    /// CEL; what is false is refused.
    pub(super) expression: String,
    pub(super) reason: Reason,
    /// CEL that makes the message: field, reason, way out.
    pub(super) message: String,
}

/// Requests a policy is asked about.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) group: &'static str,
    pub(super) resources: Vec<String>,
    pub(super) operations: &'static [&'static str],
}

/// A policy; its binding refuses.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    /// What it is for; a comment in the file.
    pub(super) about: &'static str,
    /// Whether a request passes that the policy cannot be evaluated for.
    pub(super) lenient: bool,
    /// The kind of ours, of whose objects each in the request's namespace is a parameter.
    pub(super) parameter: Option<Kind>,
    pub(super) requests: Vec<Requests>,
    /// A label that a namespace must have, with the value `true`.
    pub(super) namespaces_with: Option<&'static str>,
    /// Names and CEL; the policy is asked where all are true.
    pub(super) conditions: Vec<(&'static str, String)>,
    /// Names and CEL.
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) validations: Vec<Validation>,
}

impl Policy {
    /// One without rules.
    pub(super) fn new(name: impl Into<String>, about: &'static str) -> Self {
        Self {
            name: name.into(),
            about,
            lenient: false,
            parameter: None,
            requests: Vec::new(),
            namespaces_with: None,
            conditions: Vec::new(),
            variables: Vec::new(),
            validations: Vec::new(),
        }
    }

    /// It is asked about these.
    pub(super) fn on(mut self, group: &'static str, resources: &[&str], operations: &'static [&'static str]) -> Self {
        let resources = resources.iter().map(|&resource| resource.to_owned()).collect();
        self.requests.push(Requests { group, resources, operations });
        self
    }

    /// It is asked about these kinds of ours.
    pub(super) fn on_kinds(self, kinds: &[Kind], operations: &'static [&'static str]) -> Self {
        [crds::GROUP, crds::INTERNAL_GROUP].into_iter().fold(self, |policy, group| {
            let of_group = kinds.iter().filter(|kind| kind.group == group);
            let resources: Vec<&str> = of_group.map(|kind| kind.plural.as_str()).collect();
            if resources.is_empty() { policy } else { policy.on(group, &resources, operations) }
        })
    }

    pub(super) fn condition(mut self, name: &'static str, expression: impl Into<String>) -> Self {
        self.conditions.push((name, expression.into()));
        self
    }

    pub(super) fn variable(mut self, name: &'static str, expression: impl Into<String>) -> Self {
        self.variables.push((name, expression.into()));
        self
    }

    pub(super) fn rule(mut self, reason: Reason, expression: impl Into<String>, message: impl Into<String>) -> Self {
        self.validations.push(Validation { expression: expression.into(), reason, message: message.into() });
        self
    }

    /// The ValidatingAdmissionPolicy.
    pub(super) fn object(&self) -> Value {
        let rules: Vec<Value> = self
            .requests
            .iter()
            .map(|requests| {
                json!({
                    "apiGroups": [requests.group],
                    "apiVersions": ["*"],
                    "operations": requests.operations,
                    "resources": requests.resources,
                })
            })
            .collect();
        let validations: Vec<Value> = self
            .validations
            .iter()
            .map(|one| {
                json!({
                    "expression": one.expression,
                    "reason": format!("{:?}", one.reason),
                    "messageExpression": one.message,
                })
            })
            .collect();
        let named = |them: &[(&str, String)]| -> Vec<Value> {
            them.iter().map(|(name, expression)| json!({ "name": name, "expression": expression })).collect()
        };
        let mut matched = json!({ "resourceRules": rules });
        if let Some(label) = self.namespaces_with {
            matched["namespaceSelector"] = json!({ "matchLabels": { label: "true" } });
        }
        let mut spec = json!({
            "failurePolicy": if self.lenient { "Ignore" } else { "Fail" },
            "matchConstraints": matched,
            "validations": validations,
        });
        if let Some(kind) = &self.parameter {
            let version = format!("{}/{}", kind.group, crds::VERSION);
            spec["paramKind"] = json!({ "apiVersion": version, "kind": kind.kind });
        }
        if !self.conditions.is_empty() {
            spec["matchConditions"] = named(&self.conditions).into();
        }
        if !self.variables.is_empty() {
            spec["variables"] = named(&self.variables).into();
        }
        self.wrapped("ValidatingAdmissionPolicy", &spec)
    }

    /// The ValidatingAdmissionPolicyBinding.
    pub(super) fn binding(&self) -> Value {
        let mut spec = json!({ "policyName": self.name, "validationActions": ["Deny"] });
        if self.parameter.is_some() {
            spec["paramRef"] = json!({ "selector": {}, "parameterNotFoundAction": "Allow" });
        }
        self.wrapped("ValidatingAdmissionPolicyBinding", &spec)
    }

    fn wrapped(&self, kind: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": { "name": self.name, "labels": { LABEL.0: LABEL.1 } },
            "spec": spec,
        })
    }
}

/// CEL for a text. Backslash and quote are the only characters that need it.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// CEL for a list of texts.
pub(super) fn list<T: AsRef<str>>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}
