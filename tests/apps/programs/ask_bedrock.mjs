import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';

const client = new BedrockRuntimeClient({ region: 'us-east-1' });
const messages = [{ role: 'user', content: [{ text: 'Why?' }] }];
const reply = await client.send(new ConverseCommand({ modelId: 'amazon.nova-lite-v1:0', messages }));
console.log(reply.output.message.content[0].text);
