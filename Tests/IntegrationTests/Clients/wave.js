// A WAVE client, as its documentation prints it; only address, key and stream are others.
// node wave.js ws://localhost:3002/v1/streams KEY STREAM
const WebSocket = require('ws');
const [, , url, apiKey, streamId] = process.argv;
const ws = new WebSocket(`${url}?api_key=${apiKey}`);
ws.onopen = () => {
  ws.send(JSON.stringify({
    type: 'subscribe',
    stream_id: streamId,
    events: ['stream.started', 'analytics.update', 'chat.message']
  }));
};
ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  console.log(JSON.stringify(message));
  if (message.type === 'stream.started') {
    sendMessage('hello from the stream');
  }
};
ws.onerror = (error) => {
  console.error('WebSocket error:', error.message);
};
ws.onclose = (event) => {
  console.log(JSON.stringify({ closed: event.code }));
};

function sendMessage(text) {
  ws.send(JSON.stringify({ type: 'chat.message', stream_id: streamId, message: text }));
}
