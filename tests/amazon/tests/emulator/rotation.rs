//! Grantless tokens, and the rotation of a client secret.

use crate::world::{Answer, US, World, send};
use openteam_amazon_emulator::{Change, PostError, Queue, Rotation};
use serde_json::Value;

const SCOPE: &str = "sellingpartnerapi::client_credential:rotation";
const ROTATE: &str = "/applications/2023-11-30/clientSecret";

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
impl World {
    async fn grantless(&self, secret: &str, scope: &str) -> Answer {
        let client_id = self.seed.applications[0].client_id.as_str();
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_id", client_id),
            ("client_secret", secret),
        ];
        send(self.login().form(&form)).await
    }

    fn secret(&self) -> &str {
        self.seed.applications[0].client_secret.expose()
    }

    async fn rotate(&self, token: &str) -> reqwest::Response {
        let url = format!("{}{ROTATE}", self.emulator.https_url());
        self.client.post(url).header("x-amz-access-token", token).send().await.unwrap()
    }

    /// Registers a queue that nobody serves; notices are kept back.
    fn enroll(&self, rotation: Rotation) {
        let client = self.seed.applications[0].client_id.clone();
        let ca = self.emulator.ca_pem().unwrap().to_owned();
        let queue = Queue { endpoint: "https://localhost:1".into(), url: "https://localhost:1/1/q".into(), ca };
        let change = Change {
            queues: [(client.clone(), Some(queue))].into(),
            rotations: [(client, Rotation { held: true, ..rotation })].into(),
            ..Change::default()
        };
        self.emulator.switches().apply(change).unwrap();
    }

    /// The new secrets told of so far.
    fn told(&self) -> Vec<Value> {
        let notices = self.emulator.notices(&self.seed.applications[0].client_id);
        let told = |text: &String| {
            let body: Value = serde_json::from_str(text).unwrap();
            assert_eq!(body["notificationType"], "APPLICATION_OAUTH_CLIENT_NEW_SECRET");
            body["payload"]["applicationOAuthClientNewSecret"].clone()
        };
        notices.iter().map(told).collect()
    }
}

fn error(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_grantless_token_is_for_its_scope_and_no_seller() {
    let world = World::new().await;
    let granted = world.grantless(world.secret(), SCOPE).await;
    assert_eq!(granted.status, 200);
    assert_eq!((&granted.body["scope"], &granted.body["token_type"]), (&SCOPE.into(), &"bearer".into()));
    assert!(granted.body.get("refresh_token").is_none());
    let token = granted.body["access_token"].as_str().unwrap();
    assert!(token.starts_with(&format!("{}|", "Atc")));
    let parameters = [("MarketplaceIds", US), crate::world::AFTER];
    assert_eq!(world.call(token, "/orders/v0/orders", &parameters).await.status, 403);

    assert_eq!(error(&world.grantless("wrong", SCOPE).await), (401, "invalid_client"));
    assert_eq!(error(&world.grantless(world.secret(), "sellingpartnerapi::other").await), (400, "invalid_scope"));
    assert_eq!(error(&world.grantless(world.secret(), "").await), (400, "invalid_request"));
}

#[tokio::test]
async fn rotation_asks_for_its_own_token_and_a_queue() {
    let world = World::new().await;
    let other = world.grantless(world.secret(), "sellingpartnerapi::notifications").await;
    for token in ["garbage", &world.token(1).await, other.body["access_token"].as_str().unwrap()] {
        assert_eq!(world.rotate(token).await.status(), 403, "{token}");
    }
    let granted = world.grantless(world.secret(), SCOPE).await;
    let token = granted.body["access_token"].as_str().unwrap();
    let refused = Answer::read(world.rotate(token).await).await;
    assert_eq!(refused.refusal(), (400, "InvalidInput", ""));
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("not enrolled"));
    assert!(world.told().is_empty());
}

#[tokio::test]
async fn both_secrets_work_until_the_old_one_dies() {
    let world = World::new().await;
    world.enroll(Rotation { old_seconds: 100, ..Rotation::default() });
    let granted = world.grantless(world.secret(), SCOPE).await;
    let answer = world.rotate(granted.body["access_token"].as_str().unwrap()).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-amzn-ratelimit-limit"].to_str().unwrap()),
        (204, "0.0167")
    );
    assert!(answer.bytes().await.unwrap().is_empty());
    let told = world.told();
    let new = told[0]["newClientSecret"].as_str().unwrap();
    assert_eq!(world.emulator.rotated_secrets()[0].expose(), new);
    for secret in [world.secret(), new] {
        assert_eq!(world.grantless(secret, SCOPE).await.status, 200);
    }
    assert_eq!(world.refresh(1).await.status, 200, "refresh tokens survive");
    world.emulator.switches().apply(Change { advance_seconds: 101, ..Change::default() }).unwrap();
    assert_eq!(error(&world.grantless(world.secret(), SCOPE).await), (401, "invalid_client"));
    assert_eq!(world.grantless(new, SCOPE).await.status, 200);

    // A second rotation, by hand.
    world.emulator.rotate(&world.seed.applications[0].client_id).await.unwrap();
    assert_eq!(world.told().len(), 2);
    let unknown = world.emulator.rotate("unknown").await;
    assert!(matches!(unknown, Err(openteam_amazon_emulator::RotateError::NotEnrolled(_))));
}

#[tokio::test]
async fn a_message_that_no_queue_takes_is_an_error() {
    let world = World::new().await;
    let client = world.seed.applications[0].client_id.clone();
    assert!(matches!(world.emulator.post(&client, "x").await, Err(PostError::NotEnrolled(_))));
    world.enroll(Rotation::default());
    assert!(matches!(world.emulator.post(&client, "x").await, Err(PostError::Queue(_))));
}
