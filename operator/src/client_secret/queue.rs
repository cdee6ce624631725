//! Reading the queues that Amazon sends notices to. Only the leader does, one task a queue, one message at a time: there are
//! a handful a year.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{Message, MessageSystemAttributeName},
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use crds::{AmazonApplication, NamespacedReference};
use process::certificate::chain;
use tokio::{
    sync::broadcast::error::RecvError,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{notice, plan::QueueState};
use crate::{
    controller::Context,
    dependents::Name,
    error::delay,
    stores::{Kind, Stores},
    subject::reference,
};

/// How long SQS keeps a message from others while it is looked at: longer than that takes, and how long it waits for the
/// next leader when this one is killed. Seen twice does no harm.
const VISIBILITY_SECONDS: i32 = 30;
/// The longest that SQS holds a question while there is nothing.
const WAIT_SECONDS: i32 = 20;
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Failures in a row of the network that are told of; what SQS itself says is told at once.
const TOLD_AFTER: u32 = 3;
/// Which queues there are is looked at again so often, should a change have been missed.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// A queue, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    /// Its URL, which names it.
    pub(super) url: String,
    region: String,
    /// Where SQS is, if not at Amazon.
    endpoint: Option<String>,
    ca_bundle: Option<String>,
}

impl Queue {
    /// The queue that an application names; an error says why it cannot be used.
    pub(super) fn of(application: &AmazonApplication, allow_endpoints: bool) -> Option<Result<Self, String>> {
        let rotation = application.spec.secret_rotation.as_ref()?;
        let own = match access::own_endpoints(application, allow_endpoints) {
            Ok(own) => own,
            Err(fault) => return Some(Err(fault.to_string())),
        };
        let Some(region) = rotation.region() else {
            return Some(Err("spec.secretRotation.queueUrl is no queue of Amazon SQS".to_owned()));
        };
        Some(Ok(Self {
            url: rotation.queue_url.clone(),
            region: region.to_owned(),
            endpoint: own.and_then(|own| own.sqs.clone()),
            ca_bundle: own.filter(|own| own.sqs.is_some()).and_then(|own| own.ca_bundle.clone()),
        }))
    }

    /// The applications of a client id that have their notices in this queue.
    pub(super) fn applications(&self, context: &Context, client_id: &str) -> Vec<NamespacedReference> {
        let applications = context.stores.applications.store().state();
        let ours = |application: &&AmazonApplication| {
            application.spec.client_id == client_id
                && Self::of(application, context.allow_endpoints).is_some_and(|queue| queue.as_ref() == Ok(self))
        };
        let read = applications.iter().filter_map(|application| application.0.as_ref().ok());
        read.filter(ours).map(|application| reference(&application.metadata)).collect()
    }
}

/// Which queues can be read. Lost with the process, and known again a moment after the start.
#[derive(Default)]
pub(crate) struct Queues(Mutex<HashMap<Queue, QueueState>>);

impl Queues {
    fn map(&self) -> MutexGuard<'_, HashMap<Queue, QueueState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an application's queue.
    pub(crate) fn state(&self, application: &AmazonApplication, allow_endpoints: bool) -> QueueState {
        match Queue::of(application, allow_endpoints) {
            None => QueueState::None,
            Some(Err(why)) => QueueState::Fault(why),
            Some(Ok(queue)) => self.map().get(&queue).cloned().unwrap_or(QueueState::Unknown),
        }
    }

    /// Whether that is news.
    fn set(&self, queue: &Queue, state: QueueState) -> bool {
        self.map().insert(queue.clone(), state.clone()) != Some(state)
    }
}

/// Reads every queue that applications name, until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut changes = context.stores.changes();
    let mut reading: HashMap<Queue, AbortHandle> = HashMap::new();
    // Dropped with this future, which ends them.
    let mut tasks = JoinSet::new();
    loop {
        let wanted = wanted(&context.stores, context.allow_endpoints);
        reading.retain(|queue, task| {
            let stays = wanted.contains(queue) && !task.is_finished();
            if !stays {
                task.abort();
                context.queues.map().remove(queue);
            }
            stays
        });
        for queue in wanted {
            reading
                .entry(queue.clone())
                .or_insert_with(|| tasks.spawn(follow(context.clone(), queue, shutdown.clone())));
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed(&mut changes) => {}
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "reader of a queue failed");
                }
            }
            () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
        }
    }
}

fn wanted(stores: &Stores, allow_endpoints: bool) -> HashSet<Queue> {
    let applications = stores.applications.store().state();
    let read = applications.iter().filter_map(|application| application.0.as_ref().ok());
    read.filter_map(|application| Queue::of(application, allow_endpoints)?.ok()).collect()
}

/// Waits until an application may have changed.
async fn changed(changes: &mut tokio::sync::broadcast::Receiver<Option<crate::stores::Touched>>) {
    loop {
        match changes.recv().await {
            Ok(Some(touched)) if touched.name.kind != Kind::AmazonApplication => {}
            Err(RecvError::Closed) => std::future::pending().await,
            Ok(_) | Err(RecvError::Lagged(_)) => return,
        }
    }
}

/// Reads one queue.
async fn follow(context: Arc<Context>, queue: Queue, shutdown: CancellationToken) {
    let client = client(&queue).await;
    let mut failures = 0;
    // Without waiting at first, so that whether it can be read is known at once.
    let mut wait = 0;
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => return,
            received = receive(&client, &queue, wait) => received,
        };
        let pause = match received {
            Ok(messages) => {
                (failures, wait) = (0, WAIT_SECONDS);
                tell(&context, &queue, QueueState::Open);
                for message in messages {
                    handle(&context, &client, &queue, message).await;
                }
                continue;
            }
            Err(error) => {
                failures += 1;
                wait = 0;
                let (said, why) = (error.as_service_error().is_some(), fault(&queue, &error));
                tracing::warn!(queue = queue.url, failures, error = why, "queue cannot be read");
                if said || failures >= TOLD_AFTER {
                    tell(&context, &queue, QueueState::Fault(why));
                }
                delay(failures, fastrand::f64())
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Has the applications of a queue looked at again where there is news of it.
fn tell(context: &Context, queue: &Queue, state: QueueState) {
    if !context.queues.set(queue, state) {
        return;
    }
    for application in context.stores.applications.store().state().iter() {
        let Ok(application) = &application.0 else { continue };
        if Queue::of(application, context.allow_endpoints).is_some_and(|it| it.as_ref() == Ok(queue)) {
            let name = reference(&application.metadata);
            context.stores.look_again(Name::new(Kind::AmazonApplication, Some(&name.namespace), &name.name));
        }
    }
}

/// A client with the usual chain of AWS credentials: environment, web identity, pod identity, instance.
async fn client(queue: &Queue) -> Client {
    let builder = || aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let limits = TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).operation_attempt_timeout(ATTEMPT_LIMIT);
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(queue.region.clone()))
        .http_client(builder().build_https())
        .timeout_config(limits.build())
        .load()
        .await;
    let mut config = aws_sdk_sqs::config::Builder::from(&shared);
    if let Some(endpoint) = &queue.endpoint {
        config = config.endpoint_url(endpoint);
    }
    if let Some(pem) = &queue.ca_bundle {
        let trusted = TrustStore::empty().with_pem_certificate(pem.as_bytes());
        // What is no certificate is trusted by nobody; the calls say so.
        if let Ok(context) = TlsContext::builder().with_trust_store(trusted).build() {
            config = config.http_client(builder().tls_context(context).build_https());
        }
    }
    Client::from_conf(config.build())
}

type ReceiveError = SdkError<aws_sdk_sqs::operation::receive_message::ReceiveMessageError>;

async fn receive(client: &Client, queue: &Queue, wait: i32) -> Result<Vec<Message>, ReceiveError> {
    let received = client
        .receive_message()
        .queue_url(&queue.url)
        .max_number_of_messages(1)
        .wait_time_seconds(wait)
        .visibility_timeout(VISIBILITY_SECONDS)
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
        .send()
        .await?;
    Ok(received.messages.unwrap_or_default())
}

/// Why a queue cannot be read, and what to do.
fn fault(queue: &Queue, error: &ReceiveError) -> String {
    let url = &queue.url;
    match error.code() {
        Some(code) => format!(
            "queue {url} of spec.secretRotation cannot be read ({code}): it must be there, and the operator's AWS identity \
             allowed to receive and delete its messages and to change their visibility (docs/install.md)"
        ),
        None => {
            // The chain of causes alone: what the SDK would print of the error itself has the whole answer in it, messages too.
            let why = chain(error);
            let why = &why[..why.floor_char_boundary(300)];
            format!(
                "queue {url} of spec.secretRotation cannot be read: the operator needs an AWS identity and a way to Amazon SQS \
                 (docs/install.md): {why}"
            )
        }
    }
}

/// Looks at one message, and deletes it as the very last thing.
async fn handle(context: &Context, client: &Client, queue: &Queue, mut message: Message) {
    let body = Zeroizing::new(message.body.take().unwrap_or_default());
    let count =
        message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let received: u32 = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    let fate = notice::take(context, queue, &body).await;
    drop(body);
    context.metrics.noticed(fate);
    let handle = message.receipt_handle.unwrap_or_default();
    let done = match fate.hidden_for(received) {
        None => {
            let sent = client.delete_message().queue_url(&queue.url).receipt_handle(handle).send().await;
            sent.map(drop).map_err(|error| chain(&error))
        }
        Some(pause) => {
            let seconds = i32::try_from(pause.as_secs()).unwrap_or(i32::MAX);
            let hidden = client.change_message_visibility().queue_url(&queue.url).receipt_handle(handle);
            let sent = hidden.visibility_timeout(seconds).send().await;
            sent.map(drop).map_err(|error| chain(&error))
        }
    };
    tracing::info!(queue = queue.url, fate = fate.as_str(), received, "message of the queue looked at");
    if let Err(error) = done {
        // It comes again, which does no harm.
        let error = &error[..error.floor_char_boundary(300)];
        tracing::warn!(queue = queue.url, error, "message of the queue could not be deleted or put back");
    }
}
