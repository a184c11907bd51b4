//! Requests with large bodies.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::watch;

use super::client::{Client, ClientError, Timeouts};
use super::error::Cause;
use super::options::FetchOptions;
use crate::domain::event::Details;

/// Bytes that are handed to the connection at once; each hand-over counts as progress.
const PIECE: usize = 256 << 10;

/// The client's own limit for an answer, long enough for a slow line: what is idle is watched here.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// Sends bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BodySender {
    client: Client,
    idle: Duration,
}

impl BodySender {
    /// A sender with these timeouts; idle is here a connection that takes no bytes and gives no answer.
    pub(crate) fn new(timeouts: Timeouts, details: Details) -> Result<Self, ClientError> {
        // The HTTP client counts the time of sending as waiting for an answer.
        let client = Client::new(Timeouts { idle: LONGEST_REQUEST, ..timeouts })?.with_details(details);
        Ok(BodySender { client, idle: timeouts.idle })
    }

    /// The same sender with [`Client::allowing_metadata_addresses`].
    pub(crate) fn allowing_metadata_addresses(self) -> Self {
        BodySender { client: self.client.allowing_metadata_addresses(), ..self }
    }

    /// The client that makes the requests.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request of [`BodySender::client`] with this body, whose length it announces: services take none of
    /// unknown length. The body of the answer has no idle timeout.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        body: Bytes,
        options: &FetchOptions,
    ) -> Result<Response, Cause> {
        let (progress, watched) = watch::channel(());
        let request = request.header(CONTENT_LENGTH, body.len()).body(in_pieces(body, progress));
        let answered = self.while_it_moves(request.send(), watched, options).await?;
        answered.map_err(|error| Cause::of_request(error, 0, self.idle))
    }

    /// Runs a request until nothing has moved for the idle timeout, the deadline passes, or it is cancelled.
    async fn while_it_moves<T>(
        &self,
        request: impl Future<Output = T>,
        mut progress: watch::Receiver<()>,
        options: &FetchOptions,
    ) -> Result<T, Cause> {
        tokio::pin!(request);
        // Until it stands, a connection has its own limit; it must not count as idle before that.
        let mut moved = Instant::now() + self.client.timeouts().connect;
        let mut sends = true;
        loop {
            // What was handed over last may still be in the system's buffers, of all blocks at once.
            let idle = if sends { self.idle } else { self.idle * 3 };
            let stall = moved + idle;
            let (until, late) = match options.deadline {
                Some(deadline) if deadline < stall => (deadline, Cause::Deadline),
                _ => (stall, Cause::Stalled(idle)),
            };
            tokio::select! {
                biased;
                () = options.cancel.cancelled() => return Err(Cause::Cancelled),
                done = &mut request => return Ok(done),
                more = progress.changed(), if sends => {
                    // The sender is dropped with the last piece.
                    sends = more.is_ok();
                    moved = Instant::now();
                }
                () = tokio::time::sleep_until(until.into()) => return Err(late),
            }
        }
    }
}

/// A body that reports each piece that the connection has taken.
fn in_pieces(body: Bytes, progress: watch::Sender<()>) -> Body {
    Body::wrap_stream(futures::stream::unfold((body, progress), |(mut body, progress)| async move {
        if body.is_empty() {
            return None;
        }
        let piece = body.split_to(body.len().min(PIECE));
        progress.send_replace(());
        Some((Ok::<_, std::io::Error>(piece), (body, progress)))
    }))
}
