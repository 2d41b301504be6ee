import WebSocket from 'ws';

const socket = new WebSocket('wss://api.openai.com/v1/realtime?model=gpt-realtime', {
  headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
});
socket.on('open', () => {
  const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Why?' }] };
  socket.send(JSON.stringify({ type: 'conversation.item.create', item }));
  socket.send(JSON.stringify({ type: 'response.create' }));
});
socket.on('message', (data) => {
  const event = JSON.parse(data);
  if (event.type !== 'response.done') return;
  console.log(event.response.status);
  socket.close();
});
