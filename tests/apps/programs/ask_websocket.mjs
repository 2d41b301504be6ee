const socket = new WebSocket('wss://api.openai.com/v1/realtime?model=gpt-realtime', [
  'realtime',
  `openai-insecure-api-key.${process.env.OPENAI_API_KEY}`,
]);
socket.addEventListener('open', () => {
  const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Why?' }] };
  socket.send(JSON.stringify({ type: 'conversation.item.create', item }));
  socket.send(JSON.stringify({ type: 'response.create' }));
});
socket.addEventListener('message', ({ data }) => {
  const event = JSON.parse(data);
  if (event.type !== 'response.done') return;
  console.log(event.response.status);
  socket.close();
});
