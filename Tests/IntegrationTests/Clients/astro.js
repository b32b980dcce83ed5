// A StreamElements Astro client, as its documentation prints it; only address, channel and token are others.
// node astro.js ws://localhost:3001 CHANNEL TOKEN [jwt|oauth2|apikey]
const WebSocket = require('ws');
const { randomUUID } = require('crypto');
const [, , url, channel, token, tokenType = 'jwt'] = process.argv;
const ws = new WebSocket(url);
ws.on('message', (data) => {
  const message = JSON.parse(data);
  console.log(JSON.stringify(message));
  switch (message.type) {
    case 'welcome':
      ws.send(JSON.stringify({
        type: 'subscribe',
        nonce: randomUUID(),
        data: { topic: 'channel.activities', room: channel, token: token, token_type: tokenType }
      }));
      break;
    case 'response':
      if (message.error) {
        console.error('Error:', message.error, message.data.message);
      }
      break;
  }
});
ws.on('error', (error) => {
  console.error('WebSocket error:', error.message);
});
ws.on('close', (code) => {
  console.log(JSON.stringify({ closed: code }));
});
