//! A service connection opens `az://`: the templates name it, and the program asks for its tokens.

use cachekeep_test_support::azure_agent::{Event, Job, ServiceConnection, Status};
use cachekeep_test_support::object_services::Front;
use cachekeep_test_support::object_services::identity::{Cloud, Identity};
use chrono::Utc;

use super::{Machine, Use, hit, save_result};
use crate::object_stores::service::{Running, fresh_prefix};

struct Azure {
    identity: Identity,
    front: Front,
    store: String,
    _service: Running,
}

impl Azure {
    fn start() -> Option<Self> {
        let service = Running::azurite()?;
        let identity = Identity::start(Utc::now);
        let front = Front::guarded(service.port(), identity.guard(Cloud::Azure));
        let store = service.location(&fresh_prefix()).to_string();
        Some(Azure { identity, front, store, _service: service })
    }

    fn connection(&self) -> ServiceConnection {
        let variables = self.identity.azure_cli_task();
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| known.ends_with(name));
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        };
        ServiceConnection {
            id: value("SERVICE_CONNECTION_ID"),
            client_id: value("CLIENT_ID"),
            tenant_id: value("TENANT_ID"),
            ..ServiceConnection::with_token("not-asked-for-0123456789")
        }
    }

    /// A job that has the connection, and that finds the fakes.
    fn job<'a>(&self, job: Job<'a>) -> Job<'a> {
        let mut job = job.connection("ci", self.connection());
        for (name, value) in self.identity.azure_cli_task() {
            job = match name {
                "SYSTEM_ACCESSTOKEN" => job.secret("System.AccessToken", &value),
                "SYSTEM_OIDCREQUESTURI" => job.variable("System.OidcRequestUri", &value),
                _ => job,
            };
        }
        let addresses = self.identity.addresses(Cloud::Azure, self.front.port());
        addresses.into_iter().fold(job, |job, (name, value)| job.variable(name, &value))
    }

    fn uses(&self) -> Use {
        Use::new().both(&format!("store: '{}', serviceConnection: ci", self.store))
    }
}

#[test]
fn a_service_connection_opens_the_store_and_forks_use_cache_2() {
    let Some(azure) = Azure::start() else { return };
    let machine = Machine::new();
    let pipeline = azure.uses().pipeline();
    let job = azure.job(machine.job(&pipeline, "1")).run().expect(Status::Succeeded);
    assert_eq!([hit(&job), save_result(&job)], ["none", "saved"], "{}", job.log);
    let job = azure.job(machine.job(&pipeline, "1")).run().expect(Status::Succeeded);
    assert_eq!([hit(&job), save_result(&job)], ["exact", "exists"], "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0], "nothing went through `Cache@2`");
    let asked = azure.identity.asked();
    assert!(asked.iter().any(|path| path == "POST /hubs/build/oidctoken"), "{asked:?}");

    let fork = azure.job(machine.job(&pipeline, "1")).event(Event::fork(4)).run();
    let fork = fork.expect(Status::Succeeded);
    assert!(fork.log.contains("`Cache@2` moves the archives"), "{}", fork.log);
    assert_eq!([hit(&fork), save_result(&fork)], ["none", "staged"], "{}", fork.log);
    assert_eq!(machine.keys().len(), 1);
    assert_eq!(azure.identity.asked(), asked, "a fork asks for no token");
    for token in azure.identity.tokens() {
        assert!(!job.log.contains(&token) && !fork.log.contains(&token), "a token in the log");
    }
}

#[test]
fn a_connection_that_cannot_log_in_leaves_the_job_to_cache_2() {
    let Some(azure) = Azure::start() else { return };
    let machine = Machine::new();
    let pipeline = azure.uses().pipeline();
    let broken = ServiceConnection { login_fails: true, ..azure.connection() };
    let job = azure.job(machine.job(&pipeline, "1")).connection("ci", broken).run();
    // The step of the login is one that failed and may: the job is partly successful, and the task saves nothing.
    assert_eq!(job.status, Status::SucceededWithIssues, "{}", job.log);
    assert!(job.log.contains("`Cache@2` moves the archives"), "{}", job.log);
    assert_eq!(save_result(&job), "skipped", "{}", job.log);
}
