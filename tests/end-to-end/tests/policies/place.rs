//! A control plane with the manifests' policies and roles, and accounts.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use cluster::{ControlPlane, Error, Kubectl};
use openteam_end_to_end::{eventually, good, install};
use serde_json::{Value, json};

/// What can be contained.
pub(crate) const KINDS: [&str; 5] = ["Team", "AmazonApplication", "AmazonConnection", "AgentGrant", "RuntimeToken"];

/// Writes our kinds, and has none of our own verbs.
pub(crate) const WRITER: &str = "writer";
/// Has all verbs for everything.
pub(crate) const GITOPS: &str = "gitops";
/// Have the roles of the manifests.
pub(crate) const ADMIN: &str = "admin";
pub(crate) const AUDITOR: &str = "auditor";
pub(crate) const RESPONDER: &str = "responder";
pub(crate) const RESTORER: &str = "restorer";
pub(crate) const ROTATOR: &str = "rotator";
pub(crate) const VIEWER: &str = "viewer";

static PLACE: LazyLock<Place> = LazyLock::new(Place::start);
static SECONDS: AtomicU32 = AtomicU32::new(0);

/// The one of this test binary.
pub(crate) fn place() -> &'static Place {
    &PLACE
}

/// A later time at each call.
pub(crate) fn later() -> String {
    let seconds = SECONDS.fetch_add(1, Ordering::Relaxed);
    format!("2026-01-01T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Does the same with every kind that can be contained, at once; each has a namespace of its own.
pub(crate) fn each_kind(subject: &str, work: impl Fn(&Thing) + Sync) {
    thread::scope(|scope| {
        for kind in KINDS {
            let work = &work;
            scope.spawn(move || work(&Thing::new(kind, &format!("{subject}-{}", kind.to_lowercase()))));
        }
    });
}

/// The control plane.
pub(crate) struct Place {
    control_plane: ControlPlane,
}

impl Place {
    fn start() -> Self {
        let control_plane = ControlPlane::start().unwrap();
        install(&control_plane);
        let place = Self { control_plane };
        place.bind(GITOPS, "cluster-admin");
        for role in [ADMIN, AUDITOR, RESPONDER, RESTORER, ROTATOR, VIEWER] {
            place.bind(role, &format!("openteam-{role}"));
        }
        let kinds: Vec<String> =
            KINDS.iter().map(|kind| format!("--resource={}s.openteam.dev", kind.to_lowercase())).collect();
        let verbs = "--verb=get,list,watch,create,update,patch,delete,deletecollection";
        let words: Vec<&str> =
            ["create", "clusterrole", "writer", verbs].into_iter().chain(kinds.iter().map(String::as_str)).collect();
        place.kubectl().run(&words).unwrap();
        place.bind(WRITER, "writer");
        place.wait_for_policies();
        place
    }

    fn bind(&self, user: &str, role: &str) {
        let words = ["create", "clusterrolebinding", user, &format!("--clusterrole={role}"), &format!("--user={user}")];
        self.kubectl().run(&words).unwrap();
    }

    /// A policy acts a moment after it is there, one with parameters when these are watched.
    fn wait_for_policies(&self) {
        let thing = Thing::new_in(self, "AmazonConnection", "ready");
        thing.make(self);
        let sealed = changed(&good("SealedCredential"), "/spec/for/name", json!(thing.name));
        self.create("ready", &sealed);
        eventually("the policies act", || {
            let annotate = ["annotate", &thing.object, "-n", "ready", "openteam.dev/nothing=", "--dry-run=server"];
            self.kubectl().run(&annotate).is_err().then_some(())
        });
        self.kubectl().run(&["annotate", &thing.object, "-n", "ready", "openteam.dev/disable=inc-1"]).unwrap();
        for object in ["sealedcredential/sealedcredential", "namespace/ready"] {
            eventually("the policies with parameters act", || {
                let words = ["delete", object, "-n", "ready", "--dry-run=server"];
                self.kubectl().run(&words).is_err().then_some(())
            });
        }
    }

    /// kubectl as who may everything.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        self.control_plane.client()
    }

    /// Creates an object as who may everything.
    pub(crate) fn create(&self, namespace: &str, object: &Value) {
        let object = changed(object, "/metadata/namespace", json!(namespace));
        self.kubectl().run_with(&["create", "-f", "-"], &object.to_string()).unwrap();
    }

    /// What kubectl says to a user, whether done or refused.
    pub(crate) fn ask(&self, user: &str, words: &[&str], input: Option<&Value>) -> Result<String, String> {
        let user = format!("--as={user}");
        let mut all = words.to_vec();
        all.push(&user);
        let said = match input {
            Some(input) => self.kubectl().run_with(&all, &input.to_string()),
            None => self.kubectl().run(&all),
        };
        said.map_err(|error| match error {
            Error::Failed { output, .. } => output,
            other => panic!("{words:?}: {other}"),
        })
    }

    /// A user does something.
    pub(crate) fn done(&self, user: &str, words: &[&str], input: Option<&Value>) -> String {
        self.ask(user, words, input).unwrap_or_else(|said| panic!("{user}: kubectl {words:?} {input:?}: {said}"))
    }

    /// A user is refused something, by a policy, with these words.
    pub(crate) fn refused(&self, user: &str, words: &[&str], input: Option<&Value>, why: &str) {
        match self.ask(user, words, input) {
            Ok(said) => panic!("{user}: kubectl {words:?} {input:?} was done: {said}"),
            Err(said) => assert!(
                said.contains("ValidatingAdmissionPolicy 'openteam-") && said.contains(why),
                "{user}: kubectl {words:?} {input:?}: {why:?} was expected of {said}"
            ),
        }
    }
}

/// An object to be contained, in a namespace of its own.
pub(crate) struct Thing {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// `KIND/NAME`
    pub(crate) object: String,
}

impl Thing {
    /// It exists.
    pub(crate) fn new(kind: &'static str, namespace: &str) -> Self {
        let place = place();
        let thing = Self::new_in(place, kind, namespace);
        thing.make(place);
        thing
    }

    fn new_in(place: &Place, kind: &'static str, namespace: &str) -> Self {
        place.kubectl().run(&["create", "namespace", namespace]).unwrap();
        let name = kind.to_lowercase();
        Self { kind, object: format!("{name}/{name}"), name, namespace: namespace.to_owned() }
    }

    fn make(&self, place: &Place) {
        place.kubectl().run_with(&["create", "-f", "-"], &self.yaml().to_string()).unwrap();
    }

    /// As it is in Git.
    pub(crate) fn yaml(&self) -> Value {
        changed(&good(self.kind), "/metadata/namespace", json!(self.namespace))
    }

    /// As it is in Git, with annotations.
    pub(crate) fn annotated(&self, annotations: &Value) -> Value {
        changed(&self.yaml(), "/metadata/annotations", annotations.clone())
    }

    /// As the apiserver has it.
    pub(crate) fn read(&self) -> Value {
        let words = ["get", &self.object, "-n", &self.namespace, "-o", "json"];
        serde_json::from_str(&place().kubectl().run(&words).unwrap()).unwrap()
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["-n", &self.namespace]].concat()
    }

    /// `kubectl annotate --overwrite` is done.
    pub(crate) fn annotates(&self, user: &str, annotations: &[&str]) {
        let words = [&["annotate", "--overwrite", &self.object], annotations].concat();
        place().done(user, &self.words(&words), None);
    }

    /// The same is refused.
    pub(crate) fn annotates_not(&self, user: &str, annotations: &[&str], why: &str) {
        let words = [&["annotate", "--overwrite", &self.object], annotations].concat();
        place().refused(user, &self.words(&words), None, why);
    }

    /// A merge patch is made.
    pub(crate) fn patches(&self, user: &str, patch: &Value) {
        let patch = patch.to_string();
        place().done(user, &self.words(&["patch", &self.object, "--type=merge", "-p", &patch]), None);
    }

    /// A patch is refused: an array as JSON patch, an object as merge patch.
    pub(crate) fn patches_not(&self, user: &str, patch: &Value, why: &str) {
        let how = if patch.is_array() { "--type=json" } else { "--type=merge" };
        let patch = patch.to_string();
        place().refused(user, &self.words(&["patch", &self.object, how, "-p", &patch]), None, why);
    }

    /// A command with a manifest on its standard input is done.
    pub(crate) fn gives(&self, user: &str, words: &[&str], manifest: &Value) {
        place().done(user, &self.words(&[words, &["-f", "-"]].concat()), Some(manifest));
    }

    /// The same is refused.
    pub(crate) fn gives_not(&self, user: &str, words: &[&str], manifest: &Value, why: &str) {
        place().refused(user, &self.words(&[words, &["-f", "-"]].concat()), Some(manifest), why);
    }

    /// A deletion is refused; `what` follows `kubectl delete`. Begun, it would be waited for in vain.
    pub(crate) fn deletes_not(&self, user: &str, what: &[&str], why: &str) {
        place().refused(user, &self.words(&[&["delete", "--wait=false"], what].concat()), None, why);
    }
}

/// A copy with another value at a place, a JSON pointer to a field.
pub(crate) fn changed(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.to_owned(), value);
    object
}
