//! The API's part: which request gets which reply, and which is held back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use percent_encoding::percent_decode_str;

use super::reply::Reply;
use super::wire;
use crate::api::{Answer, Request};
use crate::wait::Gate;

/// Where and how control requests go.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub(super) address: SocketAddr,
    /// The `Authorization` that they carry.
    pub(super) bearer: Option<String>,
}

impl Control {
    /// These headers and the one that lets a request in.
    pub(super) fn headers<'a>(&'a self, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let bearer = self.bearer.as_deref().map(|bearer| ("Authorization", bearer));
        headers.iter().copied().chain(bearer).collect()
    }
}

#[derive(Default)]
struct Orders {
    replies: HashMap<(String, &'static str), VecDeque<Reply>>,
    gates: HashMap<(String, &'static str), Gate>,
    /// What handlers were told by the gateway, by client.
    told: BTreeMap<String, Vec<String>>,
}

/// Decides about each request.
pub(super) struct Plan {
    max_message: usize,
    pub(super) control: OnceLock<Control>,
    orders: Mutex<Orders>,
}

/// A client's id, decoded.
pub(super) fn decoded(id: &str) -> String {
    percent_decode_str(id).decode_utf8_lossy().into_owned()
}

impl Plan {
    pub(super) fn new(max_message: usize) -> Plan {
        Plan { max_message, control: OnceLock::new(), orders: Mutex::default() }
    }

    /// The next requests of this client with this method are answered so; those after them as usual.
    pub(super) fn set(&self, client: &str, method: &'static str, replies: impl IntoIterator<Item = Reply>) {
        let mut orders = self.orders.lock().unwrap();
        orders.replies.insert((client.into(), method), replies.into_iter().collect());
    }

    /// Requests of this client with this method are held back until the gate opens.
    pub(super) fn hold(&self, client: &str, method: &'static str) -> Gate {
        let gate = Gate::new();
        self.orders.lock().unwrap().gates.insert((client.into(), method), gate.clone());
        gate
    }

    /// Forgets the replies that nobody has asked for.
    pub(super) fn clear(&self) {
        let mut orders = self.orders.lock().unwrap();
        orders.replies.clear();
        orders.gates.clear();
    }

    /// What handlers were told.
    pub(super) fn told(&self) -> BTreeMap<String, Vec<String>> {
        self.orders.lock().unwrap().told.clone()
    }

    pub(super) fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        let client = decoded(request.client());
        let of = |(id, method): &(String, &'static str)| *id == client && *method == request.method;
        let mut orders = self.orders.lock().unwrap();
        let queue = orders.replies.iter_mut().find(|(key, _)| of(key));
        let reply = queue.and_then(|(_, queue)| queue.pop_front()).unwrap_or(Reply::Usual);
        let gate = orders.gates.iter().find(|(key, _)| of(key)).map(|(_, gate)| gate.clone());
        let gate = gate.filter(|gate| !gate.is_open());
        drop(orders);
        let answer = reply.answer(request, self.max_message);
        match (gate, reply) {
            (Some(gate), _) => answer.after(gate.opened()),
            (None, Reply::PushFirst) => answer.after(self.operate("POST", client, Some(b"from the handler")).opened()),
            (None, Reply::KickFirst) => answer.after(self.operate("DELETE", client, None).opened()),
            (None, _) => answer,
        }
    }

    /// Sends a control request from inside a handler; the gate opens when it has been answered.
    fn operate(self: &Arc<Self>, method: &'static str, client: String, body: Option<&'static [u8]>) -> Gate {
        let gate = Gate::new();
        let (plan, done) = (self.clone(), gate.clone());
        tokio::spawn(async move {
            if let Some(control) = plan.control.get() {
                let target =
                    format!("/{}", percent_encoding::utf8_percent_encode(&client, percent_encoding::NON_ALPHANUMERIC));
                let told = wire::control(control, method, &target, &[], body).await;
                plan.orders.lock().unwrap().told.entry(client).or_default().push(format!("{method}: {told}"));
            }
            done.open();
        });
        gate
    }
}
