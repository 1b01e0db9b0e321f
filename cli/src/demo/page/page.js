// This tab: one WebSocket client and the forms by which the API pushes and kicks.

import { draw } from "./flow.js";
import { clients, connectEvent, drawCounts, element, gateway, lastEvent, nudge, picked, watch } from "./watch.js";

const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank"];
const SHOWN_BYTES = 12;
const BUBBLES = 200;

const CODES = {
  1000: "normal", 1001: "going away", 1005: "no code given", 1006: "no close frame", 1008: "policy",
  1009: "message too big", 1011: "API failure", 1013: "try again later",
};

const byId = (id) => document.getElementById(id);
let socket = null;
let name = "";

function status(state, text) {
  byId("status").dataset.state = state;
  byId("status").textContent = text;
}

function bubble(kind, from, text) {
  const line = element("li", `bubble ${kind}`);
  if (from) line.append(element("small", "", from));
  line.append(element("span", "", text));
  const list = byId("messages");
  list.append(line);
  while (list.children.length > BUBBLES) list.firstChild.remove();
  list.scrollTop = list.scrollHeight;
}

function describe(bytes) {
  const hex = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `${bytes.length} bytes: ${hex}${bytes.length > SHOWN_BYTES ? " …" : ""}`;
}

/** Buttons and fields as the connection allows. */
function enable(connected) {
  for (const id of ["send", "send-binary"]) byId(id).disabled = !connected;
  byId("connect").hidden = socket !== null;
  byId("disconnect").hidden = socket === null;
  byId("name").disabled = socket !== null;
}

function connect() {
  name = byId("name").value.trim();
  if (!name || socket) return;
  const since = lastEvent();
  let opened = false;
  try {
    socket = new WebSocket(`ws://${location.hostname}:${gateway().port}/${encodeURIComponent(name)}`);
  } catch (error) {
    return status("bad", error.message);
  }
  socket.binaryType = "arraybuffer";
  status("busy", `connecting as ${name} …`);
  enable(false);
  socket.onopen = () => {
    opened = true;
    document.title = `${name} · ws2http demo`;
    status("good", `connected as ${name}`);
    bubble("note", "", `connected as ${name}`);
    enable(true);
    byId("text").focus();
    nudge();
  };
  socket.onmessage = ({ data }) => {
    const binary = data instanceof ArrayBuffer;
    bubble(binary ? "received binary" : "received", "from the API", binary ? describe(new Uint8Array(data)) : data);
    nudge();
  };
  socket.onclose = (event) => closed(event, since, opened);
}

async function closed({ code, reason }, since, opened) {
  socket = null;
  enable(false);
  document.title = "ws2http demo";
  const text = `${code} (${CODES[code] ?? "the API's own code"})${reason ? `: ${reason}` : ""}`;
  status("bad", `closed with ${text}`);
  const asked = await answerOfApi(since);
  if (asked && asked.status >= 300) {
    status("bad", `refused by the API: ${asked.answer}`);
    if (opened) byId("messages").lastChild.remove(); // told in-band: it only looked connected
    bubble("note bad", "", `refused by the API: ${asked.answer}`);
  } else if (!opened) {
    status("bad", `${name} could not connect. Is the name in use? (closed with ${text})`);
    bubble("note bad", "", `${name} could not connect`);
  } else {
    bubble("note bad", "", `closed with ${text}`);
  }
}

/** What the API answered to this tab's connect, once its log has it; a browser does not tell. */
async function answerOfApi(since) {
  for (let turn = 0; turn < 4; turn += 1) {
    const event = connectEvent(name, since);
    if (event) return event;
    nudge();
    await new Promise((done) => setTimeout(done, 100));
  }
  return undefined;
}

function send(data) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(data);
  const binary = typeof data !== "string";
  bubble(binary ? "sent binary" : "sent", name, binary ? describe(data) : data);
  nudge();
}

function sendText() {
  const text = byId("text").value;
  if (!text) return;
  send(text);
  byId("text").value = "";
}

/** Asks the API server to ask the gateway; shows what that answered. */
async function order(verb, path, body) {
  const client = picked();
  const result = byId("api-result");
  if (client === undefined) {
    result.dataset.state = "bad";
    result.textContent = "Nobody is connected.";
    return;
  }
  try {
    const answer = await fetch(`/${verb}/${encodeURIComponent(client)}${path}`, { method: "POST", body });
    result.dataset.state = answer.ok ? "good" : "bad";
    result.textContent = `${verb} ${client}: the gateway answered ${answer.status} ${await answer.text()}`;
  } catch (error) {
    result.dataset.state = "bad";
    result.textContent = `The demo server does not answer: ${error.message}`;
  }
  nudge();
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** What push and kick come down to, for any program that speaks HTTP. */
function showCommands() {
  const { control, token } = gateway();
  const client = encodeURIComponent(picked() ?? "alice").replaceAll("'", "%27");
  const curl = `curl${token ? " -H \"Authorization: Bearer $TOKEN\"" : ""}`;
  const reason = encodeURIComponent(byId("kick-reason").value).replaceAll("'", "%27");
  const kick = `'http://${control}/${client}?code=${byId("kick-code").value}&reason=${reason}'`;
  byId("commands").textContent =
    `${curl} --data-raw ${quoted(byId("push-text").value)} 'http://${control}/${client}'\n${curl} -X DELETE ${kick}`;
}

function suggest() {
  const other = clients().find((client) => client !== name) ?? "bob";
  for (const text of ["hello", `@${other} hi 👋🏽`, "/who", "/quiet", "/help"]) {
    const chip = element("button", "chip", text);
    chip.type = "button";
    chip.onclick = () => {
      byId("text").value = text;
      byId("text").focus();
    };
    byId("suggestions").append(chip);
  }
}

/** A name for this tab, and one for the next. */
function propose() {
  const wanted = new URLSearchParams(location.search).get("name");
  const free = NAMES.filter((proposed) => !clients().includes(proposed));
  const own = wanted || free[0] || `guest-${Date.now() % 10000}`;
  if (!byId("name").value) byId("name").value = own;
  const next = free.find((proposed) => proposed !== own) ?? "";
  byId("second-tab").href = next ? `/?name=${next}` : "/";
  suggest();
  showCommands();
}

function onSubmit(form, action) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

draw(byId("flow"));
drawCounts();
enable(false);
onSubmit("connect-form", connect);
onSubmit("send-form", sendText);
onSubmit("push-form", () => order("push", "", byId("push-text").value));
onSubmit("kick-form", () => {
  const reason = encodeURIComponent(byId("kick-reason").value);
  order("kick", `?code=${byId("kick-code").value}&reason=${reason}`);
});
document.addEventListener("input", showCommands);
document.addEventListener("visibilitychange", nudge);
byId("disconnect").onclick = () => socket?.close(1000, "bye");
byId("send-binary").onclick = () => send(crypto.getRandomValues(new Uint8Array(8)));
byId("try-banned").onclick = () => {
  if (!socket) byId("name").value = "banned-bob";
};
watch(() => (socket ? name : ""), propose, showCommands);
