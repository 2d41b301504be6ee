// An ES module with named imports.
import { request } from 'node:https';
import { connect } from 'node:tls';

const url = process.argv[2];
const { hostname: host, port } = new URL(url);
request(url, { method: 'POST' }, (reply) => {
  reply.on('data', (data) => console.log(reply.statusCode, String(data)));
  reply.on('end', () => {
    const socket = connect({ host, port }, () => console.log('connected', socket.authorized) || socket.destroy());
  });
}).end('hello');
