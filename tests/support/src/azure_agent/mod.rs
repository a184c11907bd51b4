//! An imitation of the agent of Azure Pipelines, and of its task `Cache@2`.
//!
//! **It is an imitation.** The agent needs a service to talk to and cannot run in a test, so the rules here were written from
//! the agent's sources, its documentation and its issues; nothing was compared with a real pipeline. Each rule names its source,
//! mostly a class of `microsoft/azure-pipelines-agent` (`StepsRunner`, `TaskRunner`, `TarUtils`, …). What is marked **[?]** is
//! uncertain even so:
//!
//! - the service looks for one fingerprint in all scopes before it looks for the next;
//! - a restore key also matches an entry of exactly its segments;
//! - in the format `Files`, a link to a file comes back as a file, and other links do not come back;
//! - processes that a script leaves behind live until the end of the job;
//! - after `cancelTimeoutInMinutes` nothing of the job is run any more.
//!
//! A pipeline is YAML ([`Pipeline`]), expanded as the server expands it and run by a [`Job`]. What the imitation does not know is
//! an error, not something that it skips: a new key, function or command has to be added here, with its source, first.
//!
//! ```ignore
//! let pipeline = Pipeline::load(&file).expect("a pipeline");
//! let service = AzureCacheService::new(&directory);
//! let job = Job::new(&pipeline).event(Event::branch("refs/heads/main")).service(&service).run();
//! assert_eq!(job.status, Status::Succeeded, "{}", job.log);
//! ```

mod azure_cli;
mod cache;
mod commands;
mod conditions;
mod connection;
mod event;
mod expression;
mod job;
mod log;
mod node_task;
mod outcome;
mod pipeline;
mod process;
mod runner;
mod script;
mod stage;
mod status;
mod step;
mod template;
mod value;
mod variables;
mod yaml;

pub use cache::service::{AzureCacheService, Faults, SavedEntry};
pub use connection::ServiceConnection;
pub use event::Event;
pub use job::{Cancel, Job};
pub use outcome::{Issue, JobResult, Stage, StepResult};
pub use pipeline::Pipeline;
pub use status::Status;
pub use yaml::Refused;
