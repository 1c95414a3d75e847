//! What is shown, and how keys and answers change it. No clock, no terminal, no network.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    answer::{Answer, Question},
    data::Data,
    live::Live,
    trouble::Trouble,
};

/// What there is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Routes,
    Vendors,
    Requests,
    Findings,
    Health,
}

impl Tab {
    pub const ALL: [Tab; 5] = [Tab::Routes, Tab::Vendors, Tab::Requests, Tab::Findings, Tab::Health];

    pub fn name(self) -> &'static str {
        match self {
            Tab::Routes => "routes",
            Tab::Vendors => "vendors",
            Tab::Requests => "requests",
            Tab::Findings => "findings",
            Tab::Health => "health",
        }
    }

    /// Orders of its list, the first unless another is chosen.
    pub fn orders(self) -> &'static [&'static str] {
        match self {
            Tab::Routes => &["time", "requests", "errors", "p95"],
            Tab::Vendors => &["calls", "errors", "p95", "tokens out"],
            Tab::Requests => &["newest", "slowest"],
            Tab::Findings | Tab::Health => &[],
        }
    }
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A question was answered, or not.
    Answered {
        question: Question,
        answer: Result<Answer, Trouble>,
        at_unix_ns: u64,
    },
    /// From now on requests are told as they finish.
    Told,
    /// They are not any more.
    Untold,
    Finished {
        route: String,
        is_error: bool,
    },
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing of what is shown has changed.
    Nothing,
    Draw,
    /// All of it, also what seems to be there already.
    DrawAnew,
    Quit,
}

/// The rest of a list, or of a text, that is looked at.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// What is selected, by its name: it moves with it.
    pub selected: Option<String>,
    pub order: usize,
    pub filter: String,
}

#[derive(Clone, Debug)]
pub struct State {
    pub place: String,
    pub since: Duration,
    pub tab: Tab,
    places: [Place; Tab::ALL.len()],
    /// Of requests those of this route, or with calls to this vendor, alone.
    pub route: Option<String>,
    pub vendor: Option<String>,
    /// A request that is looked at, by its id.
    pub opened: Option<String>,
    /// The first line of a text that is shown.
    pub scroll: u16,
    pub is_paused: bool,
    pub is_help: bool,
    /// A filter is being typed.
    pub is_typing: bool,
    pub data: Data,
    pub trouble: Option<Trouble>,
    pub live: Live,
    /// When it was last answered.
    pub answered_unix_ns: u64,
}

impl State {
    pub fn new(place: &str, since: Duration) -> State {
        State {
            place: place.to_owned(),
            since,
            tab: Tab::Routes,
            places: Default::default(),
            route: None,
            vendor: None,
            opened: None,
            scroll: 0,
            is_paused: false,
            is_help: false,
            is_typing: false,
            data: Data::default(),
            trouble: None,
            live: Live::default(),
            answered_unix_ns: 0,
        }
    }

    /// What has to be asked for what is shown.
    pub fn question(&self) -> Question {
        if let Some(id) = &self.opened {
            return Question::Request(id.clone());
        }
        match self.tab {
            Tab::Routes => Question::Overview,
            Tab::Vendors => Question::Vendors,
            Tab::Requests => Question::Requests {
                slowest: self.place().order == 1,
                route: self.route.clone(),
                vendor: self.vendor.clone(),
            },
            Tab::Findings => Question::Findings,
            Tab::Health => Question::Health,
        }
    }

    pub fn place(&self) -> &Place {
        &self.places[self.tab as usize]
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.places[self.tab as usize]
    }

    pub fn update(&mut self, event: Event, now_ns: u64) -> Then {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => Then::Nothing,
            Event::Key(key) => self.press(key),
            Event::Resized => Then::Draw,
            Event::Answered { question, answer, at_unix_ns } => self.answer(question, answer, at_unix_ns),
            Event::Told => {
                self.live.begin(now_ns);
                Then::Draw
            }
            Event::Untold => {
                self.live.end();
                Then::Draw
            }
            Event::Finished { route, is_error } => {
                self.live.add(&route, is_error, now_ns);
                Then::Nothing
            }
        }
    }

    /// Time goes on: the rates of now change with it.
    pub fn pass(&mut self, now_ns: u64) -> Then {
        let before = self.live.per_second(None);
        self.live.pass(now_ns);
        if before == self.live.per_second(None) || self.is_paused { Then::Nothing } else { Then::Draw }
    }

    /// What the selected row is called, the first unless another was chosen.
    pub fn selected(&self) -> Option<String> {
        let names = self.names();
        let selected = self.place().selected.as_ref().filter(|name| names.contains(name));
        selected.or(names.first()).cloned()
    }

    /// What the rows of the list are called, in order.
    fn names(&self) -> Vec<String> {
        self.data.names(self.tab, self.place())
    }

    fn answer(&mut self, question: Question, answer: Result<Answer, Trouble>, at_unix_ns: u64) -> Then {
        if question != self.question() {
            return Then::Nothing;
        }
        match answer {
            Ok(answer) => {
                self.data.take(question, answer);
                self.trouble = None;
                self.answered_unix_ns = at_unix_ns;
            }
            Err(trouble) if self.trouble.as_ref() == Some(&trouble) => return Then::Nothing,
            Err(trouble) => self.trouble = Some(trouble),
        }
        Then::Draw
    }

    fn press(&mut self, key: KeyEvent) -> Then {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Then::Quit,
                // As everywhere: something else has written over it.
                KeyCode::Char('l') => Then::DrawAnew,
                _ => Then::Nothing,
            };
        }
        if self.is_typing {
            return self.type_filter(key.code);
        }
        if self.is_help {
            self.is_help = false;
            return if key.code == KeyCode::Char('q') { Then::Quit } else { Then::Draw };
        }
        match key.code {
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Char('?') => self.is_help = true,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Tab::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                let index = usize::from(digit as u8 - b'1');
                self.show(Tab::ALL[index]);
            }
            KeyCode::Char('s') if self.opened.is_none() => {
                let orders = self.tab.orders().len().max(1);
                let place = self.place_mut();
                place.order = (place.order + 1) % orders;
                place.selected = None;
            }
            KeyCode::Char('/') if self.opened.is_none() && self.tab != Tab::Health => self.is_typing = true,
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => self.open(),
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace | KeyCode::Char('h') => self.back(),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.go(10),
            KeyCode::PageUp => self.go(-10),
            KeyCode::Home | KeyCode::Char('g') => self.go(i32::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(i32::MAX),
            _ => return Then::Nothing,
        }
        Then::Draw
    }

    fn type_filter(&mut self, code: KeyCode) -> Then {
        /// Characters of a filter.
        const LONGEST: usize = 100;
        let place = self.place_mut();
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                place.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => {
                place.filter.pop();
            }
            KeyCode::Char(c) if place.filter.chars().count() < LONGEST => place.filter.push(c),
            _ => return Then::Nothing,
        }
        Then::Draw
    }

    fn turn(&mut self, by: usize) {
        let tab = Tab::ALL[(self.tab as usize + by) % Tab::ALL.len()];
        self.show(tab);
    }

    /// Goes to a tab as it was left, but to requests of all routes.
    fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.opened = None;
        self.route = None;
        self.vendor = None;
        self.scroll = 0;
        self.trouble = None;
    }

    /// Goes from what is selected to what is in it.
    fn open(&mut self) {
        if self.opened.is_some() {
            return;
        }
        let Some(selected) = self.selected() else { return };
        match self.tab {
            Tab::Routes => {
                self.show(Tab::Requests);
                self.route = Some(selected);
                self.place_mut().selected = None;
            }
            Tab::Vendors => {
                let vendor = self.data.vendor_of(&selected);
                self.show(Tab::Requests);
                self.vendor = vendor;
                self.place_mut().selected = None;
            }
            Tab::Requests => {
                self.scroll = 0;
                self.trouble = None;
                self.place_mut().selected = Some(selected.clone());
                self.opened = Some(selected);
            }
            Tab::Findings => {
                if let Some(route) = self.data.route_of_finding(&selected) {
                    self.show(Tab::Requests);
                    self.route = Some(route);
                    self.place_mut().selected = None;
                }
            }
            Tab::Health => {}
        }
    }

    /// Goes back from a request to its list, from there to the list that led there, or to no filter.
    fn back(&mut self) {
        self.trouble = None;
        self.scroll = 0;
        if self.opened.take().is_some() {
            return;
        }
        if !self.place().filter.is_empty() {
            self.place_mut().filter.clear();
        } else if self.tab == Tab::Requests && self.route.is_some() {
            self.show(Tab::Routes);
        } else if self.tab == Tab::Requests && self.vendor.is_some() {
            self.show(Tab::Vendors);
        }
    }

    /// Moves what is selected, or the text that is shown.
    fn go(&mut self, by: i32) {
        if self.opened.is_some() || self.tab == Tab::Health {
            // The end of the text is known where it is drawn.
            let scroll = i32::from(self.scroll).saturating_add(by);
            self.scroll = u16::try_from(scroll.max(0)).unwrap_or(u16::MAX);
            return;
        }
        let names = self.names();
        let selected = self.selected();
        let at = names.iter().position(|name| Some(name) == selected.as_ref()).unwrap_or(0);
        let at = i64::from(by).saturating_add(at as i64).clamp(0, names.len().saturating_sub(1) as i64);
        self.place_mut().selected = names.get(at as usize).cloned();
    }
}
