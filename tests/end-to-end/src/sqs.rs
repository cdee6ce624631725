//! Amazon SQS and S3, as moto serves them.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
};

use cluster::{clients::Library, free_port, spawn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{House, eventually};

/// Where moto's queues are, if anybody asks.
const QUEUES: &str = "https://sqs.us-east-1.amazonaws.com/123456789012";

/// A process of moto's.
pub(crate) struct Sqs {
    child: Child,
    endpoint: String,
    client: reqwest::Client,
}

impl Drop for Sqs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sqs {
    pub(crate) fn start(dir: &Path, (certificate, key): &(String, String), authority: &str) -> Self {
        let [certificate, key] = [("sqs.crt", certificate), ("sqs.key", key)].map(|(name, text)| {
            let file = dir.join(name);
            fs::write(&file, text).unwrap();
            file
        });
        let port = free_port().unwrap();
        let mut command = Library::Moto.program("serve").unwrap();
        command.env("HOME", dir).arg(format!("--port={port}"));
        command.arg("--ssl-cert").arg(certificate).arg("--ssl-key").arg(key);
        // Not where the roles' logs are: it is not ours, and knows what is in the queues.
        let log = File::create(dir.join("sqs.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = spawn(command).unwrap();
        let ca = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        Self { child, endpoint: format!("https://localhost:{port}"), client }
    }

    async fn ask(&self, action: &str, body: &Value) -> Option<Value> {
        let scope = "Credential=test/20260101/us-east-1/sqs/aws4_request";
        let asked = self
            .client
            .post(&self.endpoint)
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .body(body.to_string());
        let answer = asked.send().await.ok()?.error_for_status().ok()?;
        let text = answer.text().await.ok()?;
        Some(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// Until when a version is locked, whoever asks (Amazon S3 API reference, PutObjectRetention).
const RETENTION: &str =
    "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";

impl Sqs {
    /// Asks S3 about `path`.
    async fn bucket(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Vec<u8>> {
        let scope = "Credential=test/20260101/us-east-1/s3/aws4_request";
        let mut asked = self
            .client
            .request(method, format!("{}/{path}", self.endpoint))
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .body(body.to_vec());
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let answer = asked.send().await.ok()?.error_for_status().ok()?;
        Some(answer.bytes().await.ok()?.to_vec())
    }
}

impl House {
    /// Makes a bucket; the environment by which AWS' own chain finds it.
    #[must_use]
    pub fn create_bucket(&self, name: &str) -> Vec<(&'static str, String)> {
        self.make_bucket(name, &[])
    }

    /// Makes one that keeps versions and can lock them.
    #[must_use]
    pub fn create_locking_bucket(&self, name: &str) -> Vec<(&'static str, String)> {
        self.make_bucket(name, &[("x-amz-bucket-object-lock-enabled", "true")])
    }

    /// Locks all versions of a key. A bucket can do so by itself; moto's then wants a header that SDKs send and S3 does not ask for.
    pub fn lock_in(&self, bucket: &str, key: &str) {
        for version in self.versions_in(bucket, key) {
            let path = format!("{bucket}/{key}?retention&versionId={version}");
            self.block_on(self.sqs().bucket(Method::PUT, &path, &[], RETENTION.as_bytes()))
                .expect("S3 locks a version");
        }
    }

    fn make_bucket(&self, name: &str, headers: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let sqs = self.sqs();
        eventually("S3 makes a bucket", || self.block_on(sqs.bucket(Method::PUT, name, headers, b"")));
        let authority = self.state_dir().join("s3.pem");
        fs::write(&authority, self.amazon().authority()).unwrap();
        vec![
            ("AWS_ENDPOINT_URL", sqs.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("SSL_CERT_FILE", authority.display().to_string()),
        ]
    }

    /// What a bucket has under a key.
    #[must_use]
    pub fn object_in(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.block_on(self.sqs().bucket(Method::GET, &format!("{bucket}/{key}"), &[], b""))
    }

    /// Puts something into a bucket, over what is there.
    pub fn put_into(&self, bucket: &str, key: &str, content: &[u8]) {
        self.block_on(self.sqs().bucket(Method::PUT, &format!("{bucket}/{key}"), &[], content)).unwrap();
    }

    /// Deletes from a bucket what is under a key, `?versionId=` and a version's id behind it for that version; whether S3 did so.
    pub fn delete_from(&self, bucket: &str, key: &str) -> bool {
        self.block_on(self.sqs().bucket(Method::DELETE, &format!("{bucket}/{key}"), &[], b"")).is_some()
    }

    /// The ids of the versions that a bucket has of a key, newest first.
    #[must_use]
    pub fn versions_in(&self, bucket: &str, key: &str) -> Vec<String> {
        let path = format!("{bucket}?versions&prefix={key}");
        let listed = self.block_on(self.sqs().bucket(Method::GET, &path, &[], b"")).unwrap();
        let listed = String::from_utf8(listed).unwrap();
        let ids = listed.split("<VersionId>").skip(1).filter_map(|rest| rest.split('<').next());
        ids.map(str::to_owned).collect()
    }

    /// Where SQS is.
    #[must_use]
    pub fn sqs_endpoint(&self) -> String {
        self.sqs().endpoint.clone()
    }

    /// A new queue's URL.
    #[must_use]
    pub fn create_queue(&self, name: &str) -> String {
        let sqs = self.sqs();
        eventually("SQS makes a queue", || self.block_on(sqs.ask("CreateQueue", &json!({ "QueueName": name }))));
        format!("{QUEUES}/{name}")
    }

    /// How many messages are in a queue, seen or hidden.
    #[must_use]
    pub fn messages_in(&self, queue: &str) -> u64 {
        let attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let body = json!({ "QueueUrl": queue, "AttributeNames": attributes });
        let told = self.block_on(self.sqs().ask("GetQueueAttributes", &body)).unwrap();
        let count = |name: &&str| told["Attributes"][*name].as_str().unwrap().parse::<u64>().unwrap();
        attributes.iter().map(count).sum()
    }

    /// Puts a message into a queue.
    pub fn send_to_queue(&self, queue: &str, body: &str) {
        let message = json!({ "QueueUrl": queue, "MessageBody": body });
        self.block_on(self.sqs().ask("SendMessage", &message)).unwrap();
    }
}
