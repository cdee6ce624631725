//! A real Prometheus that scrapes the house.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Child,
};

use cluster::{free_port, packages::unpacked, spawn, tethered};
use serde_json::{Value, json};

use crate::{House, eventually};

/// Prometheus over the roles of the house, on loopback; ends when dropped.
pub struct Prometheus<'h> {
    house: &'h House,
    child: Child,
    port: u16,
}

impl House {
    /// Starts a Prometheus that scrapes every role each second, as a PodMonitor would have it.
    #[must_use]
    pub fn prometheus(&self) -> Prometheus<'_> {
        let program = unpacked("prometheus", "prometheus").unwrap();
        let dir = self.state_dir().join("prometheus");
        fs::create_dir_all(&dir).unwrap();
        let targets: Vec<Value> = self
            .scraped()
            .into_iter()
            .map(|(pod, port)| {
                let labels = json!({ "namespace": crate::NAMESPACE, "pod": pod, "instance": pod });
                json!({ "targets": [format!("127.0.0.1:{port}")], "labels": labels })
            })
            .collect();
        // JSON is YAML.
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": [{ "job_name": "openteam", "static_configs": targets }],
        });
        let file = dir.join("prometheus.yml");
        fs::write(&file, config.to_string()).unwrap();
        let port = free_port().unwrap();
        let log = File::create(dir.join("log")).unwrap();
        let mut command = tethered(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let prometheus = Prometheus { house: self, child: spawn(command).unwrap(), port };
        eventually("Prometheus is ready", || {
            crate::raw::plain_get(port, "/-/ready").filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        prometheus
    }
}

impl Prometheus<'_> {
    /// The samples that an expression has now: labels and value.
    ///
    /// # Errors
    /// What Prometheus says of an expression that is none.
    pub fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>, String> {
        let mut url: reqwest::Url = format!("http://127.0.0.1:{}/api/v1/query", self.port).parse().unwrap();
        url.query_pairs_mut().append_pair("query", expression);
        let answer: Value = self.house.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(url).send().await.unwrap().json().await.unwrap()
        });
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let data = &answer["data"];
        let value = |sample: &Value| sample[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        Ok(match data["resultType"].as_str() {
            Some("vector") => {
                let samples = data["result"].as_array().unwrap();
                samples.iter().map(|one| (one["metric"].clone(), value(&one["value"]))).collect()
            }
            _ => vec![(Value::Null, value(&data["result"]))],
        })
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where manifests and documents of the repository are.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
