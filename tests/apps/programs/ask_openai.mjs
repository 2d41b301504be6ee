import OpenAI from 'openai6';

const client = new OpenAI();
const messages = [{ role: 'user', content: 'Why?' }];

const reply = await client.chat.completions.create({ model: 'gpt-4o', messages });
console.log(reply.choices[0].message.content);

const stream = await client.chat.completions.create({
  model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true },
});
let said = '';
for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? '';
console.log(said);

console.log((await client.responses.create({ model: 'gpt-4.1', input: 'Why?' })).output_text);
