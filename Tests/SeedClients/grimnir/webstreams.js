const jwtToken = 'your_jwt_token'; // frame
function sendAlert(title, payload) { // frame
  console.log(`${title}:`, payload); // frame
} // frame
const wsUrl = 'wss://radio.example.com/api/v1/events?types=webstream.failover,webstream.recovered';
const ws = new WebSocket(wsUrl + '&token=' + jwtToken);

ws.onmessage = (event) => {
    const data = JSON.parse(event.data);

    if (data.type === 'webstream.failover') {
        console.error(`⚠️ Webstream ${data.payload.webstream_name} failed over`);
        console.error(`   Failed URL: ${data.payload.failed_url}`);
        console.error(`   Using: ${data.payload.failover_url}`);
        console.error(`   Reason: ${data.payload.reason}`);

        // Alert operations team
        sendAlert('Webstream Failover', data.payload);
    }

    if (data.type === 'webstream.recovered') {
        console.log(`✅ Webstream ${data.payload.webstream_name} recovered`);
        console.log(`   URL: ${data.payload.recovered_url}`);
    }
};
