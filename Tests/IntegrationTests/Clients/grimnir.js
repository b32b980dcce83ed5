// A Grimnir Radio client, as its documentation prints it; only address and token are others.
// node grimnir.js ws://localhost:3003/api/v1 TOKEN
const WebSocket = require('ws');
const [, , apiUrl, token] = process.argv;
const ws = new WebSocket(`${apiUrl}/events?types=now_playing,live.handover&token=${token}`);
ws.onopen = () => {
  console.log(JSON.stringify({ open: true }));
};
ws.onmessage = (event) => {
  const data = JSON.parse(event.data);
  console.log(JSON.stringify(data));
};
ws.onerror = (error) => {
  console.error('WebSocket error:', error.message);
};
ws.onclose = (event) => {
  console.log(JSON.stringify({ closed: event.code }));
};
