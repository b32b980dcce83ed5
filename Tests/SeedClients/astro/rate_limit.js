const websocket = new WebSocket('wss://astro.streamelements.com'); // frame
websocket.addEventListener('message', (event) => {
  const message = JSON.parse(event.data);
  if (message.error === 'rate_limit_exceeded') {
    console.log('Rate limit exceeded, backing off...');
    // Wait before retrying - note that rate limit responses do not include a nonce
    setTimeout(() => {
      // Retry your command
    }, 5000);
  }
});
websocket.onopen = () => { // frame
  for (let command = 0; command < 120; command++) { // frame
    websocket.send('{"type":"unsubscribe","data":{"topic":"channel.activities"}}'); // frame
  } // frame
}; // frame
