import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic();
const question = { model: 'claude-haiku-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'Why?' }] };
console.log((await client.messages.create(question)).content[0].text);
console.log(await client.messages.stream(question).finalText());
