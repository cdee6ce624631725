//! Promise 3: credentials are written encrypted, and nothing else of them is written anywhere.

use crds::{AmazonConnection, SealedCredential, SealedCredentialState, StoredCredential};
use k8s_openapi::api::core::v1::ConfigMap;
use openteam_end_to_end::{Answer, Planted, US, eventually, house, search};
use seal::{Keyset, Sealed, StoredBinding};

#[test]
fn promise_3_no_credential_is_in_etcd_in_an_object_in_a_log_or_in_the_journal() {
    let house = house();
    let tenant = house.tenant("leaks");
    let (token, runtime) = (tenant.agent_token(), tenant.runtime_token("nightly"));
    let gateway = house.gateway(0);
    let exchange = gateway.exchange(&format!("leaks/leaks-na~{token}"));
    let bound = exchange.json()["access_token"].as_str().unwrap().to_owned();
    for credential in [&token, &runtime, &bound] {
        gateway.call(credential).orders(US).is_served();
        gateway.call(credential).get("/no/such/operation").is_refused(403, "OperationUnknown");
        gateway.call(&format!("{credential}x")).orders(US).is_refused(403, "Unauthorized");
    }
    // What went wrong is logged with more words than what went well.
    let change = openteam_end_to_end::revoked(&tenant.seller);
    house.amazon().switches().apply(change).unwrap();
    let refused: Answer = gateway.call(&token).orders(US);
    refused.is_refused(502, "AuthorizationRevoked");

    // That the search itself can fail: what is written in the open is found, in etcd's files and in objects.
    let canary = tenant.seller.seller_id.repeat(4);
    let mut map = ConfigMap { data: Some([("canary".to_owned(), canary.clone())].into()), ..ConfigMap::default() };
    map.metadata.name = Some("canary".to_owned());
    map.metadata.namespace = Some("leaks".to_owned());
    house.apply(&map);
    let found = eventually("the canary is in etcd's files", || {
        house.write_down_what_is_said();
        let found = search(&[house.state_dir()], "pki", &[Planted::new("canary", &canary)]).found;
        found.iter().any(|one| one.contains("/etcd/")).then_some(found)
    });
    assert!(found.iter().any(|one| one.contains("/seen/objects.json")), "{found:?}");
    assert!(found.iter().all(|one| !one.contains("secrets.json")), "{found:?}");

    // What this test adds to what is looked for after all tests: `z_afterwards`.
    let secrets = [
        Planted::new("refresh token", tenant.seller.refresh_token.expose()),
        Planted::new("RuntimeToken", &runtime[runtime.len() - 50..runtime.len() - 7]),
        Planted::new("ServiceAccount token", token.rsplit('.').next().unwrap()),
    ];
    assert_eq!(search(&[house.state_dir()], "pki", &secrets).found, Vec::<String>::new());
    assert!(!refused.text.contains("Atz"), "{}", refused.text);
}

#[test]
fn promise_3_a_stored_credential_opens_with_the_keyset_for_its_own_object_only() {
    let house = house();
    let tenant = house.tenant("stored");
    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    let stored: StoredCredential = house.read("stored", &name);
    let spec = &stored.spec;
    let sealed = || Sealed { data: spec.data.clone(), wrap: spec.wrap.clone() };
    let keyset = Keyset::parse(&std::fs::read_to_string(house.keyset_file()).unwrap()).unwrap();
    let own = StoredBinding {
        namespace: "stored",
        kind: "AmazonConnection",
        name: &tenant.connection,
        field: "RefreshToken",
        generation: 1,
    };
    let opened = keyset.open(&own, &sealed()).unwrap();
    assert!(opened.expose_text().is_ok_and(|text| text == tenant.seller.refresh_token.expose()));

    assert!(Keyset::generate(0).open(&own, &sealed()).is_err());
    for other in [
        StoredBinding { namespace: "other", ..own },
        StoredBinding { kind: "AmazonApplication", ..own },
        StoredBinding { name: "other", ..own },
        StoredBinding { field: "ClientSecret", ..own },
        StoredBinding { generation: 2, ..own },
    ] {
        assert!(keyset.open(&other, &sealed()).is_err());
    }
}

#[test]
fn promise_3_a_sealed_input_works_for_its_own_object_only_and_never_twice() {
    let house = house();
    let tenant = house.tenant("inputs");
    let state = |name: &str| {
        eventually("the input is looked at", || {
            let sealed: SealedCredential = house.read("inputs", name);
            sealed.status?.state.filter(|state| *state != SealedCredentialState::Waiting)
        })
    };
    let first: SealedCredential = house.read("inputs", "inputs-na-refresh-token");
    assert_eq!(state("inputs-na-refresh-token"), SealedCredentialState::Accepted);

    // The same text for another connection: it was not sealed for that.
    let connection: AmazonConnection = house.read("inputs", "inputs-na");
    let mut other = AmazonConnection::new("thief", connection.spec);
    other.metadata.namespace = Some("inputs".to_owned());
    house.apply(&other);
    let mut stolen = SealedCredential::new("stolen", first.spec.clone());
    stolen.metadata.namespace = Some("inputs".to_owned());
    stolen.spec.r#for.name = "thief".to_owned();
    house.apply(&stolen);
    assert_eq!(state("stolen"), SealedCredentialState::Refused);

    // A newer input replaces the credential; the older one, applied again, does nothing.
    let stored = || {
        let stored: StoredCredential = house.read("inputs", "amazonconnection.inputs-na.refreshtoken");
        stored.spec.generation
    };
    let sealed_at =
        house.read::<SealedCredential>("inputs", "inputs-na-refresh-token").status.unwrap().sealed_at.unwrap();
    eventually("a second has passed, the finest time that is kept", || {
        (jiff::Timestamp::now().as_second() > sealed_at.0.as_second()).then_some(())
    });
    house.seal("amazonconnection/inputs/inputs-na", "refresh-token", tenant.seller.refresh_token.expose());
    eventually("the newer is stored", || (stored() == 2).then_some(()));
    let mut replay = SealedCredential::new("replay", first.spec);
    replay.metadata.namespace = Some("inputs".to_owned());
    house.apply(&replay);
    assert_eq!(state("replay"), SealedCredentialState::Superseded);
    assert_eq!(stored(), 2);
}
