import https from 'node:https';

const question = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] });
const request = https.request('https://api.openai.com/v1/chat/completions', {
  method: 'POST',
  headers: {
    Authorization: `Bearer ${process.env.OPENAI_API_KEY}`,
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(question),
  },
}, (reply) => {
  let body = '';
  reply.on('data', (data) => { body += data; });
  reply.on('end', () => console.log(JSON.parse(body).choices[0].message.content));
});
request.end(question);
