//! Random visitors: they connect, talk, push, kick and leave in every way there is, and judge what
//! they hear. For runs too long to script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::api::{Answer, Request};
use crate::client::{Client, Heard};
use crate::frame::{Frame, TEXT};
use crate::http;
use crate::raw::{Raw, handshake};

/// What all visitors share.
#[derive(Default)]
pub struct Town {
    /// Visitors leave at the next opportunity and do not come back.
    pub closing: AtomicBool,
    /// Connects that were let in.
    pub visits: AtomicU64,
    /// Connects that were refused.
    pub refused: AtomicU64,
    /// Messages sent.
    pub sent: AtomicU64,
    /// Messages heard.
    pub heard: AtomicU64,
    /// Pushes answered with 200.
    pub pushed: AtomicU64,
    /// Kicks answered with 200.
    pub kicked: AtomicU64,
    /// What visitors or the API found wrong.
    complaints: Mutex<Vec<String>>,
    /// The last message number by connection id.
    last_numbers: Mutex<HashMap<String, u64>>,
}

/// Where a visitor goes.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where pushes and kicks go.
    pub control: SocketAddr,
    /// How many client ids there are to choose from.
    pub ids: u32,
    /// The longest pause between two deeds.
    pub pause: Duration,
}

impl Town {
    /// Notes something wrong.
    pub fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
    }

    /// Everything found wrong so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The API's part: checks that messages come in order and answers some of them.
    pub fn answer(&self, request: &Request) -> Answer {
        let connection = request.connection_id();
        match request.method.as_str() {
            "GET" if request.query() == Some("unwanted") => return Answer::new(200, "unwanted"),
            "POST" => {}
            "DELETE" => {
                self.last_numbers.lock().unwrap().remove(connection);
                return Answer::ok();
            }
            _ => return Answer::ok(),
        }
        let text = request.text();
        let number = text.rsplit(' ').next().and_then(|number| number.parse().ok());
        let Some(number) = number else {
            self.complain(format!("a message nobody sent: {text:?}"));
            return Answer::empty();
        };
        let before = self.last_numbers.lock().unwrap().insert(connection.into(), number);
        if before.is_some_and(|before| before >= number) {
            self.complain(format!("{connection}: message {number} after {before:?}"));
        }
        if number % 3 == 0 { Answer::empty() } else { Answer::new(200, format!("re {text}")) }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Visits again and again until the town closes.
///
/// # Panics
/// When the gateway leaves a request unanswered.
pub async fn visit(town: &Town, places: &Places, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    sleep(pause(places, &mut random)).await;
    while !town.is_closing() {
        let id = format!("visitor-{}", random.u32(0..places.ids));
        match random.u32(0..100) {
            0..4 => leave_while_knocking(places, &id, &mut random).await,
            4..7 => knock_wrongly(town, places, &id).await,
            7..10 => be_unwanted(town, places, &id).await,
            _ => stay(town, places, &id, &mut random).await,
        }
        sleep(pause(places, &mut random)).await;
    }
}

fn pause(places: &Places, random: &mut fastrand::Rng) -> Duration {
    places.pause.mul_f64(random.f64())
}

/// Leaves before, within or right after the handshake.
async fn leave_while_knocking(places: &Places, id: &str, random: &mut fastrand::Rng) {
    let mut raw = Raw::connect(places.public).await;
    let bytes = handshake(&format!("/{id}"), &[]);
    let part = if random.bool() { bytes.len() } else { random.usize(0..bytes.len()) };
    raw.write(&bytes[..part]).await;
    sleep(Duration::from_millis(random.u64(0..20))).await;
    if random.bool() {
        raw.reset();
    }
}

async fn knock_wrongly(town: &Town, places: &Places, id: &str) {
    let answer = http::get(places.public, &format!("/{id}")).await;
    if answer.status != 426 {
        town.complain(format!("a GET without a handshake was answered {answer:?}"));
    }
}

async fn be_unwanted(town: &Town, places: &Places, id: &str) {
    if Client::attempt(places.public, &format!("/{id}?unwanted"), &[]).await.is_ok() {
        town.complain(format!("{id} was let in against the API's word"));
    }
}

/// One visit from the handshake to one of many ends.
async fn stay(town: &Town, places: &Places, id: &str, random: &mut fastrand::Rng) {
    let Ok(client) = Client::attempt(places.public, &format!("/{id}"), &[]).await else {
        return count(&town.refused);
    };
    count(&town.visits);
    let mut guest = Guest { client, id, nonce: random.u64(..), sent: 0, answered: 0, gone: false };
    let deeds = random.u32(0..30);
    for _ in 0..deeds {
        if guest.gone || town.is_closing() {
            break;
        }
        guest.act(town, places, random).await;
        let until = Instant::now() + pause(places, random);
        if random.u32(0..10) == 0 {
            sleep_until(until).await;
        } else {
            guest.listen(town, until).await;
        }
    }
    guest.leave(random).await;
}

struct Guest<'a> {
    client: Client,
    id: &'a str,
    nonce: u64,
    sent: u64,
    answered: u64,
    gone: bool,
}

impl Guest<'_> {
    async fn act(&mut self, town: &Town, places: &Places, random: &mut fastrand::Rng) {
        match random.u32(0..100) {
            0..70 => {
                for _ in 0..random.u32(1..5) {
                    self.speak(town, random).await;
                }
            }
            70..90 => push(town, places, random).await,
            90..92 => kick(town, places, random).await,
            92..96 => self.gone |= !self.client.try_send(Message::Ping("?".into())).await,
            _ => {}
        }
    }

    async fn speak(&mut self, town: &Town, random: &mut fastrand::Rng) {
        let padding = "x".repeat(if random.u32(0..50) == 0 { random.usize(0..100_000) } else { 10 });
        self.sent += 1;
        let message = Message::text(format!("{} {padding} {}", self.nonce, self.sent));
        self.gone |= !self.client.try_send(message).await;
        count(&town.sent);
    }

    async fn listen(&mut self, town: &Town, until: Instant) {
        while let Ok(heard) = timeout_at(until, self.client.hear()).await {
            match heard {
                Heard::Text(text) => self.judge(town, &text),
                Heard::Binary(bytes) => {
                    town.complain(format!("{} heard {} strange bytes", self.id, bytes.len()));
                }
                Heard::Close(..) | Heard::Gone => return self.gone = true,
            }
            count(&town.heard);
        }
    }

    /// Pushes must be meant for this client, answers be to this connection's messages, in order.
    fn judge(&mut self, town: &Town, text: &str) {
        let mut words = text.split(' ');
        let fine = match words.next() {
            Some("to") => words.next() == Some(self.id),
            Some("re") => {
                let own = words.next() == Some(self.nonce.to_string().as_str());
                let number = words.next_back().and_then(|number| number.parse().ok()).unwrap_or(0);
                let next = number > self.answered && number <= self.sent;
                self.answered = number;
                own && next
            }
            _ => false,
        };
        if !fine {
            let short: String = text.chars().take(80).collect();
            town.complain(format!("{} ({}) heard {short:?}", self.id, self.nonce));
        }
    }

    async fn leave(self, random: &mut fastrand::Rng) {
        let mut client = self.client;
        match random.u32(0..10) {
            0..4 => {
                client.try_send(Message::Close(None)).await;
                let until = Instant::now() + Duration::from_secs(10);
                while let Ok(heard) = timeout_at(until, client.hear()).await {
                    if heard == Heard::Gone {
                        break;
                    }
                }
            }
            4..6 => client.reset(),
            6 => {
                let mut raw = Raw::over(client.into_stream());
                let frame = Frame::new(TEXT, "a message that is cut off").encode();
                raw.write_anyway(&frame[..random.usize(1..frame.len())]).await;
                raw.reset();
            }
            7 => {
                let mut raw = Raw::over(client.into_stream());
                raw.write_anyway(&Frame::new(TEXT, "not masked").unmasked().encode()).await;
                raw.end().await;
            }
            _ => {}
        }
    }
}

async fn push(town: &Town, places: &Places, random: &mut fastrand::Rng) {
    let id = format!("visitor-{}", random.u32(0..places.ids));
    let (target, body) = (format!("/{id}"), format!("to {id}"));
    let answer = http::request(places.control, "POST", &target, &[], Some(body.as_bytes()));
    match answer.await.status {
        200 => count(&town.pushed),
        202 | 404 | 503 => {}
        status => town.complain(format!("a push was answered {status}")),
    }
}

async fn kick(town: &Town, places: &Places, random: &mut fastrand::Rng) {
    let target = format!("/visitor-{}?code=4000&reason=kicked", random.u32(0..places.ids));
    match http::request(places.control, "DELETE", &target, &[], None).await.status {
        200 => count(&town.kicked),
        404 => {}
        status => town.complain(format!("a kick was answered {status}")),
    }
}
