//! Clients that send random bytes, before and after the handshake.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use super::plan::pause;
use super::stage::{Phase, Stage};
use crate::driver::gateway::PORT;
use crate::driver::websocket;
use crate::model::{Cut, DIAL_HEADER, Dial, HandshakeAnswer, Observation, Sent, SocketId};

/// How long a rogue waits for what comes of its bytes.
const PATIENCE: Duration = Duration::from_secs(15);

/// The life of one.
pub(crate) async fn run(stage: Rc<Stage>, host: usize, number: u32) {
    let mut rng = stage.plan.rng(b'r', number.into());
    while stage.phase.get() == Phase::Busy {
        sleep(pause(&mut rng, Duration::from_secs(2))).await;
        let Some(&gateway) = stage.homes(&format!("rogue-{number}")).first() else { continue };
        let process = stage.process(gateway);
        if stage.is_over(process) {
            continue;
        }
        if rng.bool() {
            if let Ok(stream) = TcpStream::connect((super::gateway_name(gateway), PORT)).await {
                stage.count("random bytes instead of a request");
                scribble(stream, &before(&mut rng)).await;
            }
            continue;
        }
        let dial =
            Dial { client: format!("rogue-{number}"), query: None, offered: Vec::new(), origin: None, bad: None };
        let id = stage.dial(process, host, dial);
        let tell = |observation| stage.tell(process, observation);
        match Box::pin(shake_hands(gateway, number, id)).await {
            Some((stream, answer)) => {
                tell(Observation::Answered(id, answer));
                tell(Observation::Sent(id, Sent::Garbage));
                stage.count("random bytes after a handshake");
                let bytes = after(&mut rng);
                let written = scribble(stream, &bytes);
                written.await;
            }
            None => stage.count("rogues without an answer"),
        }
        tell(Observation::Cut(id, Cut::Eof));
        tell(Observation::Cut(id, Cut::Reset));
        stage.hang_up(id);
    }
    stage.count("clients that have left");
    pending().await
}

async fn shake_hands(gateway: usize, number: u32, id: SocketId) -> Option<(TcpStream, HandshakeAnswer)> {
    let stream = TcpStream::connect((super::gateway_name(gateway), PORT)).await.ok()?;
    let target = format!("/rogue-{number}");
    let mut handshake = pin!(timeout(PATIENCE, websocket::open(stream, &target, Some((DIAL_HEADER, id.0)))));
    let (socket, response) = handshake.as_mut().await.ok()?.ok()?;
    let answer = HandshakeAnswer {
        status: response.status().as_u16(),
        protocol: None,
        retry_after: false,
        body: Default::default(),
    };
    Some((socket.into_inner().into_inner(), answer))
}

/// Writes, and reads until the gateway has had enough.
async fn scribble(mut stream: TcpStream, bytes: &[u8]) {
    let _refused = stream.write_all(bytes).await;
    let mut buffer = [0; 1024];
    let read_all = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    let _enough = timeout(PATIENCE, read_all).await;
}

/// Something else than a request.
fn before(rng: &mut fastrand::Rng) -> Vec<u8> {
    let start: &[u8] = match rng.u8(0..4) {
        0 => b"",
        1 => b"GET /rogue HTTP/1.1\r\nHost: gateway\r\n",
        2 => b"POST /rogue HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        _ => b"GET /",
    };
    [start, &random(rng)].concat()
}

/// Something that begins with no frame that a client may send.
fn after(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = random(rng);
    let wrong: &[u8] = match rng.u8(0..5) {
        // Reserved bits, without an extension.
        0 => &[0xF1, 0x80],
        // Not masked.
        1 => &[0x81, 0x05],
        // An opcode that nothing has.
        2 => &[0x83, 0x80],
        // A ping in pieces.
        3 => &[0x09, 0x80],
        // Nothing that could be continued.
        _ => &[0x80, 0x80],
    };
    bytes.splice(..0, wrong.iter().copied());
    bytes
}

fn random(rng: &mut fastrand::Rng) -> Vec<u8> {
    let length = rng.usize(8..600);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}
