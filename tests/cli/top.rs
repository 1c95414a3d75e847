//! The terminal view: its pages as they are drawn, and how keys lead from one to the other.

use std::{sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};
use tests::{binary, golden, sample};
use tracer::{
    serve::{
        batch::{Batch, Batches, Found},
        history::{
            self, Limits,
            read::{Asked, Order, Range, Reader},
        },
    },
    top::{
        answer::{Answer, Question},
        draw,
        state::{Event, State, Tab, Then},
        trouble::Trouble,
    },
};

const SECOND_NS: u64 = 1_000_000_000;

/// A view of the sample report, as a daemon would answer about it.
struct Case {
    reader: Reader,
    range: Range,
    state: State,
    now_ns: u64,
    _folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().expect("make a directory");
        let path = folder.path().join("history.db");
        let mut report = sample::report();
        for (index, request) in report.requests.iter_mut().enumerate() {
            request.id = (index + 1).to_string();
        }
        let from_unix_ns = report.capture.start_unix_ns;
        let to_unix_ns = from_unix_ns + 59 * SECOND_NS;
        let found = Found { start_unix_ns: from_unix_ns, end_unix_ns: to_unix_ns, findings: report.findings };
        let batches = Batches::default();
        let ever = Duration::from_secs(1 << 30);
        let limits = Limits { requests: ever, minutes: ever, max_bytes: u64::MAX };
        let writing = history::start(path.clone(), limits, batches.subscribe(), Arc::default());
        batches.publish(Batch {
            at_unix_ns: to_unix_ns,
            requests: report.requests.into_iter().map(Arc::new).collect(),
            findings: Some(found),
            ..Batch::default()
        });
        drop(batches);
        writing.expect("it starts").join().expect("it ends");
        let reader = Reader::open(&path).expect("it can be read");
        let range = Range { from_unix_ns, to_unix_ns };
        let state = State::new("127.0.0.1:7070", Duration::from_secs(300));
        Case { reader, range, state, now_ns: 0, _folder: folder }
    }

    /// Answers what the view wants to know.
    fn answered(mut self) -> Case {
        self.answer();
        self
    }

    fn answer(&mut self) {
        let question = self.state.question();
        let answer = match &question {
            Question::Overview => {
                self.reader.overview(self.range, None, 1).map(Box::new).map(Answer::Overview)
            }
            Question::Vendors => self.reader.vendors(self.range).map(Answer::Vendors),
            Question::Requests { slowest, route, vendor } => {
                let order = if *slowest { Order::Slowest } else { Order::Newest };
                let asked = Asked { order, route: route.clone(), vendor: vendor.clone(), ..Asked::default() };
                self.reader.requests(self.range, &asked).map(|page| Answer::Requests(page.requests))
            }
            Question::Request(id) => self
                .reader
                .request(id)
                .map(|whole| Answer::Request(Box::new(whole.expect("it is there").into_request()))),
            Question::Findings => self.reader.findings(self.range).map(Answer::Findings),
            Question::Health => Ok(Answer::Health(serde_json::json!({
                "version": "0.1.0", "uptime_ns": 90 * SECOND_NS, "processes": 2, "requests": 12_345, "events": 678_901,
                "lost": {"ring": 12, "history": 0}, "ring_lag_ns": 40_000, "cpu_ns": SECOND_NS, "resident_bytes": 41_000_000,
                "open_files": 17, "held": {"open_requests": 3, "threads": 9, "connections": 1},
                "history": {"path": "/var/lib/tracer/history.db", "bytes": 5_000_000, "trouble": null},
            }))),
        };
        let answer = Ok(answer.expect("it is answered"));
        self.happen(Event::Answered { question, answer, at_unix_ns: self.range.to_unix_ns });
    }

    fn happen(&mut self, event: Event) -> Then {
        self.state.update(event, self.now_ns)
    }

    /// Presses keys, and answers what that leads to.
    fn press(&mut self, keys: &[KeyCode]) -> Then {
        let mut then = Then::Nothing;
        for key in keys {
            then = self.happen(Event::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
            self.answer();
        }
        then
    }

    fn drawn(&self, width: u16, height: u16) -> String {
        self.terminal(width, height).backend().to_string()
    }

    fn terminal(&self, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| _ = draw::draw(&self.state, frame, false)).expect("it is drawn");
        terminal
    }
}

#[test]
fn pages_are_as_expected() {
    let mut case = Case::new();
    case.happen(Event::Told);
    for route in ["POST /compute", "POST /compute", "POST /chat/{id}"] {
        case.happen(Event::Finished { route: route.to_owned(), is_error: route.contains("chat") });
    }
    case.now_ns = 4 * SECOND_NS;
    case.state.pass(case.now_ns);
    let mut case = case.answered();
    for tab in Tab::ALL {
        for (width, height) in [(80, 24), (140, 24)] {
            golden::assert_matches(&format!("top/{}-{width}.txt", tab.name()), &case.drawn(width, height));
        }
        case.press(&[KeyCode::Tab]);
    }
    assert_eq!(case.state.tab, Tab::Routes);
    case.press(&[KeyCode::Char('?')]);
    golden::assert_matches("top/help-80.txt", &case.drawn(80, 24));
    case.press(&[KeyCode::Esc, KeyCode::Down, KeyCode::Enter]);
    golden::assert_matches("top/requests-of-route-80.txt", &case.drawn(80, 24));
    case.press(&[KeyCode::Enter]);
    golden::assert_matches("top/request-80.txt", &case.drawn(80, 24));
    golden::assert_matches("top/request-140.txt", &case.drawn(140, 40));
}

#[test]
fn every_page_is_drawn_in_every_size() {
    let mut case = Case::new().answered();
    for _ in Tab::ALL {
        for (width, height) in [(1, 1), (20, 5), (40, 8), (41, 9), (60, 12), (300, 100)] {
            let drawn = case.drawn(width, height);
            assert_eq!(drawn.lines().count(), usize::from(height), "{width} by {height}");
        }
        case.press(&[KeyCode::Char('?')]);
        case.drawn(40, 8);
        case.press(&[KeyCode::Char('?'), KeyCode::Tab]);
    }
}

#[test]
fn keys_lead_there_and_back() {
    let mut case = Case::new().answered();
    let routes = case.state.data.names(Tab::Routes, case.state.place());
    case.press(&[KeyCode::Char('j'), KeyCode::Char('j'), KeyCode::Up]);
    assert_eq!(case.state.selected().as_ref(), routes.get(1));
    case.press(&[KeyCode::Enter]);
    assert_eq!((case.state.tab, case.state.route.as_ref()), (Tab::Requests, routes.get(1)));
    let listed = case.state.data.requests(case.state.place());
    assert!(!listed.is_empty() && listed.iter().all(|request| Some(&request.route) == routes.get(1)));
    case.press(&[KeyCode::Enter]);
    let opened = case.state.opened.clone().expect("a request is open");
    assert_eq!(case.state.question(), Question::Request(opened.clone()));
    case.press(&[KeyCode::Esc]);
    assert_eq!((case.state.selected(), &case.state.opened), (Some(opened), &None));
    case.press(&[KeyCode::Esc]);
    assert_eq!((case.state.tab, case.state.selected().as_ref()), (Tab::Routes, routes.get(1)));
    assert_eq!(case.press(&[KeyCode::Char('q')]), Then::Quit);
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    case.press(&[KeyCode::Char('/')]);
    assert_eq!(case.happen(Event::Key(ctrl_c)), Then::Quit);
}

#[test]
fn what_is_selected_stays_so_in_another_order() {
    let mut case = Case::new().answered();
    let walls = |case: &Case| -> Vec<u64> {
        case.state.data.requests(case.state.place()).iter().map(|request| request.wall_ns).collect()
    };
    case.press(&[KeyCode::Char('3'), KeyCode::Char('s')]);
    assert!(walls(&case).len() > 3 && walls(&case).is_sorted_by(|one, next| one >= next));
    case.press(&[KeyCode::End]);
    let last = case.state.selected();
    case.answer();
    assert_eq!(case.state.selected(), last);
    case.press(&[KeyCode::Char('s')]);
    assert_ne!(case.state.selected(), None);
    assert!(!walls(&case).is_sorted_by(|one, next| one >= next));
}

#[test]
fn a_filter_hides_what_is_called_otherwise() {
    let mut case = Case::new().answered();
    let typed = |text: &str| text.chars().map(KeyCode::Char).collect::<Vec<_>>();
    case.press(&typed("/COMPUq"));
    case.press(&[KeyCode::Backspace]);
    assert!(case.drawn(80, 24).contains("filter: COMPU_"));
    case.press(&[KeyCode::Enter]);
    assert_eq!(case.state.data.names(Tab::Routes, case.state.place()), ["POST /compute"]);
    case.press(&[KeyCode::Esc]);
    assert!(case.state.data.names(Tab::Routes, case.state.place()).len() > 2);
    case.press(&typed("/nowhere"));
    assert!(case.drawn(80, 24).contains("nothing has `nowhere` in its name"));
}

#[test]
fn trouble_is_told_in_place_and_what_was_known_stays() {
    let mut case = Case::new().answered();
    let trouble = || Trouble {
        what: "no daemon answers\u{1b}[2J".to_owned(),
        advice: "`sudo tracer serve`".to_owned(),
    };
    let fail = |case: &mut Case| {
        let question = case.state.question();
        case.happen(Event::Answered { question, answer: Err(trouble()), at_unix_ns: 0 })
    };
    assert_eq!(fail(&mut case), Then::Draw);
    assert_eq!(fail(&mut case), Then::Nothing, "nothing has changed");
    let drawn = case.drawn(80, 24);
    assert!(drawn.contains("no daemon answers") && drawn.contains("→ `sudo tracer serve`"), "{drawn}");
    assert!(drawn.contains("POST /compute") && !drawn.contains('\u{1b}'), "{drawn}");
    case.answer();
    assert!(!case.drawn(80, 24).contains("no daemon"));
    // Of another page.
    let answer = Err(trouble());
    let then = case.happen(Event::Answered { question: Question::Vendors, answer, at_unix_ns: 0 });
    assert_eq!(then, Then::Nothing);
}

#[test]
fn colours_tell_nothing_that_is_not_there_without() {
    let case = Case::new().answered();
    let plain = case.drawn(80, 24);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    terminal.draw(|frame| _ = draw::draw(&case.state, frame, true)).expect("it is drawn");
    assert_eq!(terminal.backend().to_string(), plain);
    let is_coloured = |cell: &ratatui::buffer::Cell| cell.fg != ratatui::style::Color::Reset;
    assert!(terminal.backend().buffer().content().iter().any(is_coloured));
    assert!(!case.terminal(80, 24).backend().buffer().content().iter().any(is_coloured));
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let output = binary::run(&["top"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(binary::stderr(&output).contains("`sudo tracer report --since 5m`"));
}
