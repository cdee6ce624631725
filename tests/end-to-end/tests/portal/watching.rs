//! That what watches the browsers sees what is wrong.

use openteam_end_to_end::house;
use serde_json::{Value, json};

#[test]
fn whatever_is_wrong_with_a_page_is_noticed() {
    house().browse("watching", &json!({}), |what, _| {
        assert_eq!(what, "double");
        Value::from(2)
    });
}

#[test]
#[should_panic(expected = "a step that fails")]
fn a_scenario_that_fails_fails_its_test() {
    house().browse("failing", &json!({ "how": "step" }), |_, _| Value::Null);
}

#[test]
#[should_panic(expected = "no step was made")]
fn a_scenario_without_a_step_fails_its_test() {
    house().browse("failing", &json!({ "how": "nothing" }), |_, _| Value::Null);
}
