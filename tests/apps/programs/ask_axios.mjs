import axios from 'axios';

const { data } = await axios.post(
  'https://api.openai.com/v1/chat/completions',
  { model: 'gpt-4o', messages: [{ role: 'user', content: 'Why?' }] },
  { headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY}` } },
);
console.log(data.choices[0].message.content);
