function connectWithRetry() {
  const ws = new WebSocket('wss://astro.streamelements.com');
  ws.addEventListener('open', () => {
    console.log('Connected to StreamElements Astro');
    reconnectionAttempts = 0;
  });
  ws.addEventListener('close', (event) => {
    const reconnectDelay = Math.min(1000 * Math.pow(2, reconnectionAttempts), 30000);
    reconnectionAttempts++;
    console.log(`Reconnecting in ${reconnectDelay}ms...`);
    setTimeout(connectWithRetry, reconnectDelay);
  });
  return ws;
}
let reconnectionAttempts = 0;
let websocket = connectWithRetry();
