//! How a request fails: a status, and a text that the page shows as it is.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gunmetal::client::CallError;
use serde_json::json;

/// A request that came to nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    pub message: String,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (status, message) = match error {
            // The app has looked at the picture and says what is wrong with it.
            CallError::App { message, .. } => (StatusCode::UNPROCESSABLE_ENTITY, message),
            CallError::Timeout { message, timeout } => {
                let limit = timeout.map(|timeout| format!(" after {timeout:?}")).unwrap_or_default();
                (StatusCode::GATEWAY_TIMEOUT, message + &limit)
            }
            CallError::Worker { message, .. } => (StatusCode::BAD_GATEWAY, message),
            CallError::NoWorkersAvailable { message, .. } => (StatusCode::SERVICE_UNAVAILABLE, message),
            error @ CallError::Connection { .. } => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            error => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        Self { status, message }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}
