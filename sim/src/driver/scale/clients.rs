//! The clients of the scale run: each comes, sends a message every so often, checks what it gets, and leaves.

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::StreamExt;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use turmoil::net::TcpStream;

use super::ledger::Ledger;
use super::{Scale, message};
use crate::driver::gateway::PORT;
use crate::driver::websocket::{self, WebSocket};

/// The clients of one host: every `hosts`th one, from `first` on.
pub(crate) struct Clients {
    pub(crate) scale: Scale,
    pub(crate) first: u32,
    pub(crate) hosts: u32,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
}

impl Clients {
    /// The host's software.
    pub(crate) async fn run(self) -> turmoil::Result {
        let start = Instant::now();
        for id in (self.first..self.scale.connections).step_by(self.hosts as usize) {
            let comes = self.scale.ramp.mul_f64(f64::from(id) / f64::from(self.scale.connections));
            sleep_until(start + comes).await;
            spawn_local(self.client(id, start));
        }
        pending().await
    }

    fn client(&self, id: u32, start: Instant) -> impl Future<Output = ()> + use<> {
        let mut rng = fastrand::Rng::with_seed(self.scale.seed ^ (u64::from(id) << 32));
        let stays = self.scale.ramp + self.scale.hold + self.scale.leave.mul_f64(rng.f64());
        let client = Client {
            id,
            every: self.scale.every,
            sends: Instant::now() + self.scale.every.mul_f64(rng.f64()),
            leaves: start + stays,
            ledger: Rc::clone(&self.ledger),
        };
        async move {
            let (id, ledger) = (client.id, Rc::clone(&client.ledger));
            if let Err(error) = client.run().await {
                ledger.borrow_mut().failed(id, error);
            }
        }
    }
}

struct Client {
    id: u32,
    every: Duration,
    /// When it sends its next message.
    sends: Instant,
    leaves: Instant,
    ledger: Rc<RefCell<Ledger>>,
}

impl Client {
    async fn run(mut self) -> Result<(), Error> {
        // The futures of a handshake are large, and not kept.
        let mut socket = Box::pin(connect(self.id)).await?;
        self.ledger.borrow_mut().opened(self.id);
        let mut timer = pin!(sleep_until(self.sends.min(self.leaves)));
        let mut leaving = false;
        loop {
            tokio::select! {
                biased;
                message = socket.next() => match message.transpose()? {
                    Some(message) => self.received(&message),
                    None => break,
                },
                () = &mut timer, if !leaving => {
                    if self.leaves <= Instant::now() {
                        leaving = true;
                    } else {
                        let number = self.ledger.borrow_mut().send(self.id);
                        socket.send(Message::text(message::write(message::MESSAGE, self.id, number))).await?;
                        self.sends += self.every;
                        timer.as_mut().reset(self.sends.min(self.leaves));
                    }
                }
            }
            if leaving && self.ledger.borrow().is_quiet(self.id) {
                break;
            }
        }
        Box::pin(self.leave(&mut socket)).await
    }

    /// Closes, and waits until the gateway has closed as well.
    async fn leave(&self, socket: &mut WebSocket) -> Result<(), Error> {
        self.ledger.borrow_mut().leaving(self.id);
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await?;
        while let Some(message) = socket.next().await.transpose()? {
            self.received(&message);
        }
        self.ledger.borrow_mut().left(self.id);
        Ok(())
    }

    fn received(&self, message: &Message) {
        let mut ledger = self.ledger.borrow_mut();
        match message {
            Message::Text(text) => match message::read(text.as_bytes()) {
                Some((message::MESSAGE, id, number)) => ledger.echoed(self.id, Some((id, number))),
                Some((message::PUSH, id, number)) => ledger.push_received(self.id, Some((id, number))),
                _ => ledger.failed(self.id, format_args!("received {text:?}")),
            },
            Message::Close(Some(frame)) if frame.code == CloseCode::Normal => {}
            other => ledger.failed(self.id, format_args!("received {other:?}")),
        }
    }
}

async fn connect(id: u32) -> Result<WebSocket, Error> {
    let stream = TcpStream::connect(("gateway", PORT)).await?;
    Ok(websocket::open(stream, &format!("/{id:x}"), None).await?.0)
}
