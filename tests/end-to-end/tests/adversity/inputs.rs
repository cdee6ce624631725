//! Ciphertext that is garbled, foreign, or for a key that is no more: refused with what to do, and nothing else suffers.

use amazon_emulator::Change;
use crds::{AmazonConnection, SealedCredential, SealedCredentialState, StoredCredential, condition};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use openteam_end_to_end::{House, NAMESPACE, US, alone, eventually, house};
use seal::Keyset;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const OPERATOR: &str = "openteam-operator-0";

/// What the operator says of an input that it refuses: reason and message.
fn refusal(house: &House, namespace: &str, name: &str) -> (String, String) {
    eventually("the input is refused", || {
        let sealed: SealedCredential = house.read(namespace, name);
        let status = sealed.status.filter(|status| status.observed_generation == sealed.metadata.generation)?;
        assert_ne!(status.state, Some(SealedCredentialState::Accepted), "{name}");
        (status.state == Some(SealedCredentialState::Refused))
            .then(|| (status.reason.unwrap(), status.message.unwrap()))
    })
}

#[test]
fn an_input_that_does_not_open_is_refused_with_what_to_do() {
    let house = house();
    let tenant = house.tenant("garbled");
    let good: SealedCredential = house.read("garbled", "garbled-na-refresh-token");
    let text = good.spec.ciphertext.clone();
    let apply = |name: &str, ciphertext: String| {
        let mut sealed = SealedCredential::new(name, good.spec.clone());
        sealed.metadata.namespace = Some("garbled".to_owned());
        sealed.spec.ciphertext = ciphertext;
        house.apply(&sealed);
        let said = refusal(&house, "garbled", name);
        assert!(!said.1.contains(&text[20..40]), "it repeats no ciphertext: {said:?}");
        said
    };
    let other = |character: char| if character == 'A' { 'B' } else { 'A' };
    let changed = |at: usize| -> String {
        text.chars().enumerate().map(|(n, one)| if n == at { other(one) } else { one }).collect()
    };
    let is = |(reason, message): (String, String), expected: &str, says: &str| {
        assert_eq!(reason, expected, "{message}");
        assert!(message.contains(says), "{message}");
    };
    is(apply("short", "AAAA".to_owned()), "InvalidText", "not what `openteam seal` prints");
    is(
        apply("cut", text[..(text.len() - 4) / 4 * 4].to_owned()),
        "CannotOpen",
        "changed, or sealed for something else",
    );
    is(apply("last", changed(text.len() - 2)), "CannotOpen", "changed, or sealed for something else");
    is(apply("middle", changed(text.len() / 2)), "CannotOpen", "changed, or sealed for something else");
    // Another cluster's key, or one that was retired here, is one that this cluster does not have.
    is(apply("foreign", changed(9)), "UnknownSealingKey", "which this cluster does not have: seal it again");

    tenant.wait_until_ready(&tenant.connection);
    house.gateway(0).call(&tenant.agent_token()).orders(US).is_served();
}

/// A keyset of this one's cluster with another key, as it was before that was removed.
fn once_in(keyset: &str) -> Keyset {
    let this: Value = serde_json::from_str(keyset).unwrap();
    let mut other: Value = serde_json::from_str(Keyset::generate(0).to_json().expose_secret()).unwrap();
    other["clusterId"] = this["clusterId"].clone();
    Keyset::parse(&other.to_string()).unwrap()
}

#[test]
fn a_stored_credential_that_does_not_open_stops_its_connection_and_no_other() {
    let house = alone();
    let (tenant, other) = (house.tenant("damaged"), house.tenant("undamaged"));
    let token = tenant.runtime_token("nightly");
    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    let stored: StoredCredential = house.read("damaged", &name);
    // Sealed as it should be, but under the keyset of another cluster, or under a key that this cluster's had once.
    let binding = seal::StoredBinding {
        namespace: "damaged",
        kind: "AmazonConnection",
        name: &tenant.connection,
        field: "RefreshToken",
        generation: u64::try_from(stored.spec.generation).unwrap(),
    };
    let elsewhere = Keyset::generate(0);
    let once = once_in(&std::fs::read_to_string(house.keyset_file()).unwrap());
    let sealed = |keyset: &Keyset| {
        let sealed = keyset.seal(&binding, b"Atzr|nobody's").unwrap();
        json!({ "data": sealed.data, "wrap": sealed.wrap })
    };
    let gone = |keyset: &Keyset| {
        format!("refresh token 1 is stored under key {}, which is not in this cluster's keyset", keyset.active_id())
    };
    let garbled = "refresh token 1 is stored in a form that does not open: seal it anew".to_owned();
    for (spec, says) in
        [(json!({ "wrap": "AAAA" }), garbled), (sealed(&elsewhere), gone(&elsewhere)), (sealed(&once), gone(&once))]
    {
        house.patch::<StoredCredential>("damaged", &name, &json!({ "spec": spec }));
        for gateway in house.gateways() {
            let answer = eventually("it is refused", || {
                // The token that the gateways have is as good as before; when it ends, another is needed.
                house.amazon().switches().apply(Change { advance_seconds: 3601, ..Change::default() }).unwrap();
                Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
            });
            answer.is_refused(502, "CredentialDoesNotOpen");
            assert_eq!(answer.message(), "the stored credential does not open");
        }
        eventually(&format!("the connection says: {says}"), || {
            let read: AmazonConnection = house.read("damaged", &tenant.connection);
            let status = read.status?;
            let current = condition::find(&status.conditions, condition::CREDENTIAL_CURRENT)?;
            (current.reason == "CredentialUnreadable" && current.message.starts_with(&says)).then_some(())
        });
        house.gateway(0).call(&other.agent_token()).orders(US).is_served();
    }
    // Sealing it again mends it.
    house.seal("amazonconnection/damaged/damaged-na", "refresh-token", tenant.seller.refresh_token.expose());
    for gateway in house.gateways() {
        eventually("it is served again", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    }
}

#[test]
fn an_input_for_a_retired_sealing_key_is_refused_with_its_name_and_what_was_stored_serves_on() {
    const KEYS: &str = "openteam-sealing-keys";
    let house = alone();
    let tenant = house.tenant("retired");
    let token = tenant.agent_token();
    let early: SealedCredential = house.read("retired", "retired-na-refresh-token");
    let secrets: Api<Secret> = Api::namespaced(house.client().clone(), NAMESPACE);
    let before = house.block_on(secrets.get(KEYS)).unwrap();
    let replace = |with: Option<&Secret>| {
        house.stop(OPERATOR);
        house.block_on(secrets.delete(KEYS, &DeleteParams::default())).unwrap();
        if let Some(secret) = with {
            house.block_on(secrets.create(&PostParams::default(), secret)).unwrap();
        }
        house.restart(OPERATOR);
    };
    replace(None);

    let mut late = SealedCredential::new("late", early.spec.clone());
    late.metadata.namespace = Some("retired".to_owned());
    house.apply(&late);
    let key = seal::input_key_id(&early.spec.ciphertext).unwrap();
    let message = format!("sealed for key {key}, which this cluster does not have: seal it again with a current key");
    assert_eq!(refusal(&house, "retired", "late"), ("UnknownSealingKey".to_owned(), message));
    tenant.wait_until_ready(&tenant.connection);
    house.gateway(0).call(&token).orders(US).is_served();
    // As the message says.
    house.seal("amazonconnection/retired/retired-na", "refresh-token", tenant.seller.refresh_token.expose());
    eventually("the new input is stored", || {
        let stored: StoredCredential = house.read("retired", "amazonconnection.retired-na.refreshtoken");
        (stored.spec.generation == 2).then_some(())
    });
    tenant.wait_until_ready(&tenant.connection);

    // Both keys, the one from before being current again.
    let mut both = house.block_on(secrets.get(KEYS)).unwrap();
    both.data.get_or_insert_default().extend(before.data.unwrap_or_default());
    (both.metadata.resource_version, both.metadata.uid) = (None, None);
    replace(Some(&both));
    house.patch::<SealedCredential>("retired", "late", &json!({ "metadata": { "labels": { "again": "true" } } }));
    eventually("the input is what it is: as old as what was stored", || {
        let late: SealedCredential = house.read("retired", "late");
        (late.status?.state == Some(SealedCredentialState::Superseded)).then_some(())
    });
}
