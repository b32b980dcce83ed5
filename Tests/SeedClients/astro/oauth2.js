const subscribeMessage = {
  type: 'subscribe',
  nonce: crypto.randomUUID(),
  data: {
    topic: 'channel.activities',
    room: 'YOUR_CHANNEL_ID',
    token: 'YOUR_OAUTH2_TOKEN',
    token_type: 'oauth2'
  }
};
const websocket = new WebSocket('wss://astro.streamelements.com'); // frame
websocket.onmessage = (event) => console.log('Received:', event.data); // frame
websocket.onopen = () => websocket.send(JSON.stringify(subscribeMessage)); // frame
