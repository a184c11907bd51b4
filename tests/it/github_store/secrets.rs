//! Neither a token nor a signature in anything that a person may see.

use cachekeep::parts::Client;
use cachekeep::parts::{CacheService, Reservation};

use crate::github_store::job::{MAIN, credentials, impatient, named, payload, save, store, version, whole};
use cachekeep_test_support::github_service::{Fault, GitHubService, Point, capture};

#[tokio::test]
async fn what_the_service_says_is_shown_without_signatures_and_tokens() {
    let service = GitHubService::start();
    let token = GitHubService::token(&[(MAIN, 3)]);
    let said = format!("see http://b/x?sig=hush%2B&se=1 and Bearer {token}\\n::set-env name=X::y");
    let body = format!("{{\"ok\":false,\"message\":\"{said}\"}}");
    service.fail_always(Point::Create, Fault::Answer(200, Vec::new(), body));
    let job = store(&service, &[(MAIN, 3)], impatient());
    let error = save(&job, "k", &payload(10)).await.expect_err("refused");
    let text = whole(&error);
    assert!(text.contains("see http://b/x?sig=***&se=*** and Bearer *** \\u{3a}:set-env"), "{text}");
    assert!(!text.contains("hush") && !text.contains(&token) && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn what_is_printed_for_debugging_holds_no_secret() {
    let service = GitHubService::start();
    let token = GitHubService::token(&[(MAIN, 3)]);
    let credentials = credentials(&service.url(), &token);
    let options = impatient();
    let client = Client::new(options.timeouts).expect("a client");
    let cache = CacheService::new(
        client,
        credentials.service.clone(),
        credentials.token.clone(),
        options.fetch.clone(),
    );
    let reserved = cache.reserve(&named("k").key, &version()).await.expect("reserved");
    assert!(matches!(reserved, Reservation::Reserved(_)));
    let text = format!("{credentials:?} {reserved:?}");
    capture::text("debug", &text);
    assert!(!text.contains(&token) && !text.contains("sig="), "{text}");
}
