// A Source Saver client, as its documentation prints it; only the address is another.
// node source-saver.js ws://localhost:3000
const WebSocket = require('ws');
const socket = new WebSocket(process.argv[2]);
socket.onopen = function () {
  socket.send(JSON.stringify({ action: 'subscribe', events: ['sources:*', 'obs:sceneChanged', 'performance:update'] }));
};
socket.onmessage = function (event) {
  console.log(JSON.stringify(JSON.parse(event.data)));
};
socket.onclose = function (event) {
  console.log(JSON.stringify({ closed: event.code }));
};
socket.onerror = function (error) {
  console.error('WebSocket error:', error.message);
};
