const socket = new WebSocket('ws://localhost:3000'); // frame
socket.onmessage = (event) => console.log('Received:', event.data); // frame
socket.onopen = () => { // frame
  // Subscribe only to source activation/deactivation
  socket.send(JSON.stringify({
    action: 'subscribe',
    events: ['sources:activate', 'sources:deactivate'],
  }));
  // Subscribe to scene changes and performance alerts
  socket.send(JSON.stringify({
    action: 'subscribe',
    events: ['obs:sceneChanged', 'performance:alert'],
  }));
}; // frame
