//! Answers that are refusals: JSON with an `error` that says what to do.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into() }
    }

    pub fn no_history() -> Refusal {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no history is kept: set history.path in the configuration",
        )
    }

    pub fn busy() -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "others ask the history: try again later")
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.reason }))).into_response()
    }
}

pub async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there are /metrics and /api/v1/, as docs/api.md has it")
}
