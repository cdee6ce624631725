//! The desk of somebody who works by our documentation: a directory, and a shell that finds `kubectl` and our commands.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::{House, NAMESPACE, repository};

/// A desk.
pub struct Desk<'h> {
    house: &'h House,
    directory: PathBuf,
}

impl House {
    /// A desk of this name. `kubectl` leads to the house. This house has no node to run a command in, so `kubectl exec` runs it
    /// here, on the recorder's own disk.
    #[must_use]
    pub fn desk(&self, name: &str) -> Desk<'_> {
        let directory = self.state_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let openteam = self.program();
        for name in ["kubectl-openteam", "openteam"] {
            // Another test may have this desk too.
            let made = symlink(openteam, directory.join(name));
            assert!(made.is_ok() || directory.join(name).exists(), "{made:?}");
        }
        let real = self.kubectl().command();
        let words = std::iter::once(real.get_program()).chain(real.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        // Which cluster it is, and who asks, is in KUBECONFIG; a plugin's name comes before all options.
        let options = words.iter().position(|word| word.starts_with("'--kubeconfig")).unwrap();
        let journal = self.disk().join("journal").display().to_string();
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             exec) while [ \"$1\" != /usr/local/bin/openteam ]; do shift; done; shift; exec '{}' \"$@\" --dir '{journal}' ;;\n\
             *) exec {} \"$@\" ;;\nesac\n",
            openteam.display(),
            words[..options].join(" "),
        );
        // Whole before somebody runs it.
        let new = directory.join(format!("kubectl-{:?}", std::thread::current().id()));
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, directory.join("kubectl")).unwrap();
        Desk { house: self, directory }
    }
}

impl Desk<'_> {
    /// Where commands run.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `PATH` with what is here before everything else.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}:{}", self.directory.display(), std::env::var("PATH").unwrap_or_default())
    }

    /// What a shell makes of these commands, as the house's administrator.
    #[must_use]
    pub fn run(&self, commands: &str) -> Output {
        self.run_with(self.house.kubeconfig(), &[], commands)
    }

    /// The same as somebody else, with more in the environment.
    #[must_use]
    pub fn run_with(&self, kubeconfig: &Path, environment: &[(&'static str, String)], commands: &str) -> Output {
        Command::new("sh")
            .args(["-euc", commands])
            .current_dir(&self.directory)
            .env("PATH", self.path())
            .env("KUBECONFIG", kubeconfig)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap()
    }
}

/// The blocks of commands of a page of the documentation, such as `docs/audit.md`, in their order.
#[must_use]
pub fn commands_of(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    // Blocks of lists are indented.
    let mut blocks: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        match line.trim_start() {
            "```sh" => {
                is_open = true;
                blocks.push(String::new());
            }
            "```" => is_open = false,
            line if is_open => blocks.last_mut().unwrap().extend([line, "\n"]),
            _ => {}
        }
    }
    blocks
}

impl House {
    /// A kubeconfig of somebody with the rights of a ClusterRole, and of a Role in OpenTeam's own namespace, and no more.
    #[must_use]
    pub fn somebody(&self, name: &str, cluster_role: &str, role: &str) -> PathBuf {
        let (kubectl, user) = (self.kubectl(), format!("--user={name}"));
        let words = ["create", "clusterrolebinding", name, &format!("--clusterrole={cluster_role}"), &user];
        kubectl.run(&words).unwrap();
        let words = ["create", "rolebinding", name, &format!("--role={role}"), &user, "-n", NAMESPACE];
        kubectl.run(&words).unwrap();
        let path = self.state_dir().join(format!("{name}.kubeconfig"));
        let mut config: Value = serde_yaml::from_str(&fs::read_to_string(self.kubeconfig()).unwrap()).unwrap();
        config["users"][0]["user"]["as"] = name.into();
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}
