const token = "your_jwt_token_here";
const ws = new WebSocket(`wss://radio.example.com/api/v1/events?types=now_playing,live.handover&token=${token}`);

ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    console.log('Event:', data.type, data.payload);
};
