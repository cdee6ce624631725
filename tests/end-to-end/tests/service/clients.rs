//! SP-API clients that know nothing of OpenTeam, through the very lines that `docs/clients.md` gives to users.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use cluster::{clients::Library, spawn};
use crds::{AgentGrant, Role, Scope};
use jiff::Timestamp;
use openteam_end_to_end::{CA, House, MX, Tenant, US, eventually, house};
use serde_json::{Value, json};

/// An agent's one process, which does what it is asked for.
struct Agent {
    directory: PathBuf,
    child: Child,
    asked: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts it with what its pod would have mounted, but for the token. The gateway's port is on this machine, as
    /// `kubectl port-forward` would put it there.
    fn start(house: &House, library: Library) -> Self {
        let gateway = house.gateway(0);
        let directory = house.state_dir().join("house/agents").join(library.name());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("url"), format!("https://localhost:{}\n", gateway.port)).unwrap();
        fs::write(directory.join("ca.crt"), gateway.ca()).unwrap();
        let mut command = library.program("talk").unwrap();
        command.env("HOME", &directory).env("OPENTEAM", &directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(directory.join("stderr.log")).unwrap());
        let mut child = spawn(command).unwrap();
        let (asked, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { directory, child, asked, said }
    }

    /// Puts another token in place of the one that is mounted, as the kubelet does.
    fn mount(&self, token: &str) {
        let draft = self.directory.join("token.new");
        fs::write(&draft, token).unwrap();
        fs::rename(draft, self.directory.join("token")).unwrap();
    }

    fn ask(&mut self, call: &str, connection: &str, marketplace: &str) -> Value {
        writeln!(self.asked, "{call} {connection} {marketplace}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert!(!line.contains("Atza|") && !line.contains("Atzr|"), "{line}");
        let answer = serde_json::from_str(&line);
        let complaints = || fs::read_to_string(self.directory.join("stderr.log")).unwrap();
        assert!(answer.is_ok(), "{call}: {line:?}\n{}", complaints());
        answer.unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself, with an error that the test told of.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A namespace whose agent may use two connections, each of a seller of its own.
struct Shop<'h> {
    house: &'h House,
    tenant: Tenant<'h>,
    /// Name, with namespace, and the seller's number.
    connections: [(String, usize); 2],
    agent: Agent,
}

impl<'h> Shop<'h> {
    fn open(house: &'h House, library: Library) -> Self {
        let tenant = house.tenant(library.name());
        let second = format!("{}-second", tenant.name);
        let number = tenant.add_connection_of_another_seller(&second);
        tenant.wait_until_ready(&second);
        let grant: AgentGrant = house.read(&tenant.name, "agent");
        let connections = vec![tenant.connection.clone(), second.clone()];
        tenant.grant("agent", &Scope { connections, ..grant.spec.scope });
        let named = |connection: &str| format!("{}/{connection}", tenant.name);
        let connections = [(named(&tenant.connection), tenant.seller_number), (named(&second), number)];
        let token = tenant.agent_token();
        eventually("the grant of both is known", || {
            let exchange = |(name, _): &(String, usize)| house.gateway(0).exchange(&format!("{name}~{token}")).status;
            connections.iter().all(|one| exchange(one) == 200).then_some(())
        });
        let agent = Agent::start(house, library);
        agent.mount(&token);
        Self { house, tenant, connections, agent }
    }

    /// The first connection's name.
    fn first(&self) -> String {
        self.connections[0].0.clone()
    }

    fn each_connection_answers_with_its_own_sellers_orders(&mut self) {
        for (name, number) in &self.connections {
            for (marketplace, prefix) in [(US, 101), (CA, 102)] {
                let orders: Vec<_> = (1..=3).map(|order| format!("{prefix}-{number:07}-{order:07}")).collect();
                assert_eq!(self.agent.ask("orders", name, marketplace), json!({ "answer": orders }));
            }
        }
    }

    /// What the library makes of a marketplace that the connection does not have.
    fn refused(&mut self) -> Value {
        self.agent.ask("orders", &self.first(), MX)
    }

    /// What comes of a call while Amazon says once that the quota is exceeded, and what Amazon answered, call by call.
    fn throttled(&mut self, call: &str) -> (Value, Vec<u16>) {
        let seller = self.tenant.seller.seller_id.clone();
        let statuses = || -> Vec<u16> {
            let calls = self.house.amazon().calls().into_iter();
            let search = calls.filter(|call| call.operation == "catalog/2022-04-01/searchCatalogItems");
            search.filter(|call| call.seller.as_ref() == Some(&seller)).filter_map(|call| call.status).collect()
        };
        let before = statuses().len();
        self.house.amazon().throttle(&self.tenant.seller, 1);
        let answer = self.agent.ask(call, &self.connections[0].0, US);
        (answer, statuses().split_off(before))
    }

    fn items(&self) -> Value {
        let number = self.tenant.seller_number;
        json!({ "answer": [format!("B0US{number:03}001"), format!("B0US{number:03}002")] })
    }

    /// What the library makes of a token that has expired. Before that it was good, and afterwards another is mounted, with
    /// which the same process goes on.
    fn expired(&mut self) -> Value {
        let issuer = self.tenant.member(Role::Member);
        let (object, text) = self.tenant.runtime_token_of("short", &issuer, &[US], "20s");
        self.house.apply(&object);
        eventually("the RuntimeToken is known", || {
            (self.house.gateway(0).call(&text).orders(US).status == 200).then_some(())
        });
        self.agent.mount(&text);
        let served = self.agent.ask("items", &self.first(), US);
        assert_eq!(served, self.items(), "a RuntimeToken does as well");
        eventually("the RuntimeToken expires", || (Timestamp::now() > object.spec.expires_at.0).then_some(()));
        let refused = self.agent.ask("items", &self.first(), US);
        self.agent.mount(&self.tenant.agent_token());
        self.each_connection_answers_with_its_own_sellers_orders();
        refused
    }
}

/// Demands that the library told an error with these fields, and whatever others.
#[track_caller]
fn told(answer: &Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&answer[name], value, "{name} of {answer}");
    }
}

/// The headers of Amazon's that a library shows with an error.
#[track_caller]
fn amazons_headers_came_through(answer: &Value) {
    let headers: Vec<(String, &Value)> =
        answer["headers"].as_object().unwrap().iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    let value = |wanted| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str().unwrap());
    assert_eq!(value("x-amzn-errortype"), Some("QuotaExceededException"));
    assert_eq!(value("x-amzn-requestid").map(str::len), Some(36), "{answer}");
}

#[test]
fn python_amazon_sp_api_works_unmodified_and_keeps_its_errors() {
    let house = house();
    let mut shop = Shop::open(&house, Library::PythonAmazonSpApi);
    shop.each_connection_answers_with_its_own_sellers_orders();
    let forbidden = |code| json!({ "error": "SellingApiForbiddenException", "status": 403, "code": code });
    told(&shop.refused(), &forbidden("MarketplaceNotInScope"));

    let (answer, amazon) = shop.throttled("items");
    told(&answer, &json!({ "error": "SellingApiRequestThrottledException", "status": 429, "code": "QuotaExceeded" }));
    amazons_headers_came_through(&answer);
    assert_eq!(amazon, [429]);
    let (answer, amazon) = shop.throttled("items-patiently");
    assert_eq!((answer, amazon), (shop.items(), vec![429, 200]), "its throttle_retry tries again");

    // It keeps an access token for 3200 s, whatever its life.
    told(&shop.expired(), &forbidden("Unauthorized"));
}

#[test]
fn amzn_sp_api_works_unmodified_and_keeps_its_errors() {
    let house = house();
    let mut shop = Shop::open(&house, Library::AmznSpApi);
    shop.each_connection_answers_with_its_own_sellers_orders();
    told(&shop.refused(), &json!({ "error": "ApiException", "status": 403, "code": "MarketplaceNotInScope" }));

    let (answer, amazon) = shop.throttled("items");
    told(&answer, &json!({ "error": "ApiException", "status": 429, "code": "QuotaExceeded" }));
    amazons_headers_came_through(&answer);
    assert_eq!(amazon, [429], "it does not try again");

    // It asks for an access token four times, 14 s in all, and then tells nothing of the answer.
    told(&shop.expired(), &json!({ "error": "LwaException", "code": "server_error" }));
}

#[test]
fn amazon_sp_api_works_unmodified_and_keeps_its_errors() {
    let house = house();
    let mut shop = Shop::open(&house, Library::AmazonSpApi);
    shop.each_connection_answers_with_its_own_sellers_orders();
    told(&shop.refused(), &json!({ "error": "CustomError", "code": "MarketplaceNotInScope" }));

    let (answer, amazon) = shop.throttled("items");
    assert_eq!((answer, amazon), (shop.items(), vec![429, 200]), "it tries again by itself");

    // The gateway's «expired» makes it ask for an access token, which is refused.
    told(&shop.expired(), &json!({ "error": "CustomError", "code": "invalid_grant" }));
}
