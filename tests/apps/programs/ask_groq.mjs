import Groq from 'groq-sdk';

const messages = [{ role: 'user', content: 'Why?' }];
const reply = await new Groq().chat.completions.create({ model: 'llama-3.3-70b-versatile', messages });
console.log(reply.choices[0].message.content);
