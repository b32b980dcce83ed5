const socket = new WebSocket('ws://localhost:3000');
socket.onopen = function (event) {
  console.log('Connected to Source Saver WebSocket');
};
socket.onmessage = function (event) {
  const message = JSON.parse(event.data);
  console.log('Received:', message);
};
socket.onclose = function (event) {
  console.log('WebSocket connection closed');
};
socket.onerror = function (error) {
  console.error('WebSocket error:', error);
};
