const wsUrl = 'wss://radio.example.com/api/v1/events?token=your_jwt_token'; // frame
let retryDelay = 1000;
const maxRetryDelay = 30000;

function connect() {
    const ws = new WebSocket(wsUrl);

    ws.onclose = () => {
        console.log(`Connection closed. Reconnecting in ${retryDelay}ms...`);
        setTimeout(connect, retryDelay);
        retryDelay = Math.min(retryDelay * 2, maxRetryDelay);
    };

    ws.onopen = () => {
        console.log('Connected');
        retryDelay = 1000; // Reset on successful connection
    };
}
connect(); // frame
