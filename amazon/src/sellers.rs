//! The Sellers API: where a seller takes part, which is also the proof that a token works.

use std::time::SystemTime;

use reqwest::header::{ACCEPT, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;

use crate::http::{self, Limits};
use crate::{ClientError, Endpoint, MarketplaceId, RetryCause, amz_date};

const PARTICIPATIONS: &str = "/sellers/v1/marketplaceParticipations";
/// A seller takes part in at most some tens of marketplaces, of a few hundred bytes each.
const ANSWER_LIMIT_BYTES: usize = 256 * 1024;

/// One marketplace a seller has, or once had, to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    /// Its id; not always one of [`crate::MARKETPLACES`].
    pub marketplace_id: MarketplaceId,
    /// Two letters, as ISO 3166-1 has them (`GB`).
    pub country_code: String,
    /// The seller sells there now.
    pub is_participating: bool,
    /// Amazon has suspended listings of the seller there.
    pub has_suspended_listings: bool,
    /// The seller's store name there.
    pub store_name: Option<String>,
}

/// Calls the Sellers API. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct SellersClient {
    http: reqwest::Client,
}

/// Why the Selling Partner API gave no answer to use. None holds anything secret, nor Amazon's own words.
#[derive(Debug, Clone, Error)]
pub enum SpApiError {
    /// It refuses this token.
    #[error("the selling partner api refused the call: {0}")]
    Unauthorized(Unauthorized),
    /// Its quota is used up: 429.
    #[error("the selling partner api's quota for this call is used up")]
    Throttled,
    /// It refuses for another reason; the status.
    #[error("the selling partner api refused the call with status {0}")]
    Refused(u16),
    /// It could not be asked, or could not answer, or its answer is nonsense.
    #[error("the selling partner api could not be asked")]
    Retry(#[source] RetryCause),
}

/// What a 403 means. They all carry the code `Unauthorized`; only the text of `details` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unauthorized {
    /// `details` is empty: a role the application lacks, or a path that does not exist.
    #[error("the application lacks a role for it")]
    Role,
    /// The access token has expired.
    #[error("the access token has expired")]
    Expired,
    /// The access token is revoked, malformed or invalid.
    #[error("the access token is revoked or invalid")]
    Invalid,
    /// The application's secret, which the access token was got with, has expired.
    #[error("the application's secret has expired")]
    SecretExpired,
    /// Something else, or no readable reason.
    #[error("no reason it gives is known")]
    Other,
}

impl Unauthorized {
    /// What the body of a 403 says.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            errors: Vec<Reason>,
        }
        #[derive(Deserialize)]
        struct Reason {
            code: String,
            details: Option<String>,
        }
        let reason = serde_json::from_slice::<Answer>(body)
            .ok()
            .and_then(|answer| answer.errors.into_iter().next())
            .filter(|reason| reason.code == "Unauthorized");
        let Some(reason) = reason else {
            return Self::Other;
        };
        let details = reason.details.unwrap_or_default().to_ascii_lowercase();
        if details.is_empty() {
            Self::Role
        } else if details.contains("secret") && details.contains("expired") {
            Self::SecretExpired
        } else if details.contains("access token") && details.contains("expired") {
            Self::Expired
        } else if details.contains("access token") && details.contains("revoked") {
            Self::Invalid
        } else {
            Self::Other
        }
    }
}

impl SellersClient {
    /// A client that trusts the system's authorities, or with a `ca_bundle` (PEM) that bundle alone.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when the bundle is not usable or TLS cannot be set up.
    pub fn new(ca_bundle: Option<&[u8]>) -> Result<Self, ClientError> {
        Self::with_limits(ca_bundle, Limits::default())
    }

    pub(crate) fn with_limits(ca_bundle: Option<&[u8]>, limits: Limits) -> Result<Self, ClientError> {
        let http = http::client(ca_bundle, limits)?;
        Ok(Self { http })
    }

    /// Where the seller takes part, for all marketplaces of the endpoint's region. Amazon allows about one call a minute per
    /// seller, with a burst of 15.
    ///
    /// # Errors
    ///
    /// [`SpApiError`]. An answer of which a single row cannot be read is nonsense as a whole: what a seller takes part in
    /// decides what a scope covers, so a row must not get lost.
    pub async fn participations(
        &self,
        endpoint: &Endpoint,
        token: &SecretString,
    ) -> Result<Vec<Participation>, SpApiError> {
        let mut token = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| SpApiError::Unauthorized(Unauthorized::Invalid))?;
        token.set_sensitive(true);
        let answer = self
            .http
            .get(endpoint.below(PARTICIPATIONS))
            .header("x-amz-access-token", token)
            .header("x-amz-date", amz_date(SystemTime::now()))
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| SpApiError::Retry(error.into()))?;
        let status = answer.status().as_u16();
        let body = http::body(answer, ANSWER_LIMIT_BYTES).await.map_err(SpApiError::Retry)?;
        match status {
            200 => read_participations(&body).map_err(|why| SpApiError::Retry(RetryCause::Nonsense(why))),
            401 | 403 => Err(SpApiError::Unauthorized(Unauthorized::of(&body))),
            429 => Err(SpApiError::Throttled),
            400..=499 => Err(SpApiError::Refused(status)),
            500..=599 => Err(SpApiError::Retry(RetryCause::Server(status))),
            _ => Err(SpApiError::Retry(RetryCause::Nonsense("its status"))),
        }
    }
}

fn read_participations(body: &[u8]) -> Result<Vec<Participation>, &'static str> {
    #[derive(Deserialize)]
    struct Answer {
        payload: Vec<Row>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        marketplace: Marketplace,
        participation: Flags,
        store_name: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marketplace {
        id: MarketplaceId,
        country_code: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Flags {
        is_participating: bool,
        has_suspended_listings: bool,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "it is not a list of participations")?;
    answer
        .payload
        .into_iter()
        .map(|row| {
            let country = &row.marketplace.country_code;
            if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
                return Err("a country code in it");
            }
            Ok(Participation {
                marketplace_id: row.marketplace.id,
                country_code: row.marketplace.country_code,
                is_participating: row.participation.is_participating,
                has_suspended_listings: row.participation.has_suspended_listings,
                store_name: row.store_name,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Answer, Server};

    fn token() -> SecretString {
        SecretString::from(format!("Atza{}not-a-real-token", '|'))
    }

    async fn ask(server: &Server) -> Result<Vec<Participation>, SpApiError> {
        let client = SellersClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        client.participations(&server.endpoint(), &token()).await
    }

    async fn refusal(status: u16, body: &str) -> SpApiError {
        let server = Server::start(Answer::json(status, body)).await;
        let error = ask(&server).await.unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(!text.contains("not-a-real") && !text.contains("marker"), "{text}");
        error
    }

    fn row(id: &str, country: &str) -> String {
        format!(
            r#"{{"marketplace":{{"id":"{id}","name":"n","countryCode":"{country}","defaultCurrencyCode":"USD","defaultLanguageCode":"en_US","domainName":"d"}},"participation":{{"isParticipating":true,"hasSuspendedListings":false}},"storeName":"BestSellerStore"}}"#
        )
    }

    fn list(rows: &[String]) -> String {
        format!("{{\"payload\":[{}]}}", rows.join(","))
    }

    #[tokio::test]
    async fn participations_are_read_and_the_token_is_sent() {
        let rows = [row("ATVPDKIKX0DER", "US"), row("A38D8NSA03LJTC", "DE")];
        let server = Server::start(Answer::json(200, &list(&rows))).await;
        let got = ask(&server).await.unwrap();
        let us = Participation {
            marketplace_id: "ATVPDKIKX0DER".parse().unwrap(),
            country_code: "US".to_owned(),
            is_participating: true,
            has_suspended_listings: false,
            store_name: Some("BestSellerStore".to_owned()),
        };
        assert_eq!(got[0], us);
        assert_eq!(got.len(), 2);

        let request = server.request();
        let line = "GET /sellers/v1/marketplaceParticipations HTTP/1.1\r\n";
        assert!(request.starts_with(line), "{request}");
        assert!(request.contains(&format!("x-amz-access-token: {}\r\n", token().expose_secret())));
        assert!(request.contains("\r\nx-amz-date: 20"));
        assert!(request.contains("\r\nuser-agent: OpenTeam/"));
        assert!(!request.to_ascii_lowercase().contains("authorization:"));
    }

    #[tokio::test]
    async fn a_seller_without_marketplaces_has_none() {
        let server = Server::start(Answer::json(200, &list(&[]))).await;
        assert_eq!(ask(&server).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_refusal_is_told_by_its_details() {
        for (details, expected) in [
            (r#""The access token you provided has expired.""#, Unauthorized::Expired),
            (r#""The access token you provided is revoked, malformed or invalid.""#, Unauthorized::Invalid),
            (r#""The LWA secret token you provided has expired.""#, Unauthorized::SecretExpired),
            (r#""""#, Unauthorized::Role),
            ("null", Unauthorized::Role),
            (r#""marker""#, Unauthorized::Other),
            (r#""Access token is missing in the request header.""#, Unauthorized::Other),
        ] {
            let body = format!(
                r#"{{"errors":[{{"code":"Unauthorized","message":"Access to requested resource is denied.","details":{details}}}]}}"#
            );
            let error = refusal(403, &body).await;
            assert!(matches!(error, SpApiError::Unauthorized(got) if got == expected), "{error:?}");
        }
        for body in ["", "<html>marker</html>", "{\"errors\":[]}", "{\"message\":\"marker\"}"] {
            let error = refusal(403, body).await;
            assert!(matches!(error, SpApiError::Unauthorized(Unauthorized::Other)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn other_statuses_are_told_apart() {
        let quota = r#"{"errors":[{"code":"QuotaExceeded","message":"marker","details":""}]}"#;
        assert!(matches!(refusal(429, quota).await, SpApiError::Throttled));
        assert!(matches!(refusal(400, quota).await, SpApiError::Refused(400)));
        assert!(matches!(refusal(404, "").await, SpApiError::Refused(404)));
        for status in [500, 503] {
            let error = refusal(status, "marker").await;
            assert!(matches!(&error, SpApiError::Retry(RetryCause::Server(s)) if *s == status));
        }
    }

    #[tokio::test]
    async fn an_answer_with_one_unreadable_row_is_nonsense() {
        let good = row("ATVPDKIKX0DER", "US");
        for body in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            "{\"payload\":null}".to_owned(),
            list(&[good.clone(), "{}".to_owned()]),
            list(&[good.clone(), row("us", "US")]),
            list(&[good.clone(), row("", "US")]),
            list(&[good.clone(), row("ATVPDKIKX0DER", "marker")]),
            list(&[good.replace("true", "\"true\"")]),
            list(&[good.replace("hasSuspendedListings", "other")]),
            format!("{{\"payload\":[],\"pad\":\"{}\"}}", "m".repeat(300_000)),
        ] {
            let error = refusal(200, &body).await;
            assert!(matches!(&error, SpApiError::Retry(RetryCause::Nonsense(_))), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_token_that_fits_no_header_is_not_sent() {
        let server = Server::start(Answer::json(200, &list(&[]))).await;
        let client = SellersClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        let token = SecretString::from("a\r\nx: y");
        let error = client.participations(&server.endpoint(), &token).await.unwrap_err();
        assert!(matches!(error, SpApiError::Unauthorized(Unauthorized::Invalid)));
        assert_eq!(server.requests(), 0);
    }
}
