//! AdmissionReview, `admission.k8s.io/v1` (Kubernetes, "Dynamic Admission Control"): the part that is used, and no `Debug`,
//! since objects and users are nothing for logs. kube's own types would bring JSON patches along.

use serde::{Deserialize, Serialize};
use serde_json::Value;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What the apiserver asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// The request that is under review.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    /// Repeated in the answer.
    pub(crate) uid: String,
    pub(crate) kind: Kind,
    pub(crate) operation: Operation,
    pub(crate) user_info: User,
    /// Null for a deletion.
    #[serde(default)]
    pub(crate) object: Value,
    /// Null for a creation.
    #[serde(default)]
    pub(crate) old_object: Value,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

#[derive(Deserialize)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) kind: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

#[derive(Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) username: String,
}

/// What was sent is no review of ours. Tells nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAReview {
    #[error("body is no AdmissionReview")]
    Shape,
    #[error("only AdmissionReviews of admission.k8s.io/v1 are answered")]
    Version,
    #[error("only objects of openteam.dev are reviewed")]
    Group,
}

/// Longest `uid` that is repeated; the apiserver's are UUIDs.
const LONGEST_UID: usize = 64;

impl Request {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, NotAReview> {
        let review: Review = serde_json::from_slice(body).map_err(|_| NotAReview::Shape)?;
        if review.api_version != API_VERSION || review.kind != KIND {
            return Err(NotAReview::Version);
        }
        let request = review.request.filter(|request| request.uid.len() <= LONGEST_UID).ok_or(NotAReview::Shape)?;
        if request.kind.group != crds::GROUP {
            return Err(NotAReview::Group);
        }
        Ok(request)
    }
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Why not; allowed without one.
    pub(crate) refusal: Option<Refusal>,
    /// Shown to who asked, one a line.
    pub(crate) warnings: Vec<String>,
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The object is wrong.
    Invalid(String),
    /// It would be all right, but not now.
    Unavailable(String),
}

/// Longest text of one warning and of a refusal, in bytes; the apiserver cuts warnings at 4096 together.
const LONGEST_WARNING: usize = 400;
const LONGEST_REFUSAL: usize = 4096;
/// Most warnings of one answer.
const MOST_WARNINGS: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Serialize)]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Verdict {
    /// The verdict as the apiserver wants it.
    pub(crate) fn answer(self, uid: String) -> Answer {
        let status = self.refusal.map(|refusal| match refusal {
            Refusal::Invalid(message) => {
                Status { code: 422, reason: "Invalid", message: cut(message, LONGEST_REFUSAL) }
            }
            Refusal::Unavailable(message) => {
                Status { code: 503, reason: "ServiceUnavailable", message: cut(message, LONGEST_REFUSAL) }
            }
        });
        let warnings = self.warnings.into_iter().take(MOST_WARNINGS).map(|text| cut(text, LONGEST_WARNING)).collect();
        let response = Response { uid, allowed: status.is_none(), status, warnings };
        Answer { api_version: API_VERSION, kind: KIND, response }
    }
}

/// In one line, and not longer than `most` bytes.
fn cut(text: String, most: usize) -> String {
    let mut text = text.replace(char::is_control, " ");
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "kind": { "group": "openteam.dev", "version": "v1alpha1", "kind": "Team" },
                "operation": "CREATE", "namespace": "acme", "userInfo": { "username": "ann" },
                "object": {}, "oldObject": null, "dryRun": true,
            },
        })
    }

    fn read(review: &Value) -> Result<Request, NotAReview> {
        Request::read(review.to_string().as_bytes())
    }

    #[test]
    fn a_review_is_read_and_its_answer_repeats_its_uid() {
        let request = read(&review()).unwrap_or_else(|error| panic!("{error}"));
        assert!(request.dry_run && request.old_object.is_null() && request.operation == Operation::Create);
        assert_eq!(
            serde_json::to_value(Verdict::default().answer(request.uid)).unwrap(),
            json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": { "uid": "1", "allowed": true },
            })
        );
        let refusal = Some(Refusal::Invalid("spec:\nno".to_owned()));
        let refused = Verdict { refusal, warnings: vec!["é".repeat(400)] }.answer("2".to_owned());
        let refused = serde_json::to_value(refused).unwrap();
        assert_eq!(refused["response"]["allowed"], false);
        assert_eq!(refused["response"]["status"], json!({ "code": 422, "reason": "Invalid", "message": "spec: no" }));
        let warning = refused["response"]["warnings"][0].as_str().unwrap();
        assert!(warning.len() <= LONGEST_WARNING && warning.ends_with("é…"), "{warning}");
    }

    #[test]
    fn whatever_else_is_sent_is_no_review() {
        let changed = |pointer: &str, value: Value| {
            let mut review = review();
            *review.pointer_mut(pointer).unwrap() = value;
            review
        };
        for (sent, error) in [
            (json!(null), NotAReview::Shape),
            (json!([]), NotAReview::Shape),
            (changed("/request", json!(null)), NotAReview::Shape),
            (changed("/request/uid", json!("1".repeat(65))), NotAReview::Shape),
            (changed("/request/uid", json!(1)), NotAReview::Shape),
            (changed("/request/operation", json!("PATCH")), NotAReview::Shape),
            (changed("/request/userInfo", json!(null)), NotAReview::Shape),
            (changed("/apiVersion", json!("admission.k8s.io/v1beta1")), NotAReview::Version),
            (changed("/kind", json!("Review")), NotAReview::Version),
            (changed("/request/kind/group", json!("apps")), NotAReview::Group),
        ] {
            assert_eq!(read(&sent).err(), Some(error), "{sent}");
        }
        for body in [&b""[..], b"{", b"\xff\xfe", b"[[[[[[[["] {
            assert_eq!(Request::read(body).err(), Some(NotAReview::Shape));
        }
    }
}
