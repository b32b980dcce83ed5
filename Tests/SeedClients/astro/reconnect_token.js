const websocket = new WebSocket('wss://astro.streamelements.com'); // frame
websocket.onmessage = (event) => console.log('Received:', event.data); // frame
websocket.onopen = () => websocket.send(JSON.stringify({ type: 'subscribe', nonce: 'n', // frame
  data: { topic: 'channel.activities', room: 'YOUR_CHANNEL_ID', token: 'YOUR_JWT_TOKEN', token_type: 'jwt' } })); // frame
websocket.addEventListener('message', (event) => {
  const message = JSON.parse(event.data);
  if (message.type === 'reconnect') {
    const token = message.data.reconnect_token;
    const newWs = new WebSocket(
      `wss://astro.streamelements.com/?reconnect_token=${token}`
    );
    // The new connection will restore all subscriptions automatically
  }
});
