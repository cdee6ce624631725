//! What the portal tells people to paste, pasted.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use cluster::{clients::Library, spawn, tethered};
use openteam_end_to_end::Tenant;
use serde_json::{Map, Value, json};

/// Somebody's machine: a home directory, and what they have installed.
pub(crate) struct Machine<'h> {
    tenant: &'h Tenant<'h>,
    home: PathBuf,
}

impl<'h> Machine<'h> {
    pub(crate) fn new(tenant: &'h Tenant<'h>) -> Self {
        let home = tenant.house().state_dir().join("house/agents").join(format!("laptop-of-{}", tenant.name));
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let program = |name: &str, text: String| {
            let file = bin.join(name);
            fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        };
        // What is to be installed is there already, in the version that the tests have.
        for (installer, library, pin) in [("pip", Library::PythonAmazonSpApi, "=="), ("npm", Library::AmazonSpApi, "@")]
        {
            let wanted = format!("install {}{pin}{}", library.name(), library.version().unwrap());
            program(installer, format!("[ \"$*\" = '{wanted}' ] || {{ echo \"not $*\" >&2; exit 1; }}"));
        }
        // The apiserver says what it would do; a Secret that stays is a token where none is expected.
        let kubectl = tenant.house().kubectl().command();
        let (kubectl, arguments) = (kubectl.get_program().to_string_lossy().into_owned(), arguments(&kubectl));
        program("kubectl", format!("exec {kubectl} {arguments} \"$@\" --dry-run=server -o yaml"));
        Self { tenant, home }
    }

    /// Pastes everything of a page, each client by itself; tells for each whether it gave what it should.
    pub(crate) fn runs(&self, snippets: &Value) -> Value {
        let text = |id: &str| snippets[id].as_str().unwrap_or_else(|| panic!("the page has no {id}")).to_owned();
        let saved = self.paste(&text("save-files"));
        let order = format!("101-{:07}-0000001", self.tenant.seller_number);
        let mut told = Map::new();
        let mut is = |client: &str, said: Result<String, String>, has: &str| {
            let ok = said.as_ref().is_ok_and(|said| said.contains(has));
            told.insert(client.to_owned(), json!({ "ok": ok, "said": said.unwrap_or_else(|error| error) }));
        };
        is("saving", saved, "");
        is("curl", self.paste(&text("curl-call")), &order);
        for (client, end, id) in [("python-amazon-sp-api", "py", "python"), ("amazon-sp-api", "js", "node")] {
            for file in ["connect", "orders"] {
                fs::write(self.home.join(format!("{file}.{end}")), text(&format!("{id}-{file}"))).unwrap();
            }
            is(client, self.paste(&text(&format!("{id}-run"))), &order);
        }
        is("kubectl", self.paste(&text("kubernetes-secret")), "kind: Secret");
        // Of a pod only a part is shown.
        is(
            "volume",
            serde_yaml::from_str::<Value>(&text("kubernetes-volume"))
                .map(|it| it.to_string())
                .map_err(|e| e.to_string()),
            "openteam",
        );
        Value::Object(told)
    }

    /// Pastes lines into a shell; what came of them.
    fn paste(&self, lines: &str) -> Result<String, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = tethered("bash");
        shell.args(["-e", "-c", lines]).current_dir(&self.home).env_clear();
        shell.env("HOME", &self.home).env("PATH", format!("{}:{path}", self.home.join("bin").display()));
        shell.env("PYTHONPATH", Library::PythonAmazonSpApi.installed().unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
        shell.env("NODE_PATH", Library::AmazonSpApi.installed().unwrap());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = spawn(shell).unwrap().wait_with_output().unwrap();
        let [said, complained] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        if output.status.success() { Ok(said) } else { Err(format!("{said}{complained}")) }
    }
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
