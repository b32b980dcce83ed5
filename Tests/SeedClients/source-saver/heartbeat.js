const socket = new WebSocket('ws://localhost:3000'); // frame
socket.onmessage = (event) => console.log('Received:', event.data); // frame
setInterval(() => {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({
      action: 'ping',
      timestamp: new Date().toISOString(),
    }));
  }
}, 30000); // Every 30 seconds
