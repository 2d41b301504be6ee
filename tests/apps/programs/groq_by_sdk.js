// The recipe's groq.js by Groq's own package.
'use strict';

const { default: Groq } = require('groq-sdk');

const client = new Groq({ maxRetries: 0 });

async function ask(job, body) {
  let reply;
  try {
    reply = await client.chat.completions.create({ ...body, user: job.user }, { headers: { 'x-request-id': job.id } });
  } catch (error) {
    throw new Error(`${error.status} ${error.error?.error?.code}`);
  }
  if (!body.stream) return reply.choices[0].message;

  let content = '';
  for await (const chunk of reply) content += chunk.choices[0]?.delta.content ?? '';
  return { role: 'assistant', content };
}

module.exports = { ask };
