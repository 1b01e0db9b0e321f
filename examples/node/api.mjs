// An API for ws2http in Node.js 18 or newer, without packages.
//
//   node examples/node/api.mjs
//   ws2http-tokio --api http://127.0.0.1:8000/

import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 8000);
const gateway = process.env.WS2HTTP_GATEWAY ?? 'http://127.0.0.1:7001';
const controlToken = process.env.WS2HTTP_CONTROL_TOKEN; // the same as the gateway's --control-token
const ticket = process.env.API_TICKET; // set it to let in only /<ClientId>?ticket=<API_TICKET>

const TEXT = 'text/plain; charset=utf-8';
const BINARY = 'application/octet-stream';

const online = new Map(); // ClientId -> connection id; a real application has a database

// Decides who may connect. Cookies and the Authorization header are there for real life.
function connect(id, query) {
  if (ticket && query.get('ticket') !== ticket) return [401, 'no valid ticket'];
  if (id.startsWith('banned')) return [200, 'you are banned']; // any text but "ok" refuses: the client sees 403 and the text
  return [200, 'ok'];
}

// What the application answers to a text message.
async function reply(id, text) {
  if (text === 'hello') return `hello ${id}`;
  if (text === 'who') return [...online.keys()].sort().join(', ');
  if (text === 'quiet') return ''; // nothing is sent to the client
  const part = /^@([^ ]+) (.*)$/s.exec(text);
  if (part) {
    const status = await push(part[1], `${id}: ${part[2]}`);
    if (status === 200 || status === 202) return 'sent';
    return status === 404 ? `${part[1]} is not connected` : `${part[1]} could not be reached (${status})`;
  }
  return `you said: ${text}`;
}

// Sends a message to any client, at any time. Gives the HTTP status, 0 for no answer.
async function push(to, text) {
  const headers = { 'Content-Type': TEXT };
  if (controlToken) headers.Authorization = `Bearer ${controlToken}`;
  try {
    const url = `${gateway}/${encodeURIComponent(to)}`;
    const answer = await fetch(url, { method: 'POST', headers, body: text, signal: AbortSignal.timeout(5000) });
    await answer.text(); // read to the end, so that the connection can be used again
    return answer.status;
  } catch {
    return 0;
  }
}

async function handle(request) {
  const [path, query] = request.url.split('?', 2);
  // The ClientId is the last part of the path, percent-encoded: /b%C3%B6b is "böb".
  const id = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
  // Names this one connection; a client that comes back has the same ClientId and a new connection id.
  const connection = request.headers['x-connection-id'];
  const body = Buffer.concat(await request.toArray());

  switch (request.method) {
    case 'GET': { // a client wants to connect: the body "ok" lets it in
      const [status, answer] = connect(id, new URLSearchParams(query));
      if (answer === 'ok') online.set(id, connection);
      return [status, TEXT, answer];
    }
    case 'POST': // a client sent a message: a body that is not empty goes back to it
      if (request.headers['content-type'] === BINARY) return [200, BINARY, body]; // binary messages are echoed
      return [200, TEXT, await reply(id, body.toString())];
    case 'DELETE': // a client has gone: the body is the reason. May come twice.
      console.error(`${id} left: ${request.headers['x-close-code']} ${JSON.stringify(body.toString())}`);
      // A late DELETE of an older connection must not take the newer one off the list.
      if (online.get(id) === connection) online.delete(id);
      return [200, TEXT, 'ok'];
    default:
      return [405, TEXT, 'only GET, POST and DELETE'];
  }
}

const server = createServer(async (request, response) => {
  let answer;
  try {
    answer = await handle(request);
  } catch (failure) {
    console.error(failure);
    answer = [500, TEXT, 'failed']; // ws2http keeps the client and repeats a DELETE
  }
  const [status, type, body] = answer;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
});
// The gateway keeps its connections open and takes them again; Node's 5 s would close them under a call.
server.keepAliveTimeout = 3_600_000;
server.listen(port, '127.0.0.1'); // for the gateway only: the API believes its headers
