//! What to paste to call with a token. Tests run these lines against a gateway.

use askama::Template;
use secrecy::ExposeSecret;

use super::TokenIssued;

/// A way to call.
pub(super) struct Client {
    /// Names it in the page, such as `curl`.
    pub(super) id: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    /// What to paste, in order.
    pub(super) snippets: Vec<Snippet>,
}

/// Something to paste.
pub(super) struct Snippet {
    /// Names it in the page.
    pub(super) id: &'static str,
    /// Where it goes, such as `orders.py`, or what it does.
    pub(super) title: &'static str,
    /// The text itself.
    pub(super) text: String,
}

/// Writes the three files that every client below reads. The space before the last line keeps the token out of the history
/// of shells that know that.
#[derive(Template)]
#[template(path = "snippet/save.txt", escape = "none")]
struct Save<'a> {
    gateway: &'a str,
    authority: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "snippet/curl.txt", escape = "none")]
struct Curl<'a> {
    connection: &'a str,
    marketplace: &'a str,
}

#[derive(Template)]
#[template(path = "snippet/kubernetes.txt", escape = "none")]
struct Kubernetes<'a> {
    namespace: &'a str,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "snippet/volume.txt", escape = "none")]
struct Volume<'a> {
    name: &'a str,
}

/// All of them.
pub(super) fn clients(page: &TokenIssued) -> Vec<Client> {
    let (namespace, connection) = (page.place.namespace.as_str(), page.connection.as_str());
    let (name, marketplace) = (page.name.as_str(), page.marketplace.as_str());
    let save = Save { gateway: &page.gateway, authority: page.authority.trim(), token: page.token.expose_secret() };
    let run = |install: &str, program: &str| {
        format!("{install}\nOPENTEAM=~/.openteam {program} {namespace}/{connection} {marketplace}\n")
    };
    // In a place of its own: many systems let pip install nowhere else (PEP 668).
    let python = "python3 -m venv venv && venv/bin/pip install python-amazon-sp-api==2.1.35";
    let snippet = |id, title, text| Snippet { id, title, text };
    vec![
        Client {
            id: "save",
            name: "First, on the machine that calls",
            snippets: vec![snippet("save-files", "Save address, authority and token", render(&save))],
        },
        Client {
            id: "curl",
            name: "curl",
            snippets: vec![snippet(
                "curl-call",
                "Ask what it may do, then for orders",
                render(&Curl { connection, marketplace }),
            )],
        },
        Client {
            id: "python",
            name: "Python: python-amazon-sp-api",
            snippets: vec![
                snippet("python-connect", "Save as connect.py", PYTHON_CONNECT.to_owned()),
                snippet("python-orders", "Save as orders.py", PYTHON_ORDERS.to_owned()),
                snippet("python-run", "Run it", run(python, "venv/bin/python orders.py")),
            ],
        },
        Client {
            id: "node",
            name: "Node.js: amazon-sp-api",
            snippets: vec![
                snippet("node-connect", "Save as connect.js", NODE_CONNECT.to_owned()),
                snippet("node-orders", "Save as orders.js", NODE_ORDERS.to_owned()),
                snippet("node-run", "Run it", run("npm install amazon-sp-api@1.2.1", "node orders.js")),
            ],
        },
        Client {
            id: "kubernetes",
            name: "Kubernetes Secret",
            snippets: vec![
                snippet("kubernetes-secret", "Make the Secret", render(&Kubernetes { namespace, name })),
                snippet("kubernetes-volume", "Mount it", render(&Volume { name })),
            ],
        },
    ]
}

/// What documentation shows and tests run: one text for all three.
const PYTHON_CONNECT: &str = include_str!("../../../tests/clients/python-amazon-sp-api/connect.py");
const PYTHON_ORDERS: &str = include_str!("../../../tests/clients/python-amazon-sp-api/orders.py");
const NODE_CONNECT: &str = include_str!("../../../tests/clients/amazon-sp-api/connect.js");
const NODE_ORDERS: &str = include_str!("../../../tests/clients/amazon-sp-api/orders.js");

/// Writing to a string does not fail.
fn render(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}
