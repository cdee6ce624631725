//! Promise 3: what is stored survives a backup, and opens again where it came from.

use crds::{
    AmazonConnection, SealedCredential, StoredCredential,
    condition::{READY, find},
};
use openteam_end_to_end::{House, US, eventually, house};

fn wait_for_reason(house: &House, connection: &str, reason: &str) {
    eventually(&format!("the connection is {reason}"), || {
        let connection: AmazonConnection = house.read("backup", connection);
        let ready = find(&connection.status?.conditions, READY)?.reason.clone();
        (ready == reason).then_some(())
    });
}

#[test]
fn promise_3_a_stored_credential_deleted_and_restored_from_yaml_still_opens() {
    let house = house();
    let tenant = house.tenant("backup");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();

    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    let words = ["get", "storedcredential", &name, "--namespace=backup", "--output=yaml"];
    let yaml = house.kubectl().run(&words).unwrap();
    let mut backup: StoredCredential = serde_yaml::from_str(&yaml).unwrap();
    let lost = backup.clone();
    // Without the input too, or it would be taken anew.
    house.delete::<SealedCredential>("backup", &format!("{}-refresh-token", tenant.connection));
    house.kubectl().run(&["delete", "storedcredential", &name, "--namespace=backup"]).unwrap();
    wait_for_reason(&house, &tenant.connection, "CredentialMissing");
    assert_ne!(gateway.call(&token).orders(US).status, 200, "what is gone is used no more");

    // As backup tools write it: what the apiserver stamps is left out, and the owner too, whose UID may be another.
    backup.metadata.uid = None;
    backup.metadata.resource_version = None;
    backup.metadata.creation_timestamp = None;
    backup.metadata.managed_fields = None;
    backup.metadata.owner_references = None;
    house.apply(&backup);
    wait_for_reason(&house, &tenant.connection, "Ready");
    eventually("the gateway uses it", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    let restored: StoredCredential = house.read("backup", &name);
    assert_eq!((restored.spec.data, restored.spec.wrap), (lost.spec.data, lost.spec.wrap), "nothing was sealed anew");
}
