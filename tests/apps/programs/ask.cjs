'use strict';
// node ask.cjs LIBRARY NODE_MODULES: asks a model once, by one library, with an agent of its own where it takes one.

const http = require('http');
const https = require('https');
const path = require('path');
const { createRequire } = require('module');

const [library, modules] = process.argv.slice(2);
const load = modules && createRequire(path.join(modules, 'x'));
const URL = 'https://api.openai.com/v1/chat/completions';
const headers = { authorization: 'Bearer sk-test', 'content-type': 'application/json' };
const question = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] };
const text = (reply) => reply.choices[0].message.content;

const LIBRARIES = {
  https: (agent = new https.Agent({ keepAlive: true })) => new Promise((resolve, reject) => {
    const request = https.request(URL, { method: 'POST', headers, agent }, (reply) => {
      let body = '';
      reply.on('data', (more) => (body += more)).on('end', () => resolve(text(JSON.parse(body))));
    });
    request.on('error', reject).end(JSON.stringify(question));
  }),
  async fetch() {
    return text(await (await fetch(URL, { method: 'POST', headers, body: JSON.stringify(question) })).json());
  },
  async undici() {
    const { request, Agent } = load('undici');
    const { body } = await request(URL, { method: 'POST', headers, body: JSON.stringify(question), dispatcher: new Agent() });
    return text(await body.json());
  },
  async axios() {
    const { data } = await load('axios').post(URL, question, { headers, httpsAgent: new https.Agent(), proxy: false });
    return text(data);
  },
  async got() {
    const agent = { https: new https.Agent({ keepAlive: true }) };
    return text(await load('got').post(URL, { headers, json: question, agent }).json());
  },
  async openai4() {
    const { OpenAI } = load('openai4');
    const stream = await new OpenAI().chat.completions.create({ ...question, stream: true, stream_options: { include_usage: true } });
    let said = '';
    for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? '';
    return said;
  },
  async openai6() {
    const { OpenAI } = load('openai6');
    return text(await new OpenAI().chat.completions.create(question));
  },
  async bedrock() {
    const { BedrockRuntimeClient, ConverseCommand } = load('@aws-sdk/client-bedrock-runtime');
    const client = new BedrockRuntimeClient({ region: 'us-east-1' });
    const messages = [{ role: 'user', content: [{ text: 'Why?' }] }];
    const reply = await client.send(new ConverseCommand({ modelId: 'amazon.nova-lite-v1:0', messages }));
    return reply.output.message.content[0].text;
  },
  ws: () => new Promise((resolve, reject) => {
    const socket = new (load('ws'))('wss://api.openai.com/v1/realtime?model=gpt-realtime', { headers });
    socket.on('open', () => {
      const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Why?' }] };
      socket.send(JSON.stringify({ type: 'conversation.item.create', item }));
      socket.send(JSON.stringify({ type: 'response.create' }));
    });
    socket.on('message', (data) => {
      const event = JSON.parse(data);
      if (event.type === 'response.done') socket.close();
    });
    socket.on('close', () => resolve('closed')).on('error', reject);
  }),
  'https-proxy-agent': () => LIBRARIES.https(new (load('https-proxy-agent').HttpsProxyAgent)(process.env.HTTPS_PROXY)),
};

LIBRARIES[library]().then((said) => {
  console.log(said);
  process.exitCode = 7;
  http.globalAgent.destroy();
});
