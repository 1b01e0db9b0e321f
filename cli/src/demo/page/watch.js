// What the API server knows, asked again and again: clients, counts, events.

import { light } from "./flow.js";

const COUNTS = ["connected", "connects", "refused", "messages", "replies", "pushes", "undelivered", "kicks", "closes"];
const LOG_LINES = 100;
const EAGER = 300; // milliseconds between two questions
const LAZY = 1500; // the same, in a tab that nobody sees

const byId = (id) => document.getElementById(id);
const state = { started: 0, last: 0, gateway: {}, clients: [], events: [] };
let wake = () => {};

export const gateway = () => state.gateway;
export const clients = () => state.clients;

/** Asks at once rather than at the next turn. */
export const nudge = () => wake();

/** The newest connect event of `client` that is younger than event number `after`. */
export const connectEvent = (client, after) =>
  state.events.findLast((e) => e.kind === "connect" && e.client === client && e.n > after);

export const lastEvent = () => state.last;

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function drawCounts() {
  for (const name of COUNTS) {
    const tile = element("div", name === "connected" ? "tile now" : "tile");
    tile.append(element("dt", "", name));
    const value = element("dd", "", "0");
    value.id = `count-${name}`;
    tile.append(value);
    byId("counts").append(tile);
  }
}

function showCounts(counts) {
  for (const name of COUNTS) {
    const value = byId(`count-${name}`);
    const text = String(counts[name]);
    if (value.textContent === text) continue;
    value.textContent = text;
    value.classList.remove("bump");
    value.getBoundingClientRect();
    value.classList.add("bump");
  }
}

/** The client that push and kick are about. */
export const picked = () => document.querySelector("input[name=client]:checked")?.value;

function showClients(clients, me) {
  const before = picked();
  const choice = clients.includes(before) ? before : clients.find((c) => c !== me) ?? clients[0];
  const chips = clients.map((client) => {
    const label = element("label", "chip");
    const radio = element("input");
    Object.assign(radio, { type: "radio", name: "client", value: client, checked: client === choice });
    label.append(radio, element("span", "", client === me ? `${client} (this tab)` : client));
    return label;
  });
  byId("clients").replaceChildren(...(chips.length ? chips : [element("p", "hint", "Nobody.")]));
}

function logLine(e) {
  const line = element("li", `event ${e.kind}`);
  line.dataset.n = e.n;
  const ours = e.kind === "push" || e.kind === "kick";
  line.append(
    element("time", "", new Date(e.at).toLocaleTimeString([], { hour12: false })),
    element("span", "way", ours ? "API → gateway" : "gateway → API"),
    element("span", "badge", e.method),
    element("code", "target", ours ? `/${e.client}` : `/api/${e.client}`),
    element("span", "body", e.sent),
    element("span", e.status < 300 ? "answer" : "answer bad", `${e.status} ${e.answer}`.trim()),
    element("span", "took", `${(e.micros / 1000).toFixed(e.micros < 10000 ? 2 : 0)} ms`),
  );
  return line;
}

function showEvents(events, fresh) {
  for (const e of events) {
    byId("log").prepend(logLine(e));
    if (fresh) light(e);
  }
  while (byId("log").children.length > LOG_LINES) byId("log").lastChild.remove();
  byId("log-empty").hidden = byId("log").children.length > 0;
}

function forget() {
  Object.assign(state, { started: 0, last: 0, events: [] });
  byId("log").replaceChildren();
}

function show(news, me) {
  const changed = JSON.stringify([news.clients, me]) !== state.shown;
  state.shown = JSON.stringify([news.clients, me]);
  state.gateway = news.gateway;
  state.clients = news.clients;
  state.events = state.events.concat(news.events).slice(-200);
  if (changed) showClients(news.clients, me);
  showCounts(news.counts);
  showEvents(news.events, state.started !== 0);
  state.started = news.started;
  state.last = news.last;
}

async function ask(me) {
  const answer = await fetch(`/state?after=${state.last}`);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const news = await answer.json();
  if (state.started && news.started !== state.started) {
    forget();
    return ask(me);
  }
  show(news, me());
}

/** Asks for ever; `me` tells this tab's name; `first` is called after the first answer, `each` after every one. */
export async function watch(me, first, each) {
  for (;;) {
    try {
      await ask(me);
      byId("offline").hidden = true;
      first?.();
      first = null;
      each();
    } catch {
      byId("offline").hidden = false;
    }
    await new Promise((done) => {
      wake = done;
      setTimeout(done, document.hidden ? LAZY : EAGER);
    });
  }
}
