const ws = new WebSocket('wss://ws.airys.com/v1/stream'); // frame
ws.onopen = () => ws.send(JSON.stringify({ type: 'auth', token: 'your_api_token' })); // frame
function handleFaceDetection(data) { // frame
  console.log('Face:', data); // frame
} // frame
function updateStreamStatus(data) { // frame
  console.log('Stream:', data); // frame
} // frame
ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  switch (message.type) {
    case 'face_detected':
      handleFaceDetection(message.data);
      break;
    case 'stream_status':
      updateStreamStatus(message.data);
      break;
  }
};
