const ws = new WebSocket('wss://ws.airys.com/v1/stream');

ws.onopen = () => {
  console.log('Connected to Airys WebSocket');
  ws.send(JSON.stringify({
    type: 'auth',
    token: 'your_api_token'
  }));
};
