// The drawing: three boxes, one row for each thing that can happen, lit when it does.

const SVG = "http://www.w3.org/2000/svg";
const ROW = { first: 88, height: 62, back: 14 };
// Edges of the boxes: browser | gateway | API.
const X = { browser: [0, 16], gateway: [41, 59], api: [84, 100] };

// What is written over each half of a row, and what comes back; from the API or to it.
const ROWS = [
  { kind: "connect", ws: ["handshake", "open"], http: ["GET", "ok"] },
  { kind: "message", ws: ["message", "reply"], http: ["POST", "reply"] },
  { kind: "close", ws: ["close", "closed"], http: ["DELETE", "ok"] },
  { kind: "push", ws: ["message"], http: ["POST", "ok"], fromApi: true },
  { kind: "kick", ws: ["close"], http: ["DELETE", "ok"], fromApi: true },
];

const CAPTIONS = {
  connect: (e) => e.status < 300
    ? `${e.client} wants to connect. The gateway asks GET …/${e.client}, the API says “${e.answer}”: the WebSocket opens.`
    : `${e.client} wants to connect. The gateway asks GET …/${e.client}, the API answers ${e.status} “${e.answer}”: refused.`,
  message: (e) => e.answer
    ? `${e.client} sent “${e.sent}”. The gateway calls POST …/${e.client}; the answer “${e.answer}” goes back as a message.`
    : `${e.client} sent “${e.sent}”. The gateway calls POST …/${e.client}; the empty answer sends nothing back.`,
  close: (e) => `${e.client} has gone (${e.sent}). The gateway tells the API by DELETE …/${e.client}.`,
  push: (e) => `The API pushes “${e.sent}” by POST /${e.client} to the gateway, which answers ${e.status} “${e.answer}”.`,
  kick: (e) => `The API kicks by DELETE /${e.client} at the gateway (${e.sent}), which answers ${e.status} “${e.answer}”.`,
};

function shape(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function arrow(row, [from, to], y, label, labelY, back) {
  const direction = to > from ? "right" : "left";
  shape(row, "line", { x1: `${from}%`, x2: `${to}%`, y1: y, y2: y, class: back ? "back" : "forth" });
  shape(row, "use", { href: `#head-${direction}`, x: `${to}%`, y, class: "head" });
  return shape(row, "text", { x: `${(from + to) / 2}%`, y: labelY, class: "label" }, label);
}

function drawRow(svg, { kind, ws, http, fromApi }, y) {
  const row = shape(svg, "g", { id: `flow-${kind}`, class: `row ${kind}` });
  const left = [X.browser[1], X.gateway[0]];
  const right = [X.gateway[1], X.api[0]];
  const turned = (ends) => (fromApi ? ends.toReversed() : ends);
  const answered = (ends) => (fromApi ? ends : ends.toReversed());
  arrow(row, turned(left), y, ws[0], y - 7);
  if (ws[1]) arrow(row, answered(left), y + ROW.back, ws[1], y + ROW.back + 13, true).classList.add("outcome");
  arrow(row, turned(right), y, `${http[0]} /alice`, y - 7).classList.add("request");
  arrow(row, answered(right), y + ROW.back, http[1], y + ROW.back + 13, true).classList.add("answer");
  const dot = shape(row, "circle", { class: "dot", r: 5 });
  dot.style.setProperty("--y", `${y}px`);
}

function drawBox(svg, [from, to], title, about, height) {
  shape(svg, "rect", { x: `${from}%`, y: 1, width: `${to - from}%`, height: height - 2, rx: 12, class: "box" });
  const x = `${(from + to) / 2}%`;
  shape(svg, "text", { x, y: 26, class: "title" }, title);
  shape(svg, "text", { x, y: 43, class: "about" }, about);
}

/** Draws the whole picture into the given svg element. */
export function draw(svg) {
  const height = ROW.first + ROWS.length * ROW.height - 8;
  svg.setAttribute("height", height);
  const defs = shape(svg, "defs", {});
  shape(defs, "path", { id: "head-right", d: "M-9-5 0 0-9 5" });
  shape(defs, "path", { id: "head-left", d: "M9-5 0 0 9 5" });
  ROWS.forEach((row, i) => drawRow(svg, row, ROW.first + i * ROW.height));
  drawBox(svg, X.browser, "Browser", "WebSocket", height);
  drawBox(svg, X.gateway, "ws2http", "gateway", height);
  drawBox(svg, X.api, "API", "HTTP", height);
  ROWS.forEach(({ kind }, i) => {
    const y = ROW.first + i * ROW.height + ROW.back / 2;
    shape(svg, "text", { x: "50%", y: y + 4, class: `verb ${kind}` }, kind);
  });
}

/** What came back, in a word: to the gateway, and to the WebSocket client if it is told anything. */
function outcome({ kind, status, answer }) {
  if (kind === "connect") return status < 300 ? ["ok", "open"] : [status, "refused"];
  if (kind === "message") return status < 300 ? (answer ? ["reply", "reply"] : ["empty", "nothing"]) : [status, "nothing"];
  return [status < 300 ? "ok" : status, "closed"];
}

const short = (name) => (Array.from(name).length > 8 ? `${Array.from(name).slice(0, 7).join("")}…` : name);

/** Lights the row of an event of the API's log and says in words what happened. */
export function light(event) {
  const row = document.getElementById(`flow-${event.kind}`);
  row.querySelector(".request").textContent = `${event.method} /${short(event.client)}`;
  const [answer, told] = outcome(event);
  row.querySelector(".answer").textContent = answer;
  const toClient = row.querySelector(".outcome");
  if (toClient) toClient.textContent = told;
  row.classList.remove("lit");
  row.getBoundingClientRect(); // lets the animation start anew
  row.classList.add("lit");
  clearTimeout(row.off);
  row.off = setTimeout(() => row.classList.remove("lit"), 2200);
  document.getElementById("flow-caption").textContent = CAPTIONS[event.kind](event);
}
