//! Why nothing new is shown, in words, and what to do about it.

use hyper::StatusCode;

use super::client::{Client, Failure};
use crate::serve::config;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    /// Usually a command.
    pub advice: String,
}

impl Trouble {
    pub fn new(failure: &Failure, client: &Client) -> Trouble {
        let place = client.place();
        let (what, advice) = match failure {
            Failure::Silent(why) => (
                format!("no daemon answers at {place}: {why}"),
                "start it by `sudo tracer serve`, or say where it is by `tracer top --url http://HOST:PORT`"
                    .to_owned(),
            ),
            Failure::Refused(StatusCode::UNAUTHORIZED, _) => {
                let what = if client.has_token() { "takes another token" } else { "wants a token" };
                let advice = format!(
                    "`tracer top --token-file FILE`, where FILE holds what web.token is in {}",
                    config::PATH
                );
                (format!("the daemon at {place} {what}"), advice)
            }
            Failure::Refused(StatusCode::FORBIDDEN, reason) => (
                format!("the daemon at {place} refuses: {reason}"),
                "`tracer top --url http://localhost:PORT`".to_owned(),
            ),
            Failure::Refused(StatusCode::SERVICE_UNAVAILABLE, reason) if reason.contains("no history") => (
                "no history is kept, which this is answered from; health can still be seen".to_owned(),
                format!("set history.path in {}, then `sudo systemctl restart tracer`", config::PATH),
            ),
            Failure::Refused(StatusCode::NOT_FOUND, reason) => {
                (reason.clone(), "Esc goes back to the list".to_owned())
            }
            Failure::Refused(_, reason) => (reason.clone(), "it is asked again".to_owned()),
            Failure::Foreign(why) => (
                format!("what answers at {place} is no tracer of this version: {why}"),
                format!(
                    "web.listen in {} says where the daemon is; `tracer --version` of both must agree",
                    config::PATH
                ),
            ),
        };
        Trouble { what, advice }
    }
}
