import { ChatOpenAI } from '@langchain/openai';

const model = new ChatOpenAI({ model: 'gpt-4o' });
console.log((await model.invoke('Why?')).text);
let said = '';
for await (const chunk of await model.stream('Why?')) said += chunk.text;
console.log(said);
