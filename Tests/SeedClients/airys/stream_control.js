const ws = new WebSocket('wss://ws.airys.com/v1/stream'); // frame
ws.onopen = () => ws.send(JSON.stringify({ type: 'auth', token: 'your_api_token' })); // frame
ws.onmessage = (event) => { // frame
  console.log('Received:', event.data); // frame
  if (JSON.parse(event.data).type !== 'auth_success') return; // frame
  // Start stream
  ws.send(JSON.stringify({
    type: 'stream_control',
    action: 'start',
    camera_id: 'cam_123'
  }));
}; // frame
