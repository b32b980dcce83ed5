// An Airys client, as its documentation prints it; only address and token are others.
// node airys.js ws://localhost:3004/v1/stream TOKEN
const WebSocket = require('ws');
const [, , url, token] = process.argv;
const ws = new WebSocket(url);
ws.onopen = () => {
  ws.send(JSON.stringify({ type: 'auth', token: token }));
};
ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  console.log(JSON.stringify(message));
};
ws.onerror = (error) => {
  console.error('WebSocket error:', error.message);
};
ws.onclose = (event) => {
  console.log(JSON.stringify({ closed: event.code }));
};
