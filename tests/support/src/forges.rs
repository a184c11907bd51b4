//! Fakes of what Azure Repos and GitLab tell of pull requests, on one port.
//!
//! Each rule names the document that it is from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::capture;
use crate::github_service::http::{Answer, Fault, Request, Server, Service};

/// The token of a job for both.
pub const TOKEN: &str = "token-of-the-job-for-its-forge";

/// A pull request; open where it was never closed.
#[derive(Debug, Clone, Default)]
pub struct Pull {
    pub closed_at: Option<String>,
    pub is_merged: bool,
}

#[derive(Default)]
struct World {
    pulls: BTreeMap<u64, Pull>,
    /// Statuses that are answered before the true ones.
    faults: Vec<u16>,
    asked: Vec<String>,
}

struct State(Mutex<World>);

impl State {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server.
pub struct Forges {
    state: Arc<State>,
    server: Server,
}

impl Forges {
    /// With these pull requests.
    pub fn start(pulls: impl IntoIterator<Item = (u64, Pull)>) -> Self {
        capture::secret("forge-token", TOKEN);
        let world = World { pulls: pulls.into_iter().collect(), ..World::default() };
        let state = Arc::new(State(Mutex::new(world)));
        Forges { server: Server::start(Arc::clone(&state) as _), state }
    }

    /// Answers with these statuses before the true answers.
    pub fn fail(&self, statuses: &[u16]) {
        self.state.world().faults = statuses.iter().rev().copied().collect();
    }

    /// The paths and queries of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.world().asked.clone()
    }

    /// Variables of a job of Azure Pipelines that builds a repository of Azure Repos (learn.microsoft.com,
    /// "Use predefined variables").
    pub fn azure(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TF_BUILD", "True".to_owned()),
            ("BUILD_REASON", "Schedule".to_owned()),
            ("BUILD_REPOSITORY_PROVIDER", "TfsGit".to_owned()),
            ("BUILD_REPOSITORY_ID", "6a1c".to_owned()),
            ("BUILD_REPOSITORY_URI", "https://dev.azure.com/acme/app/_git/app".to_owned()),
            ("SYSTEM_TEAMPROJECTID", "9f2e".to_owned()),
            ("SYSTEM_COLLECTIONURI", format!("http://127.0.0.1:{}/acme/", self.server.port)),
            ("SYSTEM_ACCESSTOKEN", TOKEN.to_owned()),
        ]
    }

    /// Variables of a job of GitLab (docs.gitlab.com, "Predefined CI/CD variables reference").
    pub fn gitlab(&self) -> Vec<(&'static str, String)> {
        vec![
            ("GITLAB_CI", "true".to_owned()),
            ("CI", "true".to_owned()),
            ("CI_PIPELINE_SOURCE", "schedule".to_owned()),
            ("CI_PROJECT_URL", "https://gitlab.com/acme/app".to_owned()),
            ("CI_SERVER_HOST", "gitlab.com".to_owned()),
            ("CI_PROJECT_PATH", "acme/app".to_owned()),
            ("CI_PROJECT_ID", "42".to_owned()),
            ("CI_API_V4_URL", format!("http://127.0.0.1:{}/api/v4", self.server.port)),
            ("GITLAB_TOKEN", TOKEN.to_owned()),
        ]
    }
}

impl Service for State {
    fn fault(&self, _method: &str, _path: &str, _query: &str) -> Fault {
        Fault::None
    }

    fn answer(&self, request: &Request) -> Answer {
        self.world().asked.push(format!("{}?{}", request.path, request.query));
        if let Some(status) = self.world().faults.pop() {
            return Answer::of(status);
        }
        if let Some(number) =
            request.path.strip_prefix("/acme/9f2e/_apis/git/repositories/6a1c/pullRequests/")
        {
            return self.azure(request, number);
        }
        match request.path.as_str() {
            "/api/v4/projects/42/merge_requests" => self.gitlab(request),
            _ => Answer::of(404),
        }
    }
}

impl State {
    /// learn.microsoft.com, "Pull Requests - Get Pull Request" (7.1): `status`, `closedDate`, `targetRefName`.
    fn azure(&self, request: &Request, number: &str) -> Answer {
        // learn.microsoft.com, "Use personal access tokens": what is not signed in gets the sign-in page, with 203.
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return Answer::of(203).with("Content-Type", "text/html").and_body("<html>Sign In</html>");
        }
        // "Azure DevOps Services REST API versioning": a request has to name its version.
        if request.parameter("api-version").as_deref() != Some("7.1") {
            return Answer::of(400);
        }
        let world = self.world();
        let Some((number, pull)) = number.parse().ok().and_then(|number| world.pulls.get_key_value(&number))
        else {
            return Answer::json(
                404,
                &json!({ "typeKey": "GitPullRequestNotFoundException", "message": "TF401180" }),
            );
        };
        let status = match pull {
            Pull { closed_at: None, .. } => "active",
            Pull { is_merged: true, .. } => "completed",
            Pull { .. } => "abandoned",
        };
        let mut document =
            json!({ "pullRequestId": number, "status": status, "targetRefName": "refs/heads/main" });
        if let Some(at) = &pull.closed_at {
            document["closedDate"] = json!(at);
        }
        Answer::json(200, &document)
    }

    /// docs.gitlab.com, "Merge requests API", "List project merge requests": `iids[]`, `state`, `per_page`.
    fn gitlab(&self, request: &Request) -> Answer {
        // docs.gitlab.com, "REST API authentication".
        if request.header("private-token") != Some(TOKEN) {
            return Answer::json(401, &json!({ "message": "401 Unauthorized" }));
        }
        let wanted: Vec<u64> = request
            .query
            .split('&')
            .filter_map(|pair| pair.replace("%5B%5D", "[]").strip_prefix("iids[]=")?.parse().ok())
            .collect();
        let page = request.parameter("per_page").and_then(|text| text.parse().ok()).unwrap_or(20);
        // Without `state=all` it lists those of every state, too; the default is kept for clients that rely on it.
        let world = self.world();
        let listed = world.pulls.iter().filter(|(number, _)| wanted.contains(number)).take(page);
        Answer::json(200, &listed.map(|(number, pull)| merge_request(*number, pull)).collect())
    }
}

fn merge_request(number: u64, pull: &Pull) -> Value {
    let state = match pull {
        Pull { closed_at: None, .. } => "opened",
        Pull { is_merged: true, .. } => "merged",
        Pull { .. } => "closed",
    };
    let at = |is_so: bool| pull.closed_at.as_ref().filter(|_| is_so);
    json!({
        "iid": number,
        "state": state,
        "target_branch": "main",
        "merged_at": at(pull.is_merged),
        "closed_at": at(!pull.is_merged),
    })
}
