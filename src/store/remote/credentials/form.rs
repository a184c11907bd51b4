//! Requests of exchanges that are forms.

use object_store::client::HttpRequest;

use super::renewal::{RenewalError, Step, request};
use crate::store::remote::signed::encoded;

/// A request of an exchange with these fields of a form.
pub(super) fn form(step: Step, url: &str, fields: &[(&str, String)]) -> Result<HttpRequest, RenewalError> {
    let fields = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    let body = fields.collect::<Vec<_>>().join("&");
    request(step, http::Method::POST, url, &[("content-type", "application/x-www-form-urlencoded")], body)
}
