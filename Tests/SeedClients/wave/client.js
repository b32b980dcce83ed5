// Using native WebSocket API
const ws = new WebSocket(
  'wss://ws.wave.inc/v1/streams?api_key=wave_live_xxxxx'
);

ws.onopen = () => {
  console.log('Connected to WAVE WebSocket');

  // Subscribe to stream events
  ws.send(JSON.stringify({
    type: 'subscribe',
    stream_id: 'stream_abc123',
    events: ['stream.started', 'analytics.update', 'chat.message']
  }));
};

ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  console.log('Received:', message.type, message.payload);

  switch(message.type) {
    case 'stream.started':
      console.log('Stream went live!', message.payload);
      break;
    case 'analytics.update':
      console.log('Viewers:', message.payload.concurrent_viewers);
      break;
    case 'chat.message':
      console.log('Chat:', message.payload.username, message.payload.message);
      break;
  }
};

ws.onerror = (error) => {
  console.error('WebSocket error:', error);
};

ws.onclose = (event) => {
  console.log('Disconnected:', event.code, event.reason);
};

// Send chat message
function sendMessage(text) {
  ws.send(JSON.stringify({
    type: 'chat.message',
    stream_id: 'stream_abc123',
    message: text
  }));
}

// Send reaction
function sendReaction(emoji) {
  ws.send(JSON.stringify({
    type: 'reaction.sent',
    stream_id: 'stream_abc123',
    reaction: emoji
  }));
}
