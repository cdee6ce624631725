//! SP-API clients that know nothing of OpenTeam, through the very lines that `docs/clients.md` gives to users.

use std::{
    fs::{self, File, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use amazon_emulator::Change;
use cluster::{clients::Library, spawn, tethered};
use crds::{AgentGrant, Member, Role, RuntimeToken, Scope};
use jiff::{SignedDuration, Timestamp};
use openteam_end_to_end::{CA, House, MX, Tenant, US, alone, eventually, house, repository};
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
    fn start(house: &House, library: Library, name: &str, settings: &[(&str, &str)]) -> Self {
        let gateway = house.gateway(0);
        let directory = house.state_dir().join("house/agents").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("url"), format!("https://localhost:{}\n", gateway.port)).unwrap();
        fs::write(directory.join("ca.crt"), gateway.ca()).unwrap();
        let mut command = library.program("talk").unwrap();
        command.env("HOME", &directory).env("OPENTEAM", &directory).envs(settings.iter().copied());
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
        Self::named(house, library, library.name(), &[])
    }

    /// The same, its agent's environment having these settings of the library's.
    fn named(house: &'h House, library: Library, name: &str, settings: &[(&str, &str)]) -> Self {
        let tenant = house.tenant(name);
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
        let agent = Agent::start(house, library, name, settings);
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

    fn apply(&self, token: &RuntimeToken, text: &str) {
        self.house.apply(token);
        eventually("the RuntimeToken is known", || {
            (self.house.gateway(0).call(text).orders(US).status == 200).then_some(())
        });
    }

    /// Lets the gateway's access token end, but not the RuntimeToken that it was got for, and demands that nobody notices.
    fn goes_on_with_another_access_token(&mut self) {
        let issuer = self.tenant.member(Role::Member);
        let (mut object, text) = self.tenant.runtime_token_of("renewed", &issuer, &[US], "20s");
        self.apply(&object, &text);
        self.agent.mount(&text);
        assert_eq!(self.agent.ask("items", &self.first(), US), self.items());
        // The same text for longer. What was exchanged for it keeps its end.
        let end = object.spec.expires_at.0;
        self.house.delete::<RuntimeToken>(&self.tenant.name, "renewed");
        object.spec.expires_at.0 = end + SignedDuration::from_hours(1);
        self.apply(&object, &text);
        eventually("the access token ends", || (Timestamp::now() > end).then_some(()));
        assert_eq!(self.agent.ask("items", &self.first(), US), self.items());
    }

    /// What the library makes of a token that has expired. Before that it was good, and afterwards another is mounted, with
    /// which the same process goes on.
    fn expired(&mut self) -> Value {
        let issuer = self.tenant.member(Role::Member);
        let (object, text) = self.tenant.runtime_token_of("short", &issuer, &[US], "20s");
        self.apply(&object, &text);
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

#[test]
fn a_client_goes_on_when_an_access_token_ends_before_what_it_was_got_for() {
    let house = house();
    // It looks at no token's end, but keeps each for 3200 s by itself; with its own setting for less.
    let short: &[_] = &[("SP_API_AUTH_CACHE_TTL", "10")];
    thread::scope(|scope| {
        for library in Library::ALL {
            let (house, settings) = (&*house, if library == Library::PythonAmazonSpApi { short } else { &[] });
            scope.spawn(move || {
                let name = format!("{}-renewing", library.name());
                Shop::named(house, library, &name, settings).goes_on_with_another_access_token();
            });
        }
    });
}

#[test]
fn a_client_does_not_notice_that_amazons_own_token_ends_behind_the_gateway() {
    let house = alone();
    let mut shops = Library::ALL.map(|library| {
        let mut shop = Shop::named(&house, library, &format!("{}-behind", library.name()), &[]);
        assert_eq!(shop.agent.ask("items", &shop.first(), US), shop.items());
        shop
    });
    let refreshes = |shop: &Shop<'_>| house.amazon().refreshes_of(&shop.tenant.seller);
    let before = shops.each_ref().map(refreshes);
    house.amazon().switches().apply(Change { advance_seconds: 3601, ..Change::default() }).unwrap();
    for shop in &mut shops {
        assert_eq!(shop.agent.ask("items", &shop.first(), US), shop.items());
    }
    assert_eq!(shops.each_ref().map(refreshes), before.map(|before| before + 1));
}

/// A command that does as another with these arguments and its own, in a directory of programs.
fn stand_in(programs: &Path, name: &str, for_: &Command, before: &str) {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words: Vec<_> = [for_.get_program()].into_iter().chain(for_.get_args()).map(quoted).collect();
    let path = programs.join(name);
    fs::write(&path, format!("#!/bin/sh\n{before}exec {} \"$@\"\n", words.join(" "))).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_laptop_lists_orders_by_the_lines_of_the_page() {
    let house = house();
    let tenant = house.tenant("laptop");
    tenant.change_members(|members| members.push(Member { email: "ada@laptop.example".into(), role: Role::Member }));
    let home = house.state_dir().join("house/agents/ada");
    let programs = home.join("bin");
    fs::create_dir_all(&programs).unwrap();
    // There are no pods here to forward to; the demo does that.
    let told = "[ \"$1\" = port-forward ] && exec echo \"$@\"\n";
    stand_in(&programs, "kubectl", &house.kubectl().command(), told);
    stand_in(&programs, "openteam", &Command::new(house.program()), "");
    let lines = |file: &str| {
        let text = fs::read_to_string(repository().join("tests/clients/laptop").join(file)).unwrap();
        let mut shell = tethered("sh");
        shell.args(["-euc", &text.replace("acme", "laptop")]).current_dir(Library::PythonAmazonSpApi.directory());
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        shell.env_clear().env("PATH", path).env("HOME", &home).env("KUBECONFIG", house.kubeconfig());
        shell.env("PYTHONPATH", Library::PythonAmazonSpApi.installed().unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = lines("forward.sh");
    assert!(said.contains("runtimetoken.openteam.dev/ada-laptop created"), "{said}");
    let forwarded = "port-forward -n openteam-system service/openteam-gateway 8443:443";
    assert_eq!(said.lines().last(), Some(forwarded));
    let directory = home.join(".openteam");
    assert_eq!(fs::read_to_string(directory.join("url")).unwrap(), "https://localhost:8443\n");
    assert_eq!(fs::metadata(directory.join("token")).unwrap().permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(directory.join("token")).unwrap().trim().to_owned();
    house.plant("RuntimeToken laptop/ada-laptop", &token[token.len() - 50..token.len() - 7]);
    // What the forwarding would do.
    fs::write(directory.join("url"), format!("https://localhost:{}\n", house.gateway(0).port)).unwrap();
    eventually("the RuntimeToken is known", || (house.gateway(0).call(&token).orders(US).status == 200).then_some(()));
    let orders: String = (1..=3).map(|order| format!("101-{:07}-{order:07}\n", tenant.seller_number)).collect();
    assert_eq!(lines("call.sh"), orders);
}
