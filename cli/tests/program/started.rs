//! This file, started again as the program.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::runtime::SERVE;

/// Longer than any test should take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program; killed when dropped.
pub(crate) struct Started {
    child: Child,
    lines: Receiver<String>,
    seen: String,
}

/// What a program left behind.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Started {
    /// Listens on a free port, unless the flags say otherwise.
    pub(crate) fn new(how: &str, flags: &[&str], variables: &[(&str, &str)]) -> Started {
        let mut child = Started::command(how, flags, variables).stderr(Stdio::piped()).spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        Started { child, lines, seen: String::new() }
    }

    /// One whose log cannot be written; what it says otherwise can be waited for.
    pub(crate) fn without_log(how: &str, flags: &[&str]) -> Started {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = Started::command(how, flags, &[]).stderr(full).spawn().unwrap();
        let lines = read_lines(child.stdout.take().unwrap());
        Started { child, lines, seen: String::new() }
    }

    fn command(how: &str, flags: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env_clear().env(SERVE, how).envs(variables.iter().copied());
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// The first new line with this text.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{error}: {text:?} was not written: {}", self.seen));
            self.seen += &line;
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        // What it writes ends when the process does.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen += &line,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program does not end: {}", self.seen),
            }
        }
        let mut stdout = String::new();
        if let Some(mut rest) = self.child.stdout.take() {
            rest.read_to_string(&mut stdout).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn read_lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    received
}
