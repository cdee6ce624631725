//! Promise 8: administrator secrets are rotated live, and show nowhere.

use openteam_end_to_end::{Planted, house, rotate_while_serving, search};

#[test]
fn promise_8_a_client_secret_is_rotated_while_calls_go_on_and_shows_nowhere() {
    let house = house();
    let tenant = house.tenant_apart("renewed", true);
    let emulator = house.amazon().emulator();
    rotate_while_serving(&tenant, "1");
    assert_eq!(emulator.notices(&tenant.application.client_id).len(), 1);

    let secrets = emulator.rotated_secrets();
    let secret = |text: &str| Planted::new("client secret", text.rsplit('.').next().unwrap());
    let mut planted: Vec<_> = secrets.iter().map(|one| secret(one.expose())).collect();
    planted.push(secret(tenant.application.client_secret.expose()));
    assert!(planted.len() >= 2);
    house.write_down_what_is_said();
    assert_eq!(search(&[house.state_dir()], "pki", &planted).found, Vec::<String>::new());
}
