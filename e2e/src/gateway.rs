//! The gateway under test: a child process with its log, its figures and its signals.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http;
use crate::metrics::Metrics;
use crate::wait::{found, within};

/// How many of the last log lines a failure shows.
const LOG_TAIL: usize = 40;

/// How many log lines are kept of a long run.
const LOG_KEPT: usize = 20_000;

/// A running gateway. It is killed when dropped; a panic in its log fails the scenario.
pub struct Gateway {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where control requests go: the public address unless `--control-listen` is given.
    pub control: SocketAddr,
    /// Sent as `Authorization: Bearer` by the helpers that push, kick and ask.
    pub token: Option<String>,
}

impl Gateway {
    /// Starts `binary` on free ports with these flags, and waits until it listens.
    ///
    /// # Panics
    /// When it does not come to listen; the message carries its log.
    pub async fn start(binary: &Path, flags: &[String], env: &[(String, String)]) -> Gateway {
        Gateway::start_by(command(binary), flags, env).await
    }

    /// The same, with so many descriptors.
    ///
    /// # Panics
    /// As [`Gateway::start`].
    pub async fn start_limited(binary: &Path, flags: &[String], descriptors: u64) -> Gateway {
        let mut shell = command(Path::new("sh"));
        shell.args(["-c", r#"ulimit -n "$0"; exec "$@""#]).arg(descriptors.to_string()).arg(binary);
        Gateway::start_by(shell, flags, &[]).await
    }

    async fn start_by(mut command: Command, flags: &[String], env: &[(String, String)]) -> Gateway {
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).args(flags);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let (mut child, log, reader) = spawn(command);
        let listening = found("the gateway to listen", || {
            let line = log.lock().unwrap().iter().find_map(|line| listening(line));
            let gone = child.try_wait().ok().flatten();
            match (line, gone) {
                (None, Some(status)) => {
                    panic!("the gateway ended with {status} before it listened: {}", tail(&log))
                }
                (line, _) => line,
            }
        });
        let (public, control) = listening.await;
        let reader = Some(reader);
        Gateway { child, log, reader, public, control, token: None }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signal the gateway");
    }

    /// Asks it to drain.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// What Ctrl-C sends.
    pub fn sigint(&self) {
        self.signal(Signal::INT);
    }

    /// Halts the process, so that it neither reads nor writes.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends [`Gateway::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// When it does not within the deadline.
    pub async fn wait_exit(&mut self) -> ExitStatus {
        found("the gateway to exit", || self.child.try_wait().expect("wait for the gateway")).await
    }

    /// Resident memory, in bytes.
    pub fn rss(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("read the process status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("VmRSS") * 1024
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("list descriptors").count()
    }

    /// Open descriptors while nobody is connected. Right after the start some of its threads
    /// may not have opened theirs, but all of them answer a scrape.
    ///
    /// # Panics
    /// When their number does not settle.
    pub async fn idle_descriptors(&self) -> usize {
        self.metrics().await;
        within("the gateway's descriptors to settle", async {
            loop {
                let count = self.descriptors();
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                if self.descriptors() == count {
                    return count;
                }
            }
        })
        .await
    }

    /// Scrapes the metrics.
    ///
    /// # Panics
    /// When they cannot be had or are not in the format.
    pub async fn metrics(&self) -> Metrics {
        let answer = http::get(self.control, "/metrics").await;
        assert_eq!(answer.status, 200, "GET /metrics: {answer:?}");
        Metrics::parse(&answer.text()).expect("metrics in the Prometheus text format")
    }

    /// Scrapes until the metrics are as wanted.
    ///
    /// # Panics
    /// When the deadline passes first.
    pub async fn metrics_until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        let look = async {
            loop {
                let metrics = self.metrics().await;
                if wanted(&metrics) {
                    return metrics;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within(what, look).await
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Failing to kill or reap means that it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ---\n{}", tail(&self.log));
            return;
        }
        let panicked = self.log().iter().any(|line| line.contains("panicked"));
        assert!(!panicked, "the gateway panicked:\n{}", tail(&self.log));
    }
}

/// The end of a gateway that was run to its end.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

/// Runs `binary` with exactly these arguments until it ends by itself.
///
/// # Panics
/// When it goes on running.
pub async fn run_to_end(binary: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = command(binary);
    command.args(arguments).envs(env.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn().expect("start the gateway binary");
    let stdout = read_all(child.stdout.take().expect("piped"));
    let stderr = read_all(child.stderr.take().expect("piped"));
    let ended = crate::wait::found_by(crate::wait::DEADLINE, || child.try_wait().expect("wait"));
    let status = ended.await;
    let _ = child.kill();
    let _ = child.wait();
    let (stdout, stderr) = (stdout.join().expect("stdout"), stderr.join().expect("stderr"));
    let Some(status) = status else { panic!("{arguments:?} should have ended the gateway; it said {stdout}{stderr}") };
    Ended { code: status.code(), stdout, stderr }
}

fn read_all(mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("read the gateway's output");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WS2HTTP_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").env_remove("SSL_CERT_DIR");
    command
}

type Log = Arc<Mutex<Vec<String>>>;

fn spawn(mut command: Command) -> (Child, Log, JoinHandle<()>) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start the gateway binary");
    let log = Log::default();
    let (lines, stderr) = (log.clone(), child.stderr.take().expect("piped"));
    // A thread and not a task: the last lines are read also while a failed scenario unwinds.
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let mut lines = lines.lock().unwrap();
            if lines.len() >= LOG_KEPT {
                lines.drain(..LOG_KEPT / 2);
            }
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    (child, log, reader)
}

fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let fields = entry.get("fields")?;
    if fields.get("message")?.as_str()? != "listening" {
        return None;
    }
    let address = |name| fields.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let public: SocketAddr = address("public")?;
    Some((public, address("control").unwrap_or(public)))
}

fn tail(log: &Log) -> String {
    let lines = log.lock().unwrap();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}
