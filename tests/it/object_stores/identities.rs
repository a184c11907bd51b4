//! Identities of jobs and machines, exchanged for credentials that live for ten minutes: at Azurite, versitygw and the
//! fake of Google's, each behind a front that admits only what the fake of the issuers has issued.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cachekeep::domain::hint::Hint as _;
use cachekeep::store::{Clock, RemoteStore, Store as _, StoreExt as _};
use cachekeep_test_support::object_services::Front;
use cachekeep_test_support::object_services::identity::{Cloud, Identity, PROVIDER, ROLE, SERVICE_ACCOUNT};
use cachekeep_test_support::object_services::real::Variables;
use cachekeep_test_support::project::{Project, Ran};
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use serde_json::json;

use crate::action::steps::Job;
use crate::github_store::job::whole;

use super::service::{Running, fresh_prefix, named, patient, request, store_of, view};

/// How many seconds the clock of each test is ahead.
static AHEAD: [AtomicI64; 10] = [const { AtomicI64::new(0) }; 10];

fn clock<const N: usize>() -> DateTime<Utc> {
    Utc::now() + TimeDelta::seconds(AHEAD[N].load(Ordering::Relaxed))
}

fn pass<const N: usize>(seconds: i64) {
    AHEAD[N].fetch_add(seconds, Ordering::Relaxed);
}

/// A service behind a front, and what issues credentials for it.
struct Guarded {
    service: Running,
    front: Front,
    identity: Identity,
    cloud: Cloud,
}

impl Guarded {
    fn new(service: Running, cloud: Cloud, clock: Clock) -> Self {
        let identity = Identity::start(clock);
        let front = Front::guarded(service.port(), identity.guard(cloud));
        Guarded { service, front, identity, cloud }
    }

    /// The clouds whose services can be run here.
    fn all(clock: Clock) -> Vec<Self> {
        let azure = Running::azurite().map(|service| Guarded::new(service, Cloud::Azure, clock));
        let aws = Running::versitygw().map(|service| Guarded::new(service, Cloud::Aws, clock));
        let google = Guarded::new(Running::gcs(), Cloud::Google, clock);
        azure.into_iter().chain(aws).chain([google]).collect()
    }

    /// The variables of a job of GitHub Actions.
    fn github(&self) -> Variables {
        let of_cloud = match self.cloud {
            Cloud::Azure => self.identity.azure_client(),
            Cloud::Aws => vec![("AWS_ROLE_ARN", ROLE.to_owned())],
            _ => self.identity.google_provider(Some(SERVICE_ACCOUNT)),
        };
        [self.identity.github(), of_cloud].concat()
    }

    fn with_addresses(&self, variables: Variables) -> Variables {
        [variables, self.identity.addresses(self.cloud, self.front.port())].concat()
    }

    fn store(&self, variables: Variables, clock: Clock) -> RemoteStore {
        let variables = self.with_addresses(variables);
        store_of(&self.service.location(&fresh_prefix()), &variables, view(), clock, patient())
    }

    /// Saves and restores an entry; returns what was asked of the issuers.
    async fn round(&self, variables: Variables) -> Vec<String> {
        let before = self.identity.asked().len();
        let store = self.store(variables, Utc::now);
        store.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
        let entry = store.lookup(&request("k")).await.expect("an answer").expect("an entry");
        assert_eq!(store.get(&entry).await.expect("restored"), &b"bytes"[..]);
        self.identity.asked().split_off(before)
    }
}

/// A file of this content in a directory.
fn file(directory: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path: PathBuf = directory.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.to_str().expect("a path").to_owned()
}

const ENTRA: &str = "POST /a8990e1f-ff32-408a-9f8e-78d3b9139b95/oauth2/v2.0/token";
const GITHUB: &str = "GET /github/idtoken";
const IMPERSONATE: &str =
    "POST /v1/projects/-/serviceAccounts/caches%40acme.iam.gserviceaccount.com:generateAccessToken";

fn instance() -> Variables {
    vec![("CACHEKEEP_INSTANCE_IDENTITY", "true".to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_open_azure() {
    let Some(azurite) = Running::azurite() else { return };
    let azure = Guarded::new(azurite, Cloud::Azure, Utc::now);
    let directory = tempfile::tempdir().expect("a directory");
    let pipelines = ["POST /hubs/build/oidctoken", ENTRA];
    assert_eq!(azure.round(azure.identity.azure_cli_task()).await, pipelines);
    assert_eq!(azure.round(azure.identity.task_input()).await, pipelines);
    assert_eq!(azure.round(azure.github()).await, [GITHUB, ENTRA]);
    assert_eq!(azure.round(azure.identity.client_secret()).await, [ENTRA]);
    let token = file(&directory, "token", &azure.identity.id_token("api://AzureADTokenExchange"));
    let federated = [azure.identity.azure_client(), vec![("AZURE_FEDERATED_TOKEN_FILE", token)]].concat();
    assert_eq!(azure.round(federated).await, [ENTRA]);
    assert_eq!(azure.round(instance()).await, ["GET /metadata/identity/oauth2/token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_open_s3() {
    let Some(versitygw) = Running::versitygw() else { return };
    let aws = Guarded::new(versitygw, Cloud::Aws, Utc::now);
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(aws.round(aws.github()).await, [GITHUB, "POST /"]);
    let token = file(&directory, "token", &format!("{}\n", aws.identity.id_token("sts.amazonaws.com")));
    let federated = vec![("AWS_ROLE_ARN", ROLE.to_owned()), ("AWS_WEB_IDENTITY_TOKEN_FILE", token)];
    assert_eq!(aws.round(federated).await, ["POST /"]);
    let machine = [
        "PUT /latest/api/token",
        "GET /latest/meta-data/iam/security-credentials/",
        "GET /latest/meta-data/iam/security-credentials/caches",
    ];
    assert_eq!(aws.round(instance()).await, machine);
    let addresses = aws.identity.addresses(Cloud::Aws, 0);
    let url = addresses.iter().find(|(name, _)| *name == "AWS_ENDPOINT_URL_STS").expect("it is there");
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container/credentials", url.1));
    assert_eq!(aws.round([instance(), vec![container]].concat()).await, ["GET /container/credentials"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_open_google() {
    let google = Guarded::new(Running::gcs(), Cloud::Google, Utc::now);
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(google.round(google.github()).await, [GITHUB, "POST /v1/token", IMPERSONATE]);
    let pool_alone = [google.identity.github(), google.identity.google_provider(None)].concat();
    assert_eq!(google.round(pool_alone).await, [GITHUB, "POST /v1/token"]);

    let impersonate = IMPERSONATE.replace("%40", "@");
    let of_file = |name: &str, source: &serde_json::Value| {
        let file = file(&directory, name, &google.identity.external_account(source));
        vec![("GOOGLE_APPLICATION_CREDENTIALS", file)]
    };
    let by_address = of_file("address", &google.identity.address_of_github());
    assert_eq!(google.round(by_address).await, [GITHUB, "POST /v1/token", impersonate.as_str()]);
    let token = google.identity.id_token(&format!("https://iam.googleapis.com/{PROVIDER}"));
    let text = file(&directory, "text", &token);
    let by_file = of_file("text.json", &json!({ "file": text }));
    assert_eq!(google.round(by_file).await, ["POST /v1/token", impersonate.as_str()]);
    let document = file(&directory, "document", &json!({ "id_token": token }).to_string());
    let format = json!({"type": "json", "subject_token_field_name": "id_token"});
    let by_document = of_file("document.json", &json!({"file": document, "format": format}));
    assert_eq!(google.round(by_document).await, ["POST /v1/token", impersonate.as_str()]);

    let machine = ["GET /computeMetadata/v1/instance/service-accounts/default/token"];
    assert_eq!(google.round(instance()).await, machine);
}

fn is_part(target: &str) -> bool {
    target.contains("comp=block&") || target.contains("partNumber=")
}

/// How often a credential was issued.
fn exchanges(asked: &[String]) -> usize {
    let is_last = |target: &&String| {
        *target == ENTRA || *target == "POST /" || target.ends_with(":generateAccessToken")
    };
    asked.iter().filter(is_last).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_mid_upload_is_renewed_and_the_entry_saved() {
    for guarded in Guarded::all(clock::<0>) {
        let store = guarded.store(guarded.github(), clock::<0>);
        let mut upload = store.create(named("k")).await.expect("an upload");
        let part = Bytes::from(vec![7; 9 << 20]);
        let parts = || guarded.identity.admitted().iter().filter(|target| is_part(target)).count();
        // Those of the layout file.
        let before = parts();
        for sent in 1..=3 {
            upload.write(part.clone()).await.expect("a part");
            while parts() < before + sent {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            pass::<0>(660);
        }
        upload.commit().await.expect("saved");
        let asked = guarded.identity.asked();
        assert!(exchanges(&asked) >= 3, "{asked:?}");
        let id_tokens = asked.iter().filter(|target| *target == GITHUB).count();
        assert_eq!(id_tokens, exchanges(&asked), "each exchange has an ID token of its own: {asked:?}");
        let entry = store.lookup(&request("k")).await.expect("an answer").expect("an entry");
        pass::<0>(660);
        assert_eq!(store.get(&entry).await.expect("restored").len(), 27 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_expires() {
    for guarded in Guarded::all(clock::<1>) {
        let store = guarded.store(guarded.github(), clock::<1>);
        let exchanges_of = async |seconds: i64| {
            pass::<1>(seconds);
            let before = exchanges(&guarded.identity.asked());
            store.lookup(&request("k")).await.expect("an answer");
            exchanges(&guarded.identity.asked()) - before
        };
        assert_eq!(exchanges_of(0).await, 1);
        // Half of ten minutes.
        assert_eq!(exchanges_of(280).await, 0);
        assert_eq!(exchanges_of(30).await, 1);
        // Five minutes before the end of an hour.
        guarded.identity.set_lifetime(3600);
        assert_eq!(exchanges_of(310).await, 1);
        assert_eq!(exchanges_of(3280).await, 0);
        assert_eq!(exchanges_of(30).await, 1);
    }
}

/// The machine's clock is eleven minutes late: it takes the token for valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_service_takes_for_expired_is_renewed() {
    for guarded in Guarded::all(clock::<2>) {
        let store = guarded.store(guarded.github(), Utc::now);
        store.put(named("k"), Bytes::from(vec![7; 9 << 20])).await.expect("saved");
        let entry = store.lookup(&request("k")).await.expect("an answer").expect("an entry");
        let before = exchanges(&guarded.identity.asked());
        let mut upload = store.create(named("l")).await.expect("an upload");
        pass::<2>(660);
        upload.write(Bytes::from_static(b"x")).await.expect("a write");
        upload.commit().await.expect("saved");
        assert_eq!(exchanges(&guarded.identity.asked()), before + 1);
        let stream = store.read(&entry).await.expect("it is there");
        pass::<2>(660);
        let read: Vec<Bytes> = stream.try_collect().await.expect("restored");
        assert_eq!(read.iter().map(Bytes::len).sum::<usize>(), 9 << 20);
        assert_eq!(exchanges(&guarded.identity.asked()), before + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_refused_is_named_with_its_cure() {
    let cures = [
        (
            Cloud::Azure,
            "exchange the ID token for a token of Microsoft Entra",
            "oauth2",
            "federated credential",
        ),
        (Cloud::Aws, "get an ID token of this job from GitHub", "idtoken", "id-token: write"),
        (Cloud::Google, "for one of the service account", "generateAccessToken", "workloadIdentityUser"),
    ];
    for guarded in Guarded::all(clock::<3>) {
        let (_, action, refused, cure) =
            cures.iter().find(|(cloud, ..)| *cloud == guarded.cloud).expect("it is there");
        let store = guarded.store(guarded.github(), clock::<3>);
        let mut upload = store.create(named("k")).await.expect("an upload");
        let part = Bytes::from(vec![7; 9 << 20]);
        upload.write(part.clone()).await.expect("a part");
        guarded.identity.refuse(Some(refused));
        // While the token holds, the upload goes on.
        pass::<3>(400);
        upload.write(part.clone()).await.expect("a part");
        pass::<3>(300);
        let failed = match upload.write(part).await {
            Ok(()) => upload.commit().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = failed.expect_err("it has expired");
        let text = whole(&error);
        assert!(text.contains(action) && text.contains("HTTP 403"), "{text}");
        assert!(error.hint().is_some_and(|hint| hint.contains(cure)), "{:?}", error.hint());
        assert!(guarded.identity.tokens().iter().all(|token| !text.contains(token)), "{text}");
        guarded.identity.refuse(None);
        assert_eq!(store.lookup(&request("k")).await.expect("an answer"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_is_read_again_at_each_renewal() {
    let Some(azurite) = Running::azurite() else { return };
    let azure = Guarded::new(azurite, Cloud::Azure, clock::<4>);
    let directory = tempfile::tempdir().expect("a directory");
    let audience = "api://AzureADTokenExchange";
    let token = file(&directory, "token", &azure.identity.id_token(audience));
    let variables = [azure.identity.azure_client(), vec![("AZURE_FEDERATED_TOKEN_FILE", token)]].concat();
    let store = azure.store(variables, clock::<4>);
    store.lookup(&request("k")).await.expect("an answer");
    pass::<4>(660);
    let error = store.lookup(&request("k")).await.expect_err("the file has an old token");
    assert!(whole(&error).contains("AADSTS700024"), "{}", whole(&error));
    file(&directory, "token", &azure.identity.id_token(audience));
    store.lookup(&request("k")).await.expect("an answer");
    std::fs::remove_file(directory.path().join("token")).expect("removed");
    pass::<4>(660);
    let error = store.lookup(&request("k")).await.expect_err("there is no file");
    assert!(error.hint().is_some_and(|hint| hint.contains("replace it")), "{:?}", error.hint());
}

const CONFIG: &str = "[cache.deps]\npath = \"deps\"\nkey = \"deps-1\"\n";

#[test]
fn doctor_names_what_is_exchanged_and_until_when() {
    let google = Guarded::new(Running::gcs(), Cloud::Google, Utc::now);
    let location = google.service.location("p").to_string();
    let project = Project::new(CONFIG);
    let doctor = |online: &[&str]| {
        let mut command = project.command();
        command.args(["doctor", "--store", &location]).args(online);
        Ran::of(command.envs(google.with_addresses(google.github())))
    };
    let found = "gs://bucket/p: GitHub's ID token of this job, with CACHEKEEP_GOOGLE_PROVIDER opens http://";
    let offline = doctor(&[]);
    assert!(offline.stdout.contains(found), "{}", offline.stdout);
    assert!(offline.stdout.contains(", and is renewed before it expires\n"), "{}", offline.stdout);
    assert_eq!(google.identity.asked(), Vec::<String>::new());
    let online = doctor(&["--online"]);
    let line = online.stdout.lines().find(|line| line.contains(found)).expect("a line");
    assert!(line.contains(" until 20") && line.ends_with(" UTC, and is renewed before"), "{line}");

    google.identity.refuse(Some("generateAccessToken"));
    let refused = doctor(&["--online"]);
    assert!(refused.code == 1 && refused.stdout.contains("HTTP 403"), "{}", refused.stdout);
}

#[test]
fn issued_tokens_are_masked_in_the_action_and_shown_nowhere() {
    let Some(versitygw) = Running::versitygw() else { return };
    let aws = Guarded::new(versitygw, Cloud::Aws, Utc::now);
    let location = aws.service.location(&fresh_prefix()).to_string();
    let project = Project::new(CONFIG);
    project.write("workspace/deps/a", "a");
    let run = |arguments: &[&str]| {
        let mut command = project.command();
        command.args(arguments).args(["--store", &location, "--verbose"]);
        command.envs(aws.with_addresses(aws.github()));
        Ran::of(&mut command).success()
    };
    for ran in [run(&["save"]), run(&["restore"])] {
        assert!(ran.stderr.contains("a credential was issued until"), "{}", ran.stderr);
        for token in aws.identity.tokens() {
            assert!(!ran.stderr.contains(&token) && !ran.stdout.contains(&token), "{}", ran.stderr);
        }
    }
    let mut job = Job::new();
    for (name, value) in aws.with_addresses(aws.github()) {
        job.set(name, &value);
    }
    job.set("CACHEKEEP_STORE", &location);
    let started = job.step("start", &[("path", "out"), ("key", "k-1"), ("mode", "restore")]);
    let masked = |token: &String| started.log.contains(&format!("::add-mask::{token}\n"));
    assert!(aws.identity.tokens().iter().any(masked), "{}", started.log);
}

#[test]
fn a_service_connection_without_its_token_says_what_to_pass() {
    let project = Project::new(CONFIG);
    project.write("workspace/deps/a", "a");
    let identity = Identity::start(Utc::now);
    let mut variables = identity.azure_cli_task();
    variables.retain(|(name, _)| *name != "SYSTEM_ACCESSTOKEN");
    let mut command = project.command();
    command.args(["doctor", "--store", "az://account/container"]).envs(variables);
    let ran = Ran::of(&mut command);
    assert!(ran.stdout.contains("SYSTEM_ACCESSTOKEN is not set"), "{}", ran.stdout);
    assert!(ran.stdout.contains("hint: pass `SYSTEM_ACCESSTOKEN: $(System.AccessToken)`"), "{}", ran.stdout);
}
