//! A member of the samples' Team at the portal, as a browser without scripts: signs in by the code from the mailbox, connects
//! the emulated Amazon's other seller, issues a token, and uses it.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::{
    Certificate, Client, Method, Url,
    header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE},
    redirect::Policy,
};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    INSIDE, MEMBER, TEAM,
    browser::Ports,
    install::{Amazon, scratch, write_private},
};
use crate::check::show;

/// How long anything may take that somebody waits for.
const LIMIT: Duration = Duration::from_secs(60);
/// The new connection's name, for people.
const CALLED: &str = "Acme by the portal";

/// Does it all, within what a newcomer would give it.
pub(super) fn walk(ports: &Ports, amazon: &Amazon, authorities: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut browser = Browser::new(authorities, ports)?;
    let seller = amazon.other_seller()?.seller_id.clone();
    let issued = runtime.block_on(async {
        browser.sign_in(ports).await?;
        browser.join().await?;
        browser.connect(ports, &seller).await?;
        browser.issue().await
    })?;
    call(ports, authorities, &issued)
}

/// Cookies and a place.
struct Browser {
    client: Client,
    portal: Url,
    cookies: BTreeMap<String, String>,
}

/// What an address showed.
struct Page {
    url: Url,
    status: u16,
    text: String,
}

impl Page {
    /// The fields that a form of it sends along unseen.
    fn hidden(&self) -> Vec<(String, String)> {
        let tags = self.text.split("<input type=\"hidden\" ").skip(1);
        let value = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!("{name}=\""))?;
            let (value, _) = rest.split_once('"')?;
            Some(
                value
                    .replace("&quot;", "\"")
                    .replace("&#39;", "'")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&"),
            )
        };
        tags.filter_map(|tag| Some((value(tag, "name")?, value(tag, "value")?))).collect()
    }

    /// Demands a text of it.
    fn has(self, text: &str) -> anyhow::Result<Self> {
        if !self.text.contains(text) {
            bail!("{} ({}) does not say {text:?}: {}", self.url.path(), self.status, self.text);
        }
        Ok(self)
    }

    /// What stands between two texts, the first time.
    fn between(&self, before: &str, after: &str) -> anyhow::Result<&str> {
        let rest = self.text.split_once(before).map(|(_, rest)| rest);
        let found = rest.and_then(|rest| rest.split_once(after)).map(|(found, _)| found);
        found.with_context(|| format!("{} has nothing between {before:?} and {after:?}", self.url.path()))
    }
}

impl Browser {
    fn new(authorities: &str, ports: &Ports) -> anyhow::Result<Self> {
        let client = Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(authorities.as_bytes())?)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(LIMIT)
            .build()?;
        Ok(Self { client, portal: Url::parse(&ports.portal())?, cookies: BTreeMap::new() })
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        let url = self.portal.join(path)?;
        self.go(Method::GET, url, &[]).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Page> {
        let url = self.portal.join(path)?;
        self.go(Method::POST, url, form).await
    }

    /// Asks, and follows where it is sent.
    async fn go(&mut self, mut method: Method, mut url: Url, form: &[(&str, &str)]) -> anyhow::Result<Page> {
        for _ in 0..10 {
            let own = url.origin() == self.portal.origin();
            let mut request = self.client.request(method.clone(), url.clone());
            if own && !self.cookies.is_empty() {
                let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header(COOKIE, pairs.join("; "));
            }
            if method == Method::POST {
                request = request.header(ORIGIN, url.origin().ascii_serialization()).form(form);
            }
            let answer = request.send().await?;
            for cookie in answer.headers().get_all(SET_COOKIE).iter().filter(|_| own) {
                let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
                if let Some((name, value)) = pair.split_once('=') {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let Some(to) = answer.headers().get(LOCATION) else {
                return Ok(Page { url, status: answer.status().as_u16(), text: answer.text().await? });
            };
            url = url.join(to.to_str()?)?;
            method = Method::GET;
        }
        bail!("{url} sends on and on")
    }

    async fn sign_in(&mut self, ports: &Ports) -> anyhow::Result<()> {
        let before = mails(ports).await?.len();
        self.post("/sign-in", &[("email", MEMBER)]).await?.has("a code is on its way")?;
        show(&format!("{MEMBER} asks for a code at {}/sign-in", ports.portal()));
        let started = Instant::now();
        let mail = loop {
            let mut all = mails(ports).await?;
            if all.len() > before {
                break all.pop().unwrap_or_default();
            }
            if started.elapsed() > LIMIT {
                bail!("no code came");
            }
            sleep(Duration::from_millis(100)).await;
        };
        let code = mail.lines().find_map(|line| {
            let word = line.strip_prefix("    ")?.trim();
            let is_code = word.len() >= 8 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            is_code.then_some(word)
        });
        let code = code.context("the mail has no code")?;
        show(&format!("the mailbox at {} has it", ports.mailbox()));
        let page = self.post("/sign-in/code", &[("code", code)]).await?;
        if page.url.path().starts_with("/sign-in") {
            bail!("the code was not taken: {}", page.text);
        }
        Ok(())
    }

    /// Accepts the membership, unless an earlier demo did.
    async fn join(&mut self) -> anyhow::Result<()> {
        self.post(&format!("/teams/{TEAM}/{TEAM}/accept"), &[]).await?;
        self.get("/").await?.has("Connections")?;
        Ok(())
    }

    async fn connect(&mut self, ports: &Ports, seller: &str) -> anyhow::Result<()> {
        let team = format!("/teams/{TEAM}/{TEAM}");
        let page = self.get(&format!("{team}/connections/new")).await?;
        let application = page.between("name=\"application\" value=\"", "\"")?.to_owned();
        let form = [
            ("name", CALLED),
            ("application", application.as_str()),
            ("region", "NA"),
            ("marketplaces.NA", INSIDE),
            ("how", "consent"),
        ];
        let page = self.post(&format!("{team}/connections"), &form).await?;
        if page.url.origin() != Url::parse(&ports.amazon())?.origin() {
            bail!("one is not sent to Amazon: {}", page.text);
        }
        show("the portal sends her to Amazon's consent page; the seller says yes");
        let page = self.consent(&page, seller).await?;
        let connection = page.url.path().to_owned();
        if !connection.starts_with(&format!("{team}/connections/")) {
            bail!("back from Amazon: {}", page.text);
        }
        let started = Instant::now();
        while !self.get(&connection).await?.text.contains("Amazon accepts it.") {
            if started.elapsed() > LIMIT {
                bail!("{connection} is not Ready: {}", self.get(&connection).await?.text);
            }
            sleep(Duration::from_millis(300)).await;
        }
        show(&format!("{connection} is Ready"));
        Ok(())
    }

    /// Amazon's page: a seller says yes.
    async fn consent(&mut self, page: &Page, seller: &str) -> anyhow::Result<Page> {
        let mut form = page.hidden();
        for (name, value) in [("seller", seller), ("user", "primary"), ("decision", "authorize")] {
            form.push((name.to_owned(), value.to_owned()));
        }
        let to = page.url.join(page.between("<form method=\"post\" action=\"", "\"")?)?;
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.go(Method::POST, to, &form).await
    }

    async fn issue(&mut self) -> anyhow::Result<Issued> {
        let team = format!("/teams/{TEAM}/{TEAM}");
        let page = self.get(&team).await?;
        let link = format!("href=\"{team}/connections/");
        // The one of the samples is there too.
        let mut names = page.text.split(&link).skip(1).filter_map(|rest| rest.split('"').next());
        let name = names.find(|name| *name != "new" && *name != super::CONNECTION).context("it is not listed")?;
        let (connection, token_name) = (name.to_owned(), format!("by-portal-{}", jiff::Timestamp::now().as_second()));
        let marketplaces = format!("marketplaces.{connection}");
        let form = [
            ("name", token_name.as_str()),
            ("connection", connection.as_str()),
            (marketplaces.as_str(), INSIDE),
            ("operations", "read"),
            ("lifetime", "1h"),
        ];
        let page = self.post(&format!("{team}/tokens"), &form).await?.has("is ready")?;
        let text = page.between("<textarea id=\"token\"", "</textarea>")?;
        let token = text.split_once('>').context("the page has no token")?.1.trim().to_owned();
        show(&format!("token {token_name} is shown once"));
        Ok(Issued { token, connection })
    }
}

struct Issued {
    token: String,
    connection: String,
}

/// What the page says to paste: curl, with the gateway's address as people of this machine are told it.
fn call(ports: &Ports, authorities: &str, issued: &Issued) -> anyhow::Result<()> {
    let directory = scratch()?.join("portal");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("ca.crt"), authorities)?;
    write_private(&directory.join("header"), &format!("Authorization: Bearer {}", issued.token))?;
    let query = format!("marketplaceIds={INSIDE}&createdAfter=2020-01-01T00:00:00Z");
    let url = format!("{}/orders/2026-01-01/orders?{query}", ports.gateway());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body", "--cacert", "ca.crt", "--header", "@header"])
        .args(["--header", &format!("OpenTeam-Connection: {}", issued.connection), &url])
        .current_dir(&directory)
        .output()
        .context("curl")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let orders: Value = serde_json::from_str(&said).unwrap_or_default();
    let count = orders["orders"].as_array().map_or(0, Vec::len);
    if !output.status.success() || count == 0 {
        bail!("curl: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    show(&format!("$ curl --cacert ca.crt -H 'Authorization: Bearer …' '{url}'\n{count} orders"));
    Ok(())
}

/// The texts of the member's mail, oldest first.
async fn mails(ports: &Ports) -> anyhow::Result<Vec<String>> {
    let url = format!("{}/mails?to={MEMBER}", ports.mailbox());
    let all: Vec<Value> = reqwest::get(url).await?.error_for_status()?.json().await?;
    Ok(all.into_iter().map(|mail| mail["text"].as_str().unwrap_or_default().to_owned()).collect())
}
