import got from 'got';

const reply = await got.post('https://api.openai.com/v1/chat/completions', {
  headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
  json: { model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] },
}).json();
console.log(reply.choices[0].message.content);
