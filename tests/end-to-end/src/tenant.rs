//! A namespace with a Team, a proven connection and an agent, for one test.

use amazon_emulator::{Application, Change, Queue, Registration, Secret, Seller};
use crds::{
    AgentGrant, AgentGrantSpec, AmazonApplication, AmazonApplicationSpec, AmazonConnection, AmazonConnectionSpec,
    Endpoints, LocalReference, Member, Operations, Role, RuntimeToken, Scope, SealedCredential, SecretRotation, Team,
    TeamSpec, condition,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ObjectMeta;
use serde_json::json;

use crate::{CA, House, US, eventually};

/// The ServiceAccount that the tenant's AgentGrant is for; the grant has the same name.
const AGENT: &str = "agent";
/// The audience of tokens for the gateway.
const AUDIENCE: &str = "openteam-gateway";

/// The tenant. Its objects: Team and namespace of its name, AmazonApplication `amazon`, AmazonConnection `NAME-na` with
/// the marketplaces US and CA (its seller is in MX too), ServiceAccount and AgentGrant `agent` for all of that.
pub struct Tenant<'h> {
    house: &'h House,
    /// Namespace and Team.
    pub name: String,
    /// The connection's name.
    pub connection: String,
    /// Its seller.
    pub seller: Seller,
    /// The seller's number, part of its order ids.
    pub seller_number: usize,
    /// What its AmazonApplication is at Amazon.
    pub application: Application,
    /// The queue for notices about the client secret, where it has one.
    pub queue: Option<String>,
}

/// Metadata of an object.
fn meta(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..ObjectMeta::default() }
}

impl House {
    /// A tenant of its own for a test, ready to be used.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Tenant<'_> {
        self.tenant_at(name, self.amazon().endpoints())
    }

    /// The same, its application having these addresses.
    #[must_use]
    pub fn tenant_at(&self, name: &str, endpoints: Endpoints) -> Tenant<'_> {
        let (seller_number, seller) = self.amazon().take_seller();
        let application = self.amazon().application().clone();
        self.settle(name, seller, seller_number, application, None, endpoints)
    }

    /// A tenant with an application that nobody shares; with a queue, which is registered at Amazon and named in the
    /// AmazonApplication, its client secret is rotated by itself.
    #[must_use]
    pub fn tenant_apart(&self, name: &str, with_queue: bool) -> Tenant<'_> {
        let (application, seller_number, seller) = self.amazon().take_application();
        let mut endpoints = self.amazon().endpoints();
        let queue = with_queue.then(|| {
            endpoints.sqs = Some(self.sqs_endpoint());
            let url = self.create_queue(name);
            self.enroll(&application, Some(&url));
            url
        });
        self.settle(name, seller, seller_number, application, queue, endpoints)
    }

    /// A Team without a connection, with an application of its own whose consents come back to the portal, and the sellers that can
    /// consent. With `by_login`, Amazon sends them to the portal's log-in URI first.
    #[must_use]
    pub fn newcomer(&self, name: &str, by_login: bool) -> (Tenant<'_>, Vec<Seller>) {
        let (application, seller_number, seller) = self.amazon().take_application();
        let (portal, connection) = (self.ingress().url(), String::new());
        let redirect_uri = format!("{portal}/amazon/callback");
        let login_uri = by_login.then(|| format!("{portal}/amazon/login"));
        let registration = Registration {
            redirect_uris: vec![redirect_uri.clone()],
            login_uri: login_uri.clone(),
            cancel_returns: true,
            ..Registration::default()
        };
        let registrations = [(application.client_id.clone(), Some(registration))].into();
        self.amazon().emulator().switches().apply(Change { registrations, ..Change::default() }).unwrap();
        let sellers = self.amazon().sellers_of(&application);
        let tenant =
            Tenant { house: self, name: name.to_owned(), connection, seller, seller_number, application, queue: None };
        self.create_namespace(name);
        tenant.add_team();
        let consent = Some(self.amazon().consent_url());
        tenant.add_application(Endpoints { consent, ..self.amazon().endpoints() });
        let uris = json!({ "spec": { "redirectUri": redirect_uri, "loginUri": login_uri } });
        self.patch::<AmazonApplication>(name, "amazon", &uris);
        (tenant, sellers)
    }

    /// Registers a queue at Amazon for an application, or none.
    pub fn enroll(&self, application: &Application, queue: Option<&str>) {
        let queue = queue.map(|url| Queue {
            endpoint: self.sqs_endpoint(),
            url: url.to_owned(),
            ca: self.amazon().authority().to_owned(),
        });
        let queues = [(application.client_id.clone(), queue)].into();
        self.amazon().emulator().switches().apply(Change { queues, ..Change::default() }).unwrap();
    }

    fn settle(
        &self,
        name: &str,
        seller: Seller,
        seller_number: usize,
        application: Application,
        queue: Option<String>,
        endpoints: Endpoints,
    ) -> Tenant<'_> {
        let connection = format!("{name}-na");
        let tenant =
            Tenant { house: self, name: name.to_owned(), connection, seller, seller_number, application, queue };
        self.create_namespace(name);
        tenant.add_team();
        tenant.add_application(endpoints);
        tenant.add_connection(&tenant.connection);
        tenant.add_agent(AGENT);
        tenant.grant(AGENT, &tenant.scope());
        tenant.wait_until_ready(&tenant.connection);
        tenant
    }

    /// A SealedCredential by `openteam seal`, applied.
    pub fn seal(&self, target: &str, field: &str, secret: &str) {
        let output = self.openteam(&["seal", "--for", target, "--field", field], secret);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sealed: SealedCredential = serde_yaml::from_slice(&output.stdout).unwrap();
        self.apply(&sealed);
    }
}

impl Tenant<'_> {
    /// The house it lives in.
    #[must_use]
    pub const fn house(&self) -> &House {
        self.house
    }

    /// Address of the member of each role.
    #[must_use]
    pub fn member(&self, role: Role) -> String {
        format!("{role:?}@{}.example", self.name).to_lowercase()
    }

    /// Changes who belongs to the Team.
    pub fn change_members(&self, change: impl FnOnce(&mut Vec<Member>)) {
        let mut team: Team = self.house.read(&self.name, &self.name);
        change(&mut team.spec.members);
        team.metadata = meta(&self.name, &self.name);
        self.house.apply(&team);
    }

    fn add_team(&self) {
        let member = |role| Member { email: self.member(role), role };
        let members = [Role::Owner, Role::Member, Role::Viewer].map(member).to_vec();
        let mut team = Team::new(&self.name, TeamSpec { members, ..TeamSpec::default() });
        team.metadata = meta(&self.name, &self.name);
        self.house.apply(&team);
    }

    fn add_application(&self, endpoints: Endpoints) {
        let known = &self.application;
        let spec = AmazonApplicationSpec {
            application_id: known.application_id.clone(),
            client_id: known.client_id.clone(),
            endpoints: Some(endpoints),
            secret_rotation: self.queue.clone().map(|queue_url| SecretRotation { queue_url }),
            ..AmazonApplicationSpec::default()
        };
        let mut application = AmazonApplication::new("amazon", spec);
        application.metadata = meta(&self.name, "amazon");
        self.house.apply(&application);
        let target = format!("amazonapplication/{}/amazon", self.name);
        self.house.seal(&target, "client-secret", known.client_secret.expose());
    }

    /// Adds a connection of the tenant's seller.
    pub fn add_connection(&self, name: &str) {
        self.add_connection_of(name, &self.seller);
    }

    /// Adds a connection of a seller that nobody else has, and tells its number.
    #[must_use]
    pub fn add_connection_of_another_seller(&self, name: &str) -> usize {
        let (number, seller) = self.house.amazon().take_seller();
        self.add_connection_of(name, &seller);
        number
    }

    /// Adds a connection that waits for its seller's consent, and names a seller that nobody else has for it.
    #[must_use]
    pub fn add_connection_without_consent(&self, name: &str) -> Seller {
        let seller = self.house.amazon().take_seller().1;
        self.apply_connection(name, None);
        seller
    }

    fn apply_connection(&self, name: &str, seller: Option<&Seller>) {
        let spec = AmazonConnectionSpec {
            team_ref: LocalReference::to(&self.name),
            application_ref: House::named(&self.name, "amazon"),
            marketplace_ids: vec![US.to_owned(), CA.to_owned()],
            selling_partner_id: seller.map(|seller| seller.seller_id.clone()),
            ..AmazonConnectionSpec::default()
        };
        let mut connection = AmazonConnection::new(name, spec);
        connection.metadata = meta(&self.name, name);
        self.house.apply(&connection);
    }

    fn add_connection_of(&self, name: &str, seller: &Seller) {
        self.apply_connection(name, Some(seller));
        let target = format!("amazonconnection/{}/{name}", self.name);
        self.house.seal(&target, "refresh-token", seller.refresh_token.expose());
    }

    /// Waits until Amazon has been asked and the operator is content.
    pub fn wait_until_ready(&self, connection: &str) {
        eventually("the connection is Ready", || {
            let read: AmazonConnection = self.house.read(&self.name, connection);
            condition::is_true(&read.status?.conditions, condition::READY).then_some(())
        });
    }

    /// The seller consents again: a further refresh token, beside those there are.
    #[must_use]
    pub fn consent(&self) -> Secret {
        let token = self.house.amazon().switches().consent(&self.seller.seller_id).unwrap();
        let secret = token.expose();
        self.house.plant(&format!("refresh token of {}", self.name), &secret[secret.len() - 43..]);
        token
    }

    /// Seals a refresh token for the tenant's connection.
    pub fn seal(&self, refresh_token: &Secret) {
        let target = format!("amazonconnection/{}/{}", self.name, self.connection);
        self.house.seal(&target, "refresh-token", refresh_token.expose());
    }

    /// Seals the code of a seller's consent for a connection, by `openteam seal`, as a SealedCredential of this name.
    pub fn seal_code(&self, input: &str, connection: &str, seller: &Seller, code: &Secret, redirect_uri: Option<&str>) {
        let target = format!("amazonconnection/{}/{connection}", self.name);
        let mut words = vec!["seal", "--for", &target, "--field", "authorization-code", "--name", input];
        words.extend(["--seller", &seller.seller_id]);
        if let Some(uri) = redirect_uri {
            words.extend(["--redirect-uri", uri]);
        }
        let output = self.house.openteam(&words, code.expose());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.house.apply::<SealedCredential>(&serde_yaml::from_slice(&output.stdout).unwrap());
    }

    /// Adds a ServiceAccount.
    pub fn add_agent(&self, account: &str) {
        self.house.apply(&ServiceAccount { metadata: meta(&self.name, account), ..ServiceAccount::default() });
    }

    /// The scope of the tenant's own grant: its connection, US and CA.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            connections: vec![self.connection.clone()],
            marketplace_ids: vec![US.to_owned(), CA.to_owned()],
            ..Scope::default()
        }
    }

    /// The same scope, these operations only.
    #[must_use]
    pub fn scope_allowing(&self, operations: &[&str]) -> Scope {
        let allow = operations.iter().map(ToString::to_string).collect();
        Scope { operations: Some(Operations { allow, deny: Vec::new() }), ..self.scope() }
    }

    /// Grants a scope to a ServiceAccount, instead of what was granted to it before.
    pub fn grant(&self, account: &str, scope: &Scope) {
        let spec = AgentGrantSpec {
            team_ref: LocalReference::to(&self.name),
            service_account: LocalReference::to(account),
            scope: scope.clone(),
        };
        let mut grant = AgentGrant::new(account, spec);
        grant.metadata = meta(&self.name, account);
        self.house.apply(&grant);
    }

    /// A token of the agent's, for the gateway.
    #[must_use]
    pub fn agent_token(&self) -> String {
        self.house.service_account_token(&self.name, AGENT, AUDIENCE)
    }

    /// A RuntimeToken for the tenant's connection, by `openteam runtime-token`: the object and the token's text.
    #[must_use]
    pub fn runtime_token_of(
        &self,
        name: &str,
        issuer: &str,
        marketplaces: &[&str],
        ttl: &str,
    ) -> (RuntimeToken, String) {
        let object = format!("{}/{name}", self.name);
        let mut arguments = vec!["runtime-token", &object, "--team", &self.name, "--issued-by", issuer, "--ttl", ttl];
        arguments.extend(["--connection", &self.connection]);
        for id in marketplaces {
            arguments.extend(["--marketplace", id]);
        }
        let output = self.house.openteam(&arguments, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let text = said.trim().to_owned();
        // Its last 43 characters but for an underscore and the checksum's six.
        self.house.plant(&format!("RuntimeToken {object}"), &text[text.len() - 50..text.len() - 7]);
        (serde_yaml::from_slice(&output.stdout).unwrap(), text)
    }

    /// The text of a RuntimeToken that a member issued for US and CA, good for an hour, applied and known to every
    /// gateway.
    #[must_use]
    pub fn runtime_token(&self, name: &str) -> String {
        let (object, text) = self.runtime_token_of(name, &self.member(Role::Member), &[US, CA], "1h");
        self.house.apply(&object);
        for gateway in self.house.gateways() {
            eventually("the RuntimeToken is known", || (gateway.call(&text).orders(US).status == 200).then_some(()));
        }
        text
    }
}
