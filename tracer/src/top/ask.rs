//! When the daemon is asked: at once for what is newly looked at, again when something finished, and now and then.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::{
    answer::Question,
    client::Client,
    state::{Event, State},
    trouble::Trouble,
};
use crate::record::pipeline::clocks;

/// Between two questions at least.
const LEAST: Duration = Duration::from_secs(1);

/// Between two questions while nothing finishes: what is long ago goes.
const MOST: Duration = Duration::from_secs(5);

/// From when a request is told until it is in the history.
const WRITING: Duration = Duration::from_millis(300);

pub struct Asker {
    client: Client,
    since: Duration,
    tell: Sender<Event>,
    asked: Option<(Question, Instant)>,
    pending: Option<JoinHandle<()>>,
    /// When something was first told that is not in an answer yet.
    news: Option<Instant>,
}

impl Asker {
    pub fn new(client: Client, since: Duration, tell: Sender<Event>) -> Asker {
        Asker { client, since, tell, asked: None, pending: None, news: None }
    }

    /// What happened may change answers.
    pub fn hear(&mut self, event: &Event, now: Instant) {
        if matches!(event, Event::Finished { .. } | Event::Told | Event::Untold) {
            self.news.get_or_insert(now);
        }
    }

    /// Asks for what is shown, if that is due; what is not looked at any more is not waited for.
    pub fn ask(&mut self, state: &State, now: Instant) {
        let question = state.question();
        if !self.is_due(state, &question, now) {
            return;
        }
        if let Some(pending) = self.pending.take() {
            pending.abort();
        }
        self.asked = Some((question.clone(), now));
        self.news = None;
        let (client, since, tell) = (self.client.clone(), self.since, self.tell.clone());
        self.pending = Some(tokio::spawn(async move {
            let answer = client.get(&question.path(since)).await.and_then(|body| question.parse(&body));
            let answer = answer.map_err(|failure| Trouble::new(&failure, &client));
            let at_unix_ns = clocks().1;
            // Nobody listens where the end has come.
            let _ = tell.send(Event::Answered { question, answer, at_unix_ns }).await;
        }));
    }

    fn is_due(&self, state: &State, question: &Question, now: Instant) -> bool {
        let Some((asked, asked_at)) = self.asked.as_ref().filter(|(asked, _)| asked == question) else {
            return true;
        };
        let is_pending = self.pending.as_ref().is_some_and(|pending| !pending.is_finished());
        // A request that has finished does not change.
        let is_known =
            matches!((asked, &state.data.request), (Question::Request(id), Some((of, _))) if id == of);
        let is_new = state.trouble.is_some() || self.news.is_some_and(|news| now - news >= WRITING);
        let pause = if is_new { LEAST } else { MOST };
        !is_pending && !is_known && !state.is_paused && now - *asked_at >= pause
    }
}
