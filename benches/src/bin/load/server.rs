//! The processes that a run starts: the gateway, the API server, the relay. They end with the run.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::api::{COUNTS_TARGET, Counts};
use crate::http::Response;
use crate::interrupt;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const TAIL_LINES: usize = 15;

/// A process that listens; killed when dropped.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it listens for control requests, if elsewhere.
    pub(crate) control: Option<SocketAddr>,
}

/// Where a server listens: for clients, and for control requests if elsewhere.
type Addresses = (SocketAddr, Option<SocketAddr>);

/// Starts the gateway `binary` in front of the API at `api`, with `more` arguments.
pub(crate) fn start_gateway(binary: &Path, api: SocketAddr, more: &[OsString]) -> Result<Server> {
    let mut command = Command::new(binary);
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).args(["--api", &format!("http://{api}/")]);
    // A ping is work: an idle connection is to cost nothing. `more` may set it otherwise.
    if !more.iter().any(|argument| argument.to_string_lossy().starts_with("--ping-interval")) {
        command.args(["--ping-interval", "0"]);
    }
    command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Server::start("the gateway", command, address_in_log)
}

/// Starts the lean API server in a process of its own.
pub(crate) fn start_api(threads: usize) -> Result<Server> {
    Server::start("the API server", own_command("api", threads)?, address_in_line)
}

/// Starts the bare relay to the API at `api` in a process of its own.
pub(crate) fn start_relay(api: SocketAddr, threads: usize) -> Result<Server> {
    let mut command = own_command("relay", threads)?;
    command.args(["--api", &api.to_string()]);
    Server::start("the relay", command, address_in_line)
}

fn own_command(name: &str, threads: usize) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.args([name, "--until-stdin-ends", "--threads", &threads.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// What `load api` and `load relay` print once they listen.
pub(crate) fn listening_line(address: SocketAddr) -> String {
    format!("listening on {address}")
}

fn address_in_line(line: &str) -> Option<Addresses> {
    Some((line.strip_prefix("listening on ")?.parse().ok()?, None))
}

fn address_in_log(line: &str) -> Option<Addresses> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = entry.get("fields")?;
    let address = |name| fields.get(name)?.as_str()?.parse().ok();
    (fields.get("message")?.as_str()? == "listening").then(|| Some((address("public")?, address("control"))))?
}

impl Server {
    fn start(name: &'static str, mut command: Command, find: fn(&str) -> Option<Addresses>) -> Result<Server> {
        let mut child = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { name, child, tail: Arc::default(), address: nowhere, control: None };
        let output = stderr.or(stdout).context("a server without a pipe")?;
        let found = follow(output, Arc::clone(&server.tail), find)?;
        (server.address, server.control) = match found.recv_timeout(START_LIMIT) {
            Ok(addresses) => addresses,
            Err(RecvTimeoutError::Timeout) => {
                bail!("{name} said nowhere that it listens, in {START_LIMIT:?}: {command:?}{}", server.last_words())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{name} ended before it listened: {command:?}{}", server.last_words())
            }
        };
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines that it logged, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let tail = self.tail.lock().map(|tail| tail.iter().cloned().collect::<Vec<_>>()).unwrap_or_default();
        if tail.is_empty() {
            return format!("\n({} logged nothing)", self.name);
        }
        format!("\nthe last lines of {}:\n  {}", self.name, tail.join("\n  "))
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// It ended with another code than 0, or not in time.
    pub(crate) fn stop(mut self) -> Result<()> {
        let name = self.name;
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).with_context(|| format!("{name} is gone already{}", self.last_words()))?;
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "{name} ended with {status}{}", self.last_words());
                return Ok(());
            }
            interrupt::sleep_until(Instant::now() + Duration::from_millis(20))?;
        }
        bail!("{name} did not end within {STOP_LIMIT:?} of SIGTERM{}", self.last_words())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended and was waited for: nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all that comes from `output`, keeps the last lines, and sends the first addresses that `find` finds.
fn follow(
    output: Box<dyn Read + Send>,
    tail: Arc<Mutex<VecDeque<String>>>,
    find: fn(&str) -> Option<Addresses>,
) -> Result<Receiver<Addresses>> {
    let (sender, receiver) = channel();
    let read = move || {
        let mut sender = Some(sender);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = find(&line)
                && let Some(sender) = sender.take()
            {
                // Nobody waits any more: then the run has failed already.
                let _ = sender.send(address);
            }
            let Ok(mut tail) = tail.lock() else { return };
            tail.push_back(line);
            if tail.len() > TAIL_LINES {
                tail.pop_front();
            }
        }
    };
    std::thread::Builder::new().name("log".into()).spawn(read)?;
    Ok(receiver)
}

/// Asks the API server at `api` what it has seen.
pub(crate) fn counts(api: SocketAddr) -> Result<Counts> {
    let mut stream = TcpStream::connect_timeout(&api, Duration::from_secs(5)).context("the API server is gone")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {COUNTS_TARGET} HTTP/1.1\r\nhost: {api}\r\n\r\n").as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut part).context("the API server does not tell its counts")?;
        ensure!(length > 0, "the API server cut its counts short");
        answer.extend_from_slice(&part[..length]);
        if let Some(response) = Response::parse(&answer)? {
            return Ok(serde_json::from_slice(response.body)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_address_is_found_in_its_log() {
        let line = r#"{"level":"INFO","fields":{"message":"listening","public":"127.0.0.1:7001"}}"#;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(address_in_log(line), Some((local(7001), None)));
        let line = line.replace(r#"1:7001""#, r#"1:7001","control":"127.0.0.1:7002""#);
        assert_eq!(address_in_log(&line), Some((local(7001), Some(local(7002)))));
        for other in ["", "listening", r#"{"fields":{"message":"anyone can push","public":"127.0.0.1:7001"}}"#] {
            assert_eq!(address_in_log(other), None, "{other}");
        }
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such flag >&2; exit 2"]).stderr(Stdio::piped());
        let error = Server::start("the gateway", command, address_in_log).err().map(|error| error.to_string());
        let error = error.expect("it did not listen");
        assert!(error.contains("ended before it listened") && error.contains("no such flag"), "{error}");
    }

    #[test]
    fn a_server_that_fails_at_its_end_is_an_error() {
        let mut command = Command::new("sh");
        let script = "trap 'exit 3' TERM; echo listening on 127.0.0.1:1; while :; do sleep 0.05; done";
        command.args(["-c", script]).stdout(Stdio::piped());
        let server = Server::start("the relay", command, address_in_line).expect("it listens");
        let error = server.stop().expect_err("its code is 3").to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
