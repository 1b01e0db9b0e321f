//! How many instructions the core executes for each thing: `cargo bench -p ws2http-benches --bench instructions`.
//!
//! Valgrind counts them, so the figures are the same on a busy machine. Each thing is done so many times and then
//! more often; what is in between divided by the difference is what one costs, without start and warm-up.

use std::process::{Command, ExitCode};

use bytes::Bytes;
use ws2http_core::{Action, AnswerReader, Event, write_request_head};

use crate::world::{World, frame, handshake};

mod world;

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

/// One thing, done so many times.
type Thing = fn(u64);

const THINGS: [(&str, Thing); 4] = [
    ("connect and end: socket to 101, loss to DELETE", connects),
    ("message: frame of 64 bytes to call, answer of 64 bytes to frame", messages),
    ("push of 64 bytes: request to frame and answer", pushes),
    ("lane: head of a call to bytes, bytes of its answer to answer", lanes),
];

fn connects(count: u64) {
    let mut world = World::new(1);
    for _ in 0..count {
        let conn = world.open(0, "client");
        world.lose(0, conn);
    }
}

fn messages(count: u64) {
    let mut world = World::new(1);
    let conn = world.open(0, "client");
    let (message, answer) = (frame(1, 64), Bytes::from(vec![b'x'; 64]));
    for _ in 0..count {
        world.handle(0, Event::Received(conn, &mut message.clone()));
        world.reply(0, answer.clone());
        world.write(0, conn);
    }
}

fn pushes(count: u64) {
    let mut world = World::new(1);
    let (client, control) = (world.open(0, "client"), world.accept(0));
    let request = format!("POST /client HTTP/1.1\r\nHost: g\r\nContent-Length: 64\r\n\r\n{}", "x".repeat(64));
    for _ in 0..count {
        world.handle(0, Event::Received(control, &mut request.clone().into_bytes()));
        world.write(0, client);
        world.write(0, control);
    }
}

fn lanes(count: u64) {
    let mut world = World::new(1);
    let conn = world.accept(0);
    world.handle(0, Event::Received(conn, &mut handshake("client")));
    let call = |action| if let Action::Call { request, .. } = action { Some(request) } else { None };
    let request = world.out.actions.drain(..).find_map(call).expect("a call");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\nConnection: keep-alive\r\n\r\n{}",
        "x".repeat(64)
    );
    let mut buffer = Vec::new();
    for _ in 0..count {
        buffer.clear();
        write_request_head(&mut buffer, &request);
        let read = AnswerReader::new(1 << 20).feed(answer.as_bytes());
        assert!(read.is_ok_and(|answer| answer.is_some()), "an answer");
    }
}

/// The instructions of a run of this program that does a thing so many times.
fn counted(thing: usize, count: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let valgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let mut run = Command::new("valgrind");
    run.args(valgrind).arg(program).args(["--do", &thing.to_string(), &count.to_string()]);
    let output = run.output().map_err(|error| format!("valgrind cannot be run, please install it: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let collected = collected.filter(|_| output.status.success()).and_then(|(_, number)| number.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind counted nothing:\n{said}"))
}

fn count_all() -> Result<(), String> {
    for (index, (name, _)) in THINGS.iter().enumerate() {
        let (few, many) = (counted(index, FEW)?, counted(index, MANY)?);
        println!("{:>8}  {name}", (many - few) / (MANY - FEW));
    }
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, thing, count] = &words[..]
        && word == "--do"
        && let (Ok(thing), Ok(count)) = (thing.parse::<usize>(), count.parse())
        && let Some((_, run)) = THINGS.get(thing)
    {
        run(count);
        return ExitCode::SUCCESS;
    }
    match count_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
