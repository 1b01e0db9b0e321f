//! Clients do what the script says, and wait for what must come of it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::bad_http;
use super::client::{Visitor, breach, frames};
use super::plan::{Control, Plan, decoded};
use super::script::{Connect, Deed, IDS, Meanwhile, Message, Push, Way};
use super::settle::{self, Peer};
use super::wire::{self, Wire};
use crate::api::Api;
use crate::frame::{CLOSE, Frame, PING};
use crate::gateway::Gateway;
use crate::http::encode;
use crate::raw::handshake;
use crate::wait::Gate;

/// What all clients of a script share.
pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) api: Api,
    pub(super) plan: Arc<Plan>,
    pub(super) control: Control,
    pub(super) max_message: usize,
    /// How many calls of one client can be under way at once.
    pub(super) calls_at_once: usize,
}

/// One client: its id, its connection, and those before it.
pub(super) struct Slot {
    spellings: [&'static str; 2],
    /// The id, decoded.
    pub(super) id: String,
    pub(super) current: Option<Visitor>,
    pub(super) past: Vec<Visitor>,
    /// What it was told by control requests.
    pub(super) told: Vec<String>,
    /// What it waited for in vain.
    pub(super) troubles: Vec<String>,
    at: usize,
}

impl Slot {
    pub(super) fn new(index: usize) -> Slot {
        let spellings = IDS[index];
        let (past, told, troubles) = (Vec::new(), Vec::new(), Vec::new());
        Slot { spellings, id: decoded(spellings[0]), current: None, past, told, troubles, at: 0 }
    }

    /// Waits until all that was sent and queued has arrived, on every connection.
    pub(super) async fn sync(&mut self) {
        for visitor in self.past.iter_mut().chain(&mut self.current) {
            if !visitor.sync().await {
                self.troubles.push(format!("round {}: {} got neither a pong nor an end", self.at, self.id));
            }
        }
    }

    fn want(&mut self, came: bool, what: &str) {
        if !came {
            self.troubles.push(format!("round {}: {} waited in vain for {what}", self.at, self.id));
        }
    }

    fn open(&mut self) -> Option<&mut Visitor> {
        self.current.as_mut().filter(|visitor| !visitor.ended)
    }

    pub(super) async fn act(&mut self, world: &World, at: usize, deed: &Deed) {
        self.at = at;
        match deed {
            Deed::Connect(connect) => self.connect(world, connect).await,
            Deed::Push { kind, spelling } => self.push(world, *kind, *spelling).await,
            Deed::Kick(query) => self.kick(world, query).await,
            Deed::Head => self.ask(world).await,
            Deed::Http(which) => self.http(world, *which).await,
            _ if self.open().is_none() => {}
            Deed::Say { messages, pieces, close } => self.say(world, messages, *pieces, *close).await,
            Deed::Ping(payload) => self.send(&Frame::new(PING, payload)).await,
            Deed::Break(which) => self.write(&breach(*which, world.max_message)).await,
            Deed::Close { frame, deletes } => {
                world.plan.set(&self.id, "DELETE", deletes.iter().cloned());
                let frame = frame.map_or(Frame::new(CLOSE, ""), |(code, reason)| Frame::close(code, reason));
                self.send(&frame).await;
            }
            Deed::Leave { way, within_frame, deletes } => {
                world.plan.set(&self.id, "DELETE", deletes.iter().cloned());
                if *within_frame {
                    self.write(&Frame::new(PING, "half of this").encode()[..9]).await;
                }
                self.leave(world, *way).await;
            }
            Deed::Held(meanwhile) => self.held(world, *meanwhile).await,
            Deed::Return(way) => self.come_back(world, *way).await,
            Deed::Mute => self.current.iter_mut().for_each(|visitor| visitor.mute = true),
        }
    }

    async fn send(&mut self, frame: &Frame) {
        if let Some(visitor) = &mut self.current {
            visitor.send(frame).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(visitor) = &mut self.current {
            visitor.write(bytes).await;
        }
    }

    async fn say(&mut self, world: &World, messages: &[Message], pieces: usize, close: bool) {
        world.plan.set(&self.id, "POST", messages.iter().map(|message| message.reply.clone()));
        let mut bytes: Vec<u8> = messages.iter().flat_map(frames).collect();
        if close {
            bytes.extend(Frame::close(4001, "that was all").encode());
        }
        if let Some(visitor) = &mut self.current {
            visitor.say(&bytes, pieces, close).await;
        }
    }

    async fn arrive(&mut self, world: &World, connect: &Connect) -> Option<Visitor> {
        let mut visitor = match Visitor::connect(world.gateway.public).await {
            Ok(visitor) => visitor,
            Err(why) => {
                self.told.push(format!("{}: connect: {why}", self.at));
                return None;
            }
        };
        let target = format!("/{}{}", self.spellings[connect.spelling], connect.query);
        let early = connect.early.iter().flat_map(frames);
        let bytes: Vec<u8> = handshake(&target, &connect.headers).into_iter().chain(early).collect();
        visitor.write(&bytes).await;
        Some(visitor)
    }

    async fn connect(&mut self, world: &World, connect: &Connect) {
        world.plan.set(&self.id, "GET", [connect.reply.clone()]);
        if self.open().is_some() {
            return self.connect_again(world, connect).await;
        }
        let held = connect.meanwhile.map(|_| world.plan.hold(&self.id, "GET"));
        let asked = settle::seen(&world.api, &self.id, "GET");
        let Some(mut visitor) = self.arrive(world, connect).await else { return };
        if let (Some(gate), Some(meanwhile)) = (held, connect.meanwhile) {
            // A gateway that refuses does not ask.
            let refused = tokio::select! {
                came = settle::until_seen(&world.api, &self.id, "GET", asked + 1) => {
                    self.want(came, "its GET");
                    false
                }
                _ = visitor.admitted() => true,
            };
            self.replace(visitor);
            if refused {
                return;
            }
            self.meanwhile(world, meanwhile, &gate).await;
        } else {
            self.replace(visitor);
        }
        if let Some(visitor) = self.open() {
            visitor.admitted().await;
        }
    }

    /// A second connection with the id of an open one, which goes on listening.
    async fn connect_again(&mut self, world: &World, connect: &Connect) {
        let Some(mut new) = self.arrive(world, connect).await else { return };
        let Some(old) = &mut self.current else { return };
        let admitted = tokio::select! {
            admitted = new.admitted() => admitted,
            () = old.listen() => false,
        };
        let synced = (!admitted || new.sync().await) && old.sync().await;
        let stays = !old.ended;
        if stays && !new.ended {
            self.troubles.push(format!("round {}: {} is connected twice", self.at, self.id));
        }
        self.want(synced, "a pong or an end after another connect");
        if stays { self.past.push(new) } else { self.replace(new) }
    }

    fn replace(&mut self, visitor: Visitor) {
        self.past.extend(self.current.replace(visitor));
    }

    async fn leave(&mut self, world: &World, way: Way) {
        let Some(mut visitor) = self.current.take() else { return };
        let peer = Peer::of(visitor.address(), &world.gateway);
        visitor.leave(way).await;
        let noticed = peer.closed().await && visitor.until_end().await;
        self.want(noticed, "the gateway to notice that it left");
        self.past.push(visitor);
    }

    async fn held(&mut self, world: &World, meanwhile: Meanwhile) {
        let gate = world.plan.hold(&self.id, "POST");
        let before = settle::seen(&world.api, &self.id, "POST");
        let messages = ["held", "behind"].map(Message::plain);
        self.say(world, &messages, 0, false).await;
        let at_once = messages.len().min(world.calls_at_once);
        let came = settle::until_seen(&world.api, &self.id, "POST", before + at_once).await;
        self.want(came, "the POSTs that are held back");
        self.sync().await;
        self.meanwhile(world, meanwhile, &gate).await;
    }

    /// Does something while the API holds a request back, then lets it go on.
    async fn meanwhile(&mut self, world: &World, meanwhile: Meanwhile, gate: &Gate) {
        match meanwhile {
            Meanwhile::Push => {
                self.push(world, Push::Text, 0).await;
                self.ask(world).await;
            }
            Meanwhile::Kick => {
                self.kick(world, "?code=4000&reason=out").await;
                self.sync().await;
            }
            Meanwhile::Close => self.send(&Frame::close(1000, "in between")).await,
            Meanwhile::Leave(way) => self.leave(world, way).await,
        }
        gate.open();
    }

    async fn come_back(&mut self, world: &World, way: Way) {
        let gate = world.plan.hold(&self.id, "DELETE");
        let before = settle::seen(&world.api, &self.id, "DELETE");
        self.leave(world, way).await;
        let came = settle::until_seen(&world.api, &self.id, "DELETE", before + 1).await;
        self.want(came, "its DELETE");
        let new = self.arrive(world, &Connect::plain()).await;
        gate.open();
        if let Some(mut new) = new {
            new.admitted().await;
            self.replace(new);
        }
    }

    async fn push(&mut self, world: &World, kind: Push, spelling: usize) {
        let target = format!("/{}", self.spellings[spelling]);
        let binary = ("Content-Type", "application/octet-stream");
        let id = if matches!(kind, Push::ThisConnection) {
            wire::connection_id(&world.control, &target).await
        } else {
            None
        };
        let this = format!("\"{}\"", id.unwrap_or_default());
        let large = vec![b'x'; world.max_message + 1];
        let text = format!("pushed in round {}", self.at);
        let (headers, body): (Vec<(&str, &str)>, &[u8]) = match kind {
            Push::Text | Push::NoToken => (vec![], text.as_bytes()),
            Push::Binary => (vec![binary], b"\x00\xff pushed"),
            Push::Empty => (vec![], b""),
            Push::NotUtf8 => (vec![], b"\xff"),
            Push::TooLarge => (vec![binary], &large),
            Push::Chunked => (vec![("Transfer-Encoding", "chunked")], b"4;x=y\r\npush\r\n2\r\ned\r\n0\r\nT: x\r\n\r\n"),
            Push::OtherConnection => (vec![("If-Match", "\"another\"")], text.as_bytes()),
            Push::ThisConnection => (vec![("If-Match", &this)], text.as_bytes()),
            Push::BadCondition => (vec![("If-Match", "unquoted")], text.as_bytes()),
        };
        let control = match kind {
            Push::NoToken => &Control { address: world.gateway.public, bearer: None },
            _ => &world.control,
        };
        let told = if matches!(kind, Push::Chunked) {
            let bytes = [encode("POST", &target, &control.headers(&headers), None).as_slice(), body].concat();
            wire::plain(control.address, "POST", &bytes).await
        } else {
            wire::control(control, "POST", &target, &headers, Some(body)).await
        };
        self.told.push(format!("{}: push {kind:?}: {told}", self.at));
    }

    async fn kick(&mut self, world: &World, query: &str) {
        let target = format!("/{}{query}", self.spellings[0]);
        let told = wire::control(&world.control, "DELETE", &target, &[], None).await;
        self.told.push(format!("{}: kick: {told}", self.at));
    }

    async fn ask(&mut self, world: &World) {
        let target = format!("/{}", self.spellings[1]);
        let told = wire::control(&world.control, "HEAD", &target, &[], None).await;
        self.told.push(format!("{}: HEAD: {told}", self.at));
    }

    async fn http(&mut self, world: &World, which: usize) {
        let (methods, bytes) = bad_http::case(which, self.spellings[0], world.control.bearer.as_deref());
        let to: SocketAddr = if which.is_multiple_of(2) { world.control.address } else { world.gateway.public };
        let lines = match Wire::connect(to).await {
            Err(why) => vec![why],
            Ok(mut wire) => {
                wire.write(&bytes).await;
                wire.answers(methods).await
            }
        };
        self.told.extend(lines.into_iter().map(|line| format!("{}: {line}", self.at)));
    }
}
