// StreamElements Websocket Client - Node.js Example
const WebSocket = require('ws');
const { randomUUID } = require('crypto');
const ws = new WebSocket('wss://astro.streamelements.com');
ws.on('open', () => {
  console.log('Connected to StreamElements Astro');
});
ws.on('message', (data) => {
  const message = JSON.parse(data);
  switch (message.type) {
    case 'welcome':
      console.log('Welcome received, client ID:', message.data.client_id);
      // Subscribe to a topic after receiving welcome
      ws.send(JSON.stringify({
        type: 'subscribe',
        nonce: randomUUID(),
        data: {
          topic: 'channel.activities',
          room: 'YOUR_CHANNEL_ID',
          token: 'YOUR_JWT_TOKEN',
          token_type: 'jwt'
        }
      }));
      break;
    case 'response':
      if (message.error) {
        console.error('Error:', message.error, message.data.message);
      } else {
        console.log('Success:', message.data.message);
      }
      break;
    case 'message':
      console.log(`[${message.topic}] in room ${message.room}:`, message.data);
      if (message.topic === 'channel.activities') {
        console.log('New activity:', message.data.type, message.data);
      } else if (message.topic === 'channel.session.update') {
        console.log('Session update - Key:', message.data.key);
        console.log('Session update - Data:', message.data.data);
      } else if (message.topic === 'channel.session.reset') {
        console.log('Session reset - Full session data:', message.data.session);
      }
      break;
    case 'reconnect':
      console.log('Server is shutting down, reconnecting...');
      const token = message.data.reconnect_token;
      const newWs = new WebSocket(
        `wss://astro.streamelements.com/?reconnect_token=${token}`
      );
      // Transfer event listeners to newWs...
      break;
  }
});
ws.on('error', (error) => {
  console.error('WebSocket error:', error);
});
ws.on('close', (code, reason) => {
  console.log('Connection closed:', code, reason.toString());
});
// Unsubscribe from a specific room
function unsubscribe(topic, room) {
  ws.send(JSON.stringify({
    type: 'unsubscribe',
    nonce: randomUUID(),
    data: {
      topic: topic,
      room: room
    }
  }));
}
