// One call to Groq's chat completions. A request id goes along, so that one course can be followed through all logs.
'use strict';

const URL = (process.env.GROQ_BASE_URL || 'https://api.groq.com') + '/openai/v1/chat/completions';

// Returns the assistant's message. Throws an Error with Groq's own words.
async function ask(job, body) {
  const reply = await fetch(URL, {
    method: 'POST',
    headers: {
      'authorization': `Bearer ${process.env.GROQ_API_KEY}`,
      'content-type': 'application/json',
      'x-request-id': job.id,
    },
    body: JSON.stringify({ ...body, user: job.user }),
  });
  if (!reply.ok) {
    const { error } = await reply.json();
    throw new Error(`${reply.status} ${error.code || error.message}`);
  }
  if (!body.stream) return (await reply.json()).choices[0].message;

  let content = '';
  const events = (await reply.text()).split('\n\n').filter((event) => event.startsWith('data: {'));
  for (const event of events) content += JSON.parse(event.slice(6)).choices[0]?.delta.content ?? '';
  return { role: 'assistant', content };
}

module.exports = { ask };
