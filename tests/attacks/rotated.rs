//! What somebody kept from before a rotation: a runtime token, what `/auth/o2/token` once answered, a sealed input.

use crds::{
    AmazonConnection, CredentialField, CredentialOwner, CredentialOwnerKind, SealedCredential, SealedCredentialState,
    StoredCredential, annotation::ROTATE, stored_credential_name,
};
use openteam_end_to_end::{House, Tenant, US, eventually, house};
use serde_json::json;

use crate::{orders, refused};

fn rotate(tenant: &Tenant<'_>, value: &str) {
    let patch = json!({ "metadata": { "annotations": { ROTATE: value } } });
    tenant.house().patch::<AmazonConnection>(&tenant.name, &tenant.connection, &patch);
}

fn generation(house: &House, tenant: &Tenant<'_>) -> i64 {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: tenant.connection.clone() };
    let name = stored_credential_name(&owner, CredentialField::RefreshToken);
    house.read::<StoredCredential>(&tenant.name, &name).spec.generation
}

#[test]
fn nothing_that_was_kept_from_before_a_rotation_opens_anything_after_it() {
    let house = house();
    let tenant = house.tenant("kept");
    let token = tenant.runtime_token("nightly");
    let refresh_token = format!("{}/{}~{token}", tenant.name, tenant.connection);
    let answered = house.gateway(0).exchange(&refresh_token).json()["access_token"].as_str().unwrap().to_owned();
    house.plant("answer of /auth/o2/token", &answered[answered.len() - 43..]);
    house.gateway(1).call(&answered).orders(US).is_served();

    rotate(&tenant, "1");
    for gateway in house.gateways() {
        for kept in [&token, &answered] {
            eventually("it is dead", || (gateway.call(kept).orders(US).code() == "Rotated").then_some(()));
        }
    }
    tenant.seal(&tenant.consent());
    tenant.wait_until_ready(&tenant.connection);
    for gateway in house.gateways() {
        for kept in [&token, &answered] {
            let headers = format!("x-amz-access-token: {kept}\r\n");
            refused(&gateway.raw(orders(&gateway, "kept", &headers).as_bytes()), 403, "Rotated");
        }
        assert_ne!(gateway.exchange(&refresh_token).status, 200);
        gateway.call(&tenant.agent_token()).orders(US).is_served();
    }
    assert_eq!(house.amazon().heard("mark=kept"), []);
}

#[test]
fn a_sealed_input_from_before_a_rotation_brings_nothing_back() {
    let house = house();
    let tenant = house.tenant("replay");
    // Never applied: what was sealed, and not stored, is as old.
    let target = format!("amazonconnection/{}/{}", tenant.name, tenant.connection);
    let stolen = tenant.consent();
    let output = house.openteam(&["seal", "--for", &target, "--field", "refresh-token"], stolen.expose());
    let kept: SealedCredential = serde_yaml::from_slice(&output.stdout).unwrap();
    rotate(&tenant, "1");
    eventually("it was rotated", || {
        let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
        read.status?.rotation?.value
    });
    let before = generation(&house, &tenant);
    house.apply(&kept);
    eventually("the input is told to be old", || {
        let name = kept.metadata.name.as_deref().unwrap();
        let read: SealedCredential = house.read(&tenant.name, name);
        (read.status?.state? == SealedCredentialState::Superseded).then_some(())
    });
    assert_eq!(generation(&house, &tenant), before);
    assert_eq!(house.amazon().switches().uses(stolen.expose()), 0);
}
