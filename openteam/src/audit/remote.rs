//! A recorder's API for readers.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use audit::wire::{
    Refused,
    records::{Asked, MOST_RECORDS, RECORDS_PATH, Rest},
};
use clap::Args;
use recorder::query::Query;
use reqwest::{Certificate, Client};
use url::Url;

use super::read;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Where a recorder is, and who asks.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Ask the API of a recorder: `https://openteam-recorder.openteam-system.svc:8444`. Of several recorders each has its own
    /// records: `https://openteam-recorder-1.openteam-recorder-peers.openteam-system.svc:8444`
    #[arg(long, requires = "token_file", requires = "ca")]
    url: Option<Url>,

    /// Connect to this address instead of the one of --url, whose name the certificate has: where kubectl port-forward listens
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    connect: Option<SocketAddr>,

    /// File with a ServiceAccount token for the audience openteam-recorder
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,

    /// File with the authority of the recorder's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn is_meant(&self) -> bool {
        self.url.is_some()
    }

    fn client(&self, url: &Url) -> anyhow::Result<Client> {
        let authority = read(self.ca.as_deref().context("--ca is missing")?)?;
        let authority = Certificate::from_pem_bundle(authority.as_bytes()).context("--ca holds no certificate")?;
        let mut builder = Client::builder()
            .tls_certs_only(authority)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT);
        if let (Some(address), Some(host)) = (self.connect, url.host_str()) {
            builder = builder.resolve(host, address);
        }
        builder.build().context("no TLS with --ca")
    }
}

/// The lines of the records that are wanted, oldest first.
pub(crate) async fn ask(at: &Arguments, query: &Query, limit: Option<usize>) -> anyhow::Result<Vec<String>> {
    let mut url = at.url.clone().context("--url is missing")?;
    if let Some(address) = at.connect {
        // The client takes the port of the URL, whatever address its name is resolved to.
        url.set_port(Some(address.port())).map_err(|()| anyhow!("--url has no host"))?;
    }
    let client = at.client(&url)?;
    let token = zeroize::Zeroizing::new(read(at.token_file.as_deref().context("--token-file is missing")?)?);
    let limit = limit.unwrap_or(MOST_RECORDS);
    let mut asked = asked(query)?;
    let mut lines = Vec::new();
    while lines.len() < limit {
        asked.limit = Some((limit - lines.len()).min(MOST_RECORDS));
        let mut url = url.join(RECORDS_PATH).context("--url is no address of a recorder")?;
        url.query_pairs_mut().clear().extend_pairs(pairs(&asked)?);
        let answer = client.get(url).bearer_auth(token.trim()).send().await.context("the recorder cannot be asked")?;
        let status = answer.status();
        let text = answer.text().await.context("the recorder's answer was cut off")?;
        if !status.is_success() {
            let said = serde_json::from_str::<Refused>(&text).map_or_else(|_| status.to_string(), |it| it.error);
            bail!("the recorder says: {said}");
        }
        let (records, rest) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        let rest: Rest = serde_json::from_str(rest).context("the recorder's answer was cut off")?;
        lines.extend(records.lines().map(str::to_owned));
        let Some(next) = rest.rest.next else { break };
        asked.before = Some(next);
    }
    lines.reverse();
    Ok(lines)
}

fn asked(query: &Query) -> anyhow::Result<Asked> {
    let objects = [&query.team, &query.connection].into_iter().flatten().map(|object| &object.namespace);
    let mut namespaces: Vec<_> = objects.chain(&query.namespace).collect();
    namespaces.dedup();
    if namespaces.len() > 1 {
        bail!("--namespace, --team and --connection name several namespaces; nothing is of more than one");
    }
    let outcomes: Vec<String> = query.outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
    Ok(Asked {
        namespace: namespaces.first().map(ToString::to_string),
        team: query.team.as_ref().map(|team| team.name.to_string()),
        connection: query.connection.as_ref().map(|connection| connection.name.to_string()),
        actor: query.actor.clone(),
        class: query.class.map(audit::Class::uid),
        outcome: Some(outcomes.join(",")).filter(|text| !text.is_empty()),
        text: query.text.clone(),
        since: query.since,
        until: query.until,
        before: None,
        limit: None,
    })
}

/// A question as the parameters of an address.
fn pairs(asked: &Asked) -> anyhow::Result<Vec<(String, String)>> {
    let serde_json::Value::Object(members) = serde_json::to_value(asked)? else { bail!("no question") };
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(members.into_iter().map(|(name, value)| (name, text(value))).collect())
}
