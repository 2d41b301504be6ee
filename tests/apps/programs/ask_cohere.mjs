import { CohereClientV2 } from 'cohere-ai';

const client = new CohereClientV2({ token: process.env.CO_API_KEY });
const messages = [{ role: 'user', content: 'Why?' }];
console.log((await client.chat({ model: 'command-a-03-2025', messages })).message.content[0].text);
