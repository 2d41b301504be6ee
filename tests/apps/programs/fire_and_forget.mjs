// Sends a question and ends at once, without waiting for the answer.
import https from 'node:https';

const request = https.request('https://api.openai.com/v1/chat/completions', {
  method: 'POST',
  headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY}`, 'Content-Type': 'application/json' },
});
request.end(JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] }), () => process.exit(0));
