let reconnectAttempts = 0;
const maxReconnectAttempts = 5;
const baseDelay = 1000; // 1 second
function connect() {
  const socket = new WebSocket('ws://localhost:3000');
  socket.onopen = function () {
    reconnectAttempts = 0;
    console.log('Connected to Source Saver');
  };
  socket.onclose = function () {
    if (reconnectAttempts < maxReconnectAttempts) {
      const delay = baseDelay * Math.pow(2, reconnectAttempts);
      console.log(`Reconnecting in ${delay}ms...`);
      setTimeout(connect, delay);
      reconnectAttempts++;
    }
  };
}
connect(); // frame
