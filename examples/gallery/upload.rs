//! An uploaded picture, taken out of a request.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use crate::failure::Failure;

/// The body of a request, not looked at yet.
pub(crate) struct Upload(pub Bytes);

impl Upload {
    /// The largest upload, in bytes: no camera makes more, and a call may carry 64 MiB.
    pub(crate) const MAX_LEN: usize = 32 << 20;
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                status @ StatusCode::PAYLOAD_TOO_LARGE => {
                    let message = format!("this upload is larger than {} MiB", Self::MAX_LEN >> 20);
                    Failure { status, message }
                }
                status => Failure { status, message: rejection.body_text() },
            })?;
        if body.is_empty() {
            return Err(Failure { status: StatusCode::BAD_REQUEST, message: "this file is empty".into() });
        }
        Ok(Self(body))
    }
}
