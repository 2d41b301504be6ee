'use strict';
// A program that tells what it sees of its connections, in words that do not depend on ports or times.
//   node behaviour.cjs SCENARIO HTTPS_URL HTTP_URL

const http = require('http');
const https = require('https');
const http2 = require('http2');
const net = require('net');
const tls = require('tls');

const [name, secureUrl, plainUrl] = process.argv.slice(2);
const secure = new URL(secureUrl);
const say = (...words) => console.log(words.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))).join(' '));
const wrong = (error) => say('error', error.name, error.code || '', error.cause ? error.cause.code : '');

function ask(url, options = {}, body = 'hello') {
  return new Promise((resolve) => {
    const request = (url.startsWith('https') ? https : http).request(url, { method: 'POST', ...options }, (reply) => {
      const { socket } = reply; // it is detached at the end
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (more) => (text += more));
      reply.on('end', () => resolve({ status: reply.statusCode, text, socket, request }));
      reply.on('error', (error) => { wrong(error); resolve({}); });
    });
    request.on('error', (error) => { wrong(error); resolve({}); });
    request.on('timeout', () => { say('timeout'); request.destroy(); });
    request.end(body);
    if (options.then) options.then(request);
  });
}

const told = ({ status, text }) => say(status, text);
const order = (socket, events) => events.forEach((event) => socket.once(event, () => say(event)));

const SCENARIOS = {
  async 'https global agent'() { told(await ask(secureUrl)); },
  async 'https own agent'() {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, timeout: 3000 });
    const first = await ask(secureUrl, { agent });
    const second = await ask(secureUrl, { agent });
    told(first);
    told(second);
    say('reused', first.socket === second.socket, second.request.reusedSocket);
    say(Object.keys(agent.freeSockets).length, Object.keys(agent.sockets).length, first.socket.timeout);
  },
  async 'https agent without keep-alive'() {
    const agent = new https.Agent({ keepAlive: false });
    const first = await ask(secureUrl, { agent });
    told(first);
    told(await ask(secureUrl, { agent }));
    say('reused', first.request.reusedSocket);
  },
  async 'parallel requests and maxSockets'() {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 2 });
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => ask(secureUrl, { agent }, String(n))));
    say(all.map(({ status }) => status), new Set(all.map(({ socket }) => socket)).size);
  },
  async 'http agents'() {
    told(await ask(plainUrl));
    const agent = new http.Agent({ keepAlive: true });
    const first = await ask(plainUrl, { agent });
    const second = await ask(plainUrl, { agent });
    say('reused', first.socket === second.socket);
    told(await ask(plainUrl, { agent: false }));
  },
  async 'request headers and body'() {
    const headers = { 'X-Case': 'Kept', 'content-type': 'application/json', Host: 'named.example' };
    told(await ask(secureUrl + '/echo?a=b%20c', { headers }, 'x'.repeat(300000)));
  },
  async 'events of a socket'() {
    await new Promise((resolve) => {
      const request = https.get(secureUrl, { agent: new https.Agent() }, (reply) => { reply.resume(); reply.on('end', resolve); });
      request.on('socket', (socket) => {
        say('socket', socket.connecting, socket instanceof tls.TLSSocket, socket.encrypted);
        // Not 'end': the server's may come before this side closes, or not.
        order(socket, ['connect', 'secureConnect', 'data', 'close']);
      });
      request.on('response', () => say('response'));
      request.on('close', () => say('request closed'));
    });
  },
  async 'TLS facts'() {
    const { socket } = await ask(secureUrl, { agent: new https.Agent({ keepAlive: true }) });
    say(socket.authorized, socket.getProtocol(), socket.alpnProtocol, socket.servername || 'no name', socket.getPeerCertificate().subject);
    socket.destroy();
  },
  async 'TLS that is not trusted'() {
    await ask(secureUrl, { agent: new https.Agent({ ca: [] }) });
    await ask(secureUrl, { agent: new https.Agent({ ca: [], rejectUnauthorized: false }) }).then(told);
    await ask(secureUrl, { agent: new https.Agent({ servername: 'other.example' }) });
    await ask(secureUrl, { agent: new https.Agent({ checkServerIdentity: () => new Error('not this one') }) });
    await ask(secureUrl, { agent: new https.Agent({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }) }).catch(wrong);
  },
  async 'options that are refused'() {
    try { tls.connect({ host: secure.hostname, port: 70000 }).on('error', wrong); } catch (error) { wrong(error); }
    try { tls.connect({ host: secure.hostname, port: secure.port, minVersion: 'none' }); } catch (error) { wrong(error); }
    try { tls.connect({ host: 5, port: 443 }).on('error', wrong); } catch (error) { wrong(error); }
  },
  async 'time-outs'() {
    await ask(secureUrl + '/silent', { timeout: 200 });
    await ask(secureUrl + '/silent', { agent: new https.Agent({ timeout: 200 }) });
    await ask(secureUrl + '/silent', { then: (request) => request.setTimeout(200) });
    await ask(plainUrl + '/silent', { timeout: 200 });
    await fetch(secureUrl + '/silent', { signal: AbortSignal.timeout(300) }).catch(wrong);
  },
  async 'aborts'() {
    for (const when of ['before', 'now', 'later']) {
      const stop = new AbortController();
      if (when === 'before') stop.abort();
      const asked = ask(secureUrl + '/silent', { signal: stop.signal, agent: new https.Agent() });
      if (when === 'now') stop.abort();
      if (when === 'later') setTimeout(() => stop.abort(), 150);
      await asked;
    }
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 150);
    await fetch(secureUrl + '/silent', { signal: stop.signal }).catch(wrong);
  },
  async 'a server that breaks off'() {
    await ask(secureUrl + '/broken', { agent: new https.Agent() });
    await ask(plainUrl + '/broken', { agent: new http.Agent() });
    await fetch(secureUrl + '/broken').then((reply) => reply.text()).catch(wrong);
  },
  async 'a stream'() {
    const reply = await fetch(secureUrl + '/stream');
    const chunks = [];
    for await (const chunk of reply.body) chunks.push(Buffer.from(chunk).toString());
    say(reply.status, chunks.join(''));
  },
  async 'fetch'() {
    for (const url of [secureUrl, plainUrl, secureUrl]) {
      const reply = await fetch(url, { method: 'POST', body: 'hello', headers: { 'x-a': '1' } });
      say(reply.status, await reply.text(), reply.url === url + '/');
    }
  },
  async 'http2'() {
    const session = http2.connect(secureUrl);
    order(session, ['connect', 'close']);
    const one = (body) => new Promise((resolve) => {
      const stream = session.request({ ':method': 'POST', ':path': '/echo' });
      let text = '';
      stream.on('response', (headers) => say(headers[':status']));
      stream.on('data', (more) => (text += more));
      stream.on('end', () => resolve(text));
      stream.end(body);
    });
    say(await one('first'));
    say(await Promise.all([one('second'), one('third')]));
    say(session.encrypted, session.alpnProtocol);
    await new Promise((resolve) => session.close(resolve));
  },
  async 'tls.connect in all its forms'() {
    const { hostname: host, port } = secure;
    const read = (socket) => new Promise((resolve) => {
      socket.write('GET / HTTP/1.0\r\nhost: a\r\n\r\n');
      socket.once('data', (data) => { say(String(data).slice(0, 12)); socket.destroy(); resolve(); });
    });
    await read(tls.connect({ host, port: Number(port) }));
    await read(tls.connect({ host, port }, () => say('called back')));
    await read(tls.connect(Number(port), host));
    await read(tls.connect(port, host, { rejectUnauthorized: false }, () => say('called back')));
    await read(tls.connect(Number(port), host, () => say('called back')));
    await read(tls.connect({ socket: net.connect(port, host), servername: 'localhost' }));
    const later = tls.connect({ host, port });
    say(later.connecting, later.authorized, later.writable);
    later.write('GET / HTTP/1.0\r\nhost: a\r\n\r\n'); // before it is connected
    await new Promise((resolve) => later.once('data', (data) => { say(String(data).slice(0, 12)); later.destroy(); resolve(); }));
  },
  async 'a socket that is destroyed at once'() {
    const socket = tls.connect({ host: secure.hostname, port: secure.port });
    order(socket, ['error', 'close']);
    socket.destroy();
    await new Promise((resolve) => socket.on('close', resolve));
  },
  async 'nothing keeps the process alive'() {
    https.globalAgent.keepAlive = true;
    told(await ask(secureUrl, { agent: new https.Agent({ keepAlive: true }) }));
    const socket = tls.connect({ host: secure.hostname, port: secure.port }, () => { socket.unref(); say('unref'); });
  },
  async 'sockets that are no calls'() {
    const server = net.createServer((socket) => socket.end('hello'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    for (const socket of [net.connect(server.address().port, '127.0.0.1'), net.createConnection({ port: server.address().port, host: '127.0.0.1' })]) {
      await new Promise((resolve) => socket.on('data', (data) => say(String(data))).on('close', resolve));
    }
    server.close();
  },
  async 'a Unix socket'() {
    const path = require('path').join(require('os').tmpdir(), `behaviour-${process.pid}.sock`);
    const server = http.createServer((_, reply) => reply.end('by a file'));
    await new Promise((resolve) => server.listen(path, resolve));
    await new Promise((resolve) => http.get({ socketPath: path, path: '/v1' }, (reply) => {
      reply.on('data', (data) => say(String(data))).on('end', resolve);
    }));
    server.close();
  },
  async 'a lookup of its own'() {
    const lookup = (_, options, done) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4));
    told(await ask(`https://localhost:${secure.port}`, { lookup }));
  },
  async 'a worker'() {
    const { Worker } = require('worker_threads');
    const text = `fetch(${JSON.stringify(secureUrl)}).then((r) => r.text()).then((t) => require('worker_threads').parentPort.postMessage(t))`;
    await new Promise((resolve) => new Worker(text, { eval: true }).on('message', (text) => say(text)).on('exit', resolve));
  },
  async 'children'() {
    const { execFileSync, fork } = require('child_process');
    const text = `fetch(${JSON.stringify(secureUrl)}).then((r) => r.text()).then((t) => console.log(t))`;
    say(String(execFileSync(process.execPath, ['-e', text])).trim());
    await new Promise((resolve) => fork(__filename, ['https global agent', secureUrl, plainUrl]).on('exit', resolve));
  },
  async 'refused'() {
    const { hostname: host, port } = secure;
    await ask(secureUrl, { agent: new https.Agent() });
    await ask(plainUrl, { agent: new http.Agent() });
    await fetch(secureUrl).catch(wrong);
    await fetch(plainUrl).catch(wrong);
    const session = http2.connect(secureUrl).on('error', wrong);
    await new Promise((resolve) => session.on('close', () => resolve(say('session closed'))));
    const socket = tls.connect({ host, port }).on('error', wrong);
    await new Promise((resolve) => socket.on('close', () => resolve(say('socket closed'))));
  },
  async 'what a program can see of it'() {
    say(typeof tls.connect, tls.connect.name, net.connect === net.createConnection);
    say(process.execArgv, Object.keys(globalThis).filter((key) => /tap/i.test(key)), Object.keys(process).filter((key) => /tap/i.test(key)));
    say((await import('node:tls')).connect === tls.connect, (await import('node:tls')).default === tls);
  },
};

SCENARIOS[name]().then(() => say('done'));
