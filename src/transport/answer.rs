//! Short answers of APIs: read whole, with the body of a refusal, which holds its reason.

use reqwest::{RequestBuilder, Response, StatusCode};

use super::download::{bounded, refuse_status};
use super::http::client::Timeouts;
use super::http::error::Cause;
use super::http::options::FetchOptions;

/// Sends a request once and reads its answer, of at most `limit` bytes.
///
/// # Errors
/// What prevents an answer, and what a later attempt may not meet: a connection, a timeout, a limit of requests.
pub(crate) async fn answer(
    request: RequestBuilder,
    options: &FetchOptions,
    timeouts: Timeouts,
    limit: usize,
) -> Result<(StatusCode, Vec<u8>), Cause> {
    let answered = bounded(options, timeouts.connect + timeouts.idle, request.send()).await?;
    let mut response = answered.map_err(|error| Cause::of_request(error, 0, timeouts.idle))?;
    if let Err(cause) = refuse_status(&response, options.clock)
        && !is_final(&response)
    {
        return Err(cause);
    }
    let status = response.status();
    let mut bytes = Vec::new();
    loop {
        let piece = bounded(options, timeouts.idle, response.chunk()).await?;
        let piece = piece.map_err(|error| Cause::of_request(error, bytes.len() as u64, timeouts.idle))?;
        let Some(piece) = piece else { return Ok((status, bytes)) };
        bytes.extend_from_slice(&piece);
        if bytes.len() > limit {
            return Err(Cause::Protocol(format!("a response of more than {limit} bytes")));
        }
    }
}

/// Whether the body of an error response has the reason, as opposed to a transient error.
fn is_final(response: &Response) -> bool {
    let status = response.status();
    status.is_client_error() && !matches!(status.as_u16(), 407 | 408 | 425 | 429)
}
