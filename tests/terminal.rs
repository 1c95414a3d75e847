//! A terminal: a program that runs in one, what it shows, and keys for it.

use std::{
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::fd::AsRawFd as _,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pty_process::{Size, blocking as pty};

use crate::lab::LIMIT;

const POLL: Duration = Duration::from_millis(20);

pub struct Terminal {
    child: Child,
    pty: Arc<pty::Pty>,
    /// Kept open, so that what is written last can be read.
    pts: Option<pty::Pts>,
    before: Modes,
    shown: Arc<Mutex<Shown>>,
    reader: Option<JoinHandle<()>>,
}

/// What came of a program.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

/// How a terminal treats what is typed and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Modes([u32; 4]);

impl Terminal {
    pub fn start(command: Command, columns: u16, rows: u16) -> Terminal {
        let (pty, pts) = pty::open().expect("open a terminal");
        pty.resize(Size::new(rows, columns)).expect("it takes a size");
        let before = modes(&pty);
        let child = pty::Command::from(command).spawn_borrowed(&pts).expect("it starts");
        let pty = Arc::new(pty);
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let shown = Arc::new(Mutex::new(Shown { parser, bytes: Vec::new() }));
        let reader = thread::spawn({
            let (pty, shown) = (pty.clone(), shown.clone());
            move || read(&pty, &shown)
        });
        Terminal { child, pty, pts: Some(pts), before, shown, reader: Some(reader) }
    }

    pub fn keys(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("it takes keys");
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.parser.set_size(cells(rows), cells(columns));
        self.pty.resize(Size::new(rows, columns)).expect("it takes a size");
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes two numbers.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits until a text is shown; gives the whole screen then.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as it should be; `what` says how that is.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let screen = self.screen(|screen| screen.contents());
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "not shown: {what}\n{screen}");
            thread::sleep(POLL);
        }
    }

    pub fn screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shown.lock().unwrap_or_else(PoisonError::into_inner).parser.screen())
    }

    /// Everything that was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }

    /// Whether the program treats it otherwise than it found it.
    pub fn is_changed(&self) -> bool {
        let is_drawn_on = self.screen(|screen| screen.alternate_screen() || screen.hide_cursor());
        is_drawn_on || modes(&self.pty) != self.before
    }

    /// Waits for the end of the program.
    pub fn finish(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                return status;
            }
            thread::sleep(POLL);
        }
        panic!("it still runs:\n{}", self.screen(|screen| screen.contents()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
        // With that the reader comes to an end.
        self.pts = None;
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

fn modes(pty: &pty::Pty) -> Modes {
    // SAFETY: all bytes zero are a termios; it is filled in.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the place is as large as it must be.
    let result = unsafe { libc::tcgetattr(pty.as_raw_fd(), &mut modes) };
    assert_eq!(result, 0, "tcgetattr");
    Modes([modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag])
}

fn read(mut pty: &pty::Pty, shown: &Mutex<Shown>) {
    let mut bytes = [0; 4096];
    while let Ok(n_read @ 1..) = pty.read(&mut bytes) {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.parser.process(&bytes[..n_read]);
        shown.bytes.extend_from_slice(&bytes[..n_read]);
    }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has cells")
}
