const ws = new WebSocket('wss://ws.airys.com/v1/stream'); // frame
ws.onopen = () => ws.send(JSON.stringify({ type: 'auth', token: 'your_api_token' })); // frame
ws.onmessage = (event) => console.log('Received:', event.data); // frame
function reconnect() { // frame
  const next = new WebSocket(ws.url); // frame
  next.onopen = () => console.log('Connected again'); // frame
} // frame
ws.onerror = (error) => {
  console.error('WebSocket error:', error);
  reconnect();
};

ws.onclose = (event) => {
  console.log('Connection closed:', event.code);
  if (event.code === 1006) {
    reconnect();
  }
};
