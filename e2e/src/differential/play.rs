//! Plays a script against one gateway.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::deeds::{Slot, World};
use super::plan::{Control, Plan, decoded};
use super::script::{Away, Deed, End, IDS, Round, Script, TOKEN, override_flags};
use super::settle::Scraper;
use super::transcript::{TROUBLES, Transcript, shown};
use super::{PATIENCE, settle, wire};
use crate::api::{Accept, Api, Law, Licence, Request};
use crate::gateway::Gateway;
use crate::http::encode;
use crate::metrics::{Metrics, name_of};
use crate::raw::handshake;
use crate::wait::found_by;

/// A gateway to play against.
#[derive(Clone, Debug)]
pub struct Side {
    /// The binary.
    pub binary: PathBuf,
    /// Flags that take the place of the script's.
    pub flags: Vec<String>,
}

/// Plays a script against a gateway; what was seen.
///
/// A player that cannot go on says so in the transcript.
pub async fn play(script: &Script, side: &Side) -> Transcript {
    let played = AssertUnwindSafe(async { Player::start(script, side).await.play(script).await });
    match played.catch_unwind().await {
        Ok(transcript) => transcript,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let mut transcript = Transcript::default();
            transcript.add(TROUBLES, [format!("the player gave up: {}", text.unwrap_or_default())]);
            transcript
        }
    }
}

struct Player {
    world: World,
    scraper: Scraper,
    slots: Vec<Slot>,
    transcript: Transcript,
}

impl Player {
    async fn start(script: &Script, side: &Side) -> Player {
        let setting = &script.setting;
        let plan = Arc::new(Plan::new(setting.max_message));
        let deciding = plan.clone();
        let api = Api::start(move |request| deciding.answer(request));
        let replace = setting.on_duplicate == "replace";
        api.licence(Licence { replace, calls_per_client: setting.calls_per_client, ..Licence::default() });
        let address = ["--api".to_owned(), format!("http://{}{}", api.address, setting.base)];
        let flags = override_flags(&setting.flags(), &side.flags);
        let gateway = Gateway::start(&side.binary, &[address.as_slice(), &flags].concat(), &[]).await;
        let bearer = setting.token.then(|| format!("Bearer {TOKEN}"));
        let control = Control { address: gateway.control, bearer };
        plan.control.get_or_init(|| control.clone());
        let scraper = Scraper::new(control.address);
        let world = World {
            gateway,
            api,
            plan,
            control,
            max_message: setting.max_message,
            calls_at_once: setting.calls_at_once(),
        };
        Player { world, scraper, slots: (0..IDS.len()).map(Slot::new).collect(), transcript: Transcript::default() }
    }

    async fn play(mut self, script: &Script) -> Transcript {
        for (at, round) in script.rounds.iter().enumerate() {
            self.round(at, round).await;
            if self.is_stuck() {
                break;
            }
        }
        let counters = match self.scraper.scrape().await {
            Ok(metrics) => counted(&metrics, script.has_open_repeats()),
            Err(why) => vec![why],
        };
        self.transcript.add("counters", counters);
        if !self.is_stuck() {
            self.end(script.end).await;
        }
        self.finish(script)
    }

    fn trouble(&mut self, text: String) {
        self.transcript.add(TROUBLES, [text]);
    }

    fn is_stuck(&self) -> bool {
        !self.transcript.troubles().is_empty() || self.slots.iter().any(|slot| !slot.troubles.is_empty())
    }

    async fn round(&mut self, at: usize, round: &Round) {
        match round {
            Round::Deeds(deeds) => self.act(at, deeds).await,
            Round::Away(away, deeds) => self.away(at, *away, deeds).await,
            Round::CloseIdle => {
                settle::close_idle(&self.world.api).await;
            }
            Round::Restart => {
                self.world.api.stop().await;
                settle::ends_noticed(&self.world.api).await;
                self.world.api.resume();
            }
        }
        self.settle(at, false).await;
        self.world.plan.clear();
        if matches!(round, Round::Deeds(deeds) if deeds.iter().any(|(_, deed)| deed.surprises())) {
            settle::ends_noticed(&self.world.api).await;
        }
    }

    async fn act(&mut self, at: usize, deeds: &[(usize, Deed)]) {
        let world = &self.world;
        let acts = self.slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            let (_, deed) = deeds.iter().find(|(who, _)| *who == index)?;
            Some(slot.act(world, at, deed))
        });
        join_all(acts).await;
    }

    async fn away(&mut self, at: usize, away: Away, deeds: &[(usize, Deed)]) {
        match away {
            Away::Refuses => {
                self.world.api.stop().await;
                settle::ends_noticed(&self.world.api).await;
            }
            Away::Closes => drop(settle::turn_away(&self.world.api, Accept::Close).await),
            Away::Resets => drop(settle::turn_away(&self.world.api, Accept::Reset).await),
        }
        self.act(at, deeds).await;
        self.settle(at, true).await;
        match away {
            Away::Refuses => self.world.api.resume(),
            Away::Closes | Away::Resets => self.world.api.accept(Accept::Serve),
        }
    }

    /// Until everything sent has been read, answered and heard.
    async fn settle(&mut self, at: usize, away: bool) {
        join_all(self.slots.iter_mut().map(Slot::sync)).await;
        if !self.scraper.until_quiet(away).await {
            self.trouble(format!("round {at}: calls or DELETEs were still under way after {PATIENCE:?}"));
        }
        join_all(self.slots.iter_mut().map(Slot::sync)).await;
    }

    async fn end(&mut self, end: End) {
        let open = |slot: &Slot| slot.current.as_ref().is_some_and(|visitor| !visitor.ended);
        let held = match end {
            End::Drain => None,
            End::HeldDelete | End::SecondSignal => self.slots.iter().position(open),
        };
        let gate = held.map(|index| self.world.plan.hold(&self.slots[index].id, "DELETE"));
        let deletes = held.map_or(0, |index| settle::seen(&self.world.api, &self.slots[index].id, "DELETE"));
        self.world.gateway.sigterm();
        let visitors = self.slots.iter_mut().filter_map(|slot| slot.current.as_mut());
        let ended = join_all(visitors.map(|visitor| visitor.until_end())).await;
        if ended.contains(&false) {
            self.trouble("a client was not sent away".into());
        }
        if let (Some(gate), Some(index)) = (gate, held) {
            self.while_draining(index, deletes).await;
            if matches!(end, End::SecondSignal) {
                self.world.gateway.sigterm();
            } else {
                gate.open();
            }
        }
        let status = found_by(PATIENCE, || (!self.world.gateway.is_running()).then_some(())).await;
        match status {
            Some(()) => {
                let code = self.world.gateway.wait_exit().await.code();
                self.transcript.add("end", [format!("exit code {code:?}")]);
            }
            None => self.trouble("the gateway goes on running after SIGTERM".into()),
        }
        if matches!(end, End::SecondSignal) && held.is_some() {
            return;
        }
        let settled = found_by(PATIENCE, || self.world.api.law(Law::unsettled).is_empty().then_some(())).await;
        if settled.is_none() {
            self.trouble(format!("owed at the end: {}", self.world.api.law(Law::unsettled).len()));
        }
    }

    /// What a draining gateway answers about a client whose DELETE is under way.
    async fn while_draining(&mut self, index: usize, deletes: usize) {
        let id = self.slots[index].id.clone();
        let target = format!("/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
        let (public, control) = (self.world.gateway.public, self.world.control.clone());
        // All but the held DELETE have been answered, so that the way the process ends is known.
        let others = || (self.world.api.law(Law::unsettled).len() <= 2).then_some(());
        let asked = settle::until_seen(&self.world.api, &id, "DELETE", deletes + 1).await;
        if !asked || found_by(PATIENCE, others).await.is_none() {
            self.trouble("no DELETE while draining".into());
        }
        let ready = encode("GET", "/-/ready", &[], None);
        let mut told = String::new();
        // Each worker learns of the signal by itself.
        let until = tokio::time::Instant::now() + PATIENCE;
        while !told.starts_with("503") && tokio::time::Instant::now() < until {
            told = wire::plain(control.address, "GET", &ready).await;
        }
        let lines = [
            format!("connect: {}", wire::plain(public, "GET", &handshake(&target, &[])).await),
            format!("push: {}", wire::control(&control, "POST", &target, &[], Some(b"late")).await),
            format!("ready: {told}"),
        ];
        self.transcript.add("end", lines);
    }

    fn finish(mut self, script: &Script) -> Transcript {
        let mut names = Vec::new();
        for seen in self.world.api.seen() {
            let client = decoded(seen.request.client());
            if seen.request.method == "GET" {
                let of_client =
                    names.iter().filter(|(_, name): &&(String, String)| name.starts_with(&format!("<{client} ")));
                let name = format!("<{client} {}>", of_client.count() + 1);
                names.push((seen.request.connection_id().to_owned(), name));
            }
            let line = requested(&seen.request, &self.world.api);
            self.transcript.add(&format!("API about {client}"), [line]);
        }
        for slot in &mut self.slots {
            let id = &slot.id;
            self.transcript.add(TROUBLES, std::mem::take(&mut slot.troubles));
            self.transcript.add(&format!("client {id}: told"), std::mem::take(&mut slot.told));
            let visitors = slot.past.drain(..).chain(slot.current.take());
            for (number, visitor) in visitors.enumerate() {
                self.transcript.add(&format!("client {id}: connection {}", number + 1), visitor.heard);
                self.transcript.add(&format!("client {id}: connection {}, pings", number + 1), visitor.aside);
            }
        }
        for (client, lines) in self.world.plan.told() {
            self.transcript.add(&format!("handlers of {client}"), lines);
        }
        let laws = self.world.api.violations().into_iter().map(|text| format!("broken law: {text}"));
        self.transcript.add(TROUBLES, laws);
        self.transcript.rename(&names);
        if script.is_unordered() {
            self.transcript.sort(|section| section.starts_with("API") || section.contains("connection"));
        }
        self.transcript
    }
}

/// A request as the API saw it, in one line.
fn requested(request: &Request, api: &Api) -> String {
    let free = ["connection", "keep-alive", "content-length"];
    // Some HTTP clients cannot do without these; they say nothing.
    let empty = [("accept", "*/*"), ("user-agent", "")];
    let compared = |(name, value): &&(String, String)| {
        !free.contains(&name.as_str()) && !empty.contains(&(name.as_str(), value.as_str()))
    };
    let mut headers: Vec<_> = request.headers.iter().filter(compared).collect();
    headers.sort_by_key(|(name, _)| name);
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let headers = headers.join("; ").replace(&api.address.to_string(), "<api>");
    format!("{} {} [{headers}] {}", request.method, request.target, shown(&request.body))
}

/// The counters that the contract fixes, and the names of all that there are.
fn counted(metrics: &Metrics, open_repeats: bool) -> Vec<String> {
    let depends = |series: &str| {
        let name = name_of(series);
        let repeats = ["requests_started", "requests_failed", "ws2http_disconnects_repeated_total"];
        name.starts_with("process_")
            || name == "ws2http_sockets"
            || name == "ws2http_build_info"
            || name.ends_with("_seconds_bucket")
            || name.ends_with("_seconds_sum")
            || open_repeats && (repeats.contains(&name) || series.contains("_seconds_count{method=\"DELETE\""))
    };
    let values =
        metrics.series.iter().filter(|(series, _)| !depends(series)).map(|(name, value)| format!("{name} {value}"));
    let kinds = metrics.types.iter().map(|(name, kind)| format!("{name} is a {kind}"));
    values.chain(kinds).collect()
}
