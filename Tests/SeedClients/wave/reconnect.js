class WaveWebSocket {
  constructor(apiKey, streamId) {
    this.apiKey = apiKey;
    this.streamId = streamId;
    this.reconnectDelay = 1000; // Start at 1s
    this.maxReconnectDelay = 30000; // Max 30s
    this.connect();
  }

  connect() {
    this.ws = new WebSocket(
      `wss://ws.wave.inc/v1/streams?api_key=${this.apiKey}`
    );

    this.ws.onopen = () => {
      console.log('Connected');
      this.reconnectDelay = 1000; // Reset backoff
      this.subscribe();
      this.startHeartbeat();
    };

    this.ws.onclose = (event) => {
      console.log('Disconnected:', event.code);
      this.stopHeartbeat();

      // Determine if we should reconnect
      if (this.shouldReconnect(event.code)) {
        setTimeout(() => {
          this.reconnectDelay = Math.min(
            this.reconnectDelay * 2,
            this.maxReconnectDelay
          );
          this.connect();
        }, this.reconnectDelay);
      }
    };

    this.ws.onerror = (error) => {
      console.error('WebSocket error:', error);
    };

    this.ws.onmessage = (event) => {
      const msg = JSON.parse(event.data);
      if (msg.type === 'pong') {
        this.lastPong = Date.now();
      } else {
        this.handleMessage(msg);
      }
    };
  }

  shouldReconnect(code) {
    // Don't reconnect on normal closure or auth errors
    return code !== 1000 && code !== 4401;
  }

  startHeartbeat() {
    this.heartbeatInterval = setInterval(() => {
      if (this.ws.readyState === WebSocket.OPEN) {
        this.ws.send(JSON.stringify({
          type: 'ping',
          timestamp: Date.now()
        }));

        // Check if pong received within 5s
        setTimeout(() => {
          if (Date.now() - this.lastPong > 5000) {
            console.warn('No pong received, reconnecting');
            this.ws.close(1006);
          }
        }, 5000);
      }
    }, 30000); // Every 30s
  }

  stopHeartbeat() {
    if (this.heartbeatInterval) {
      clearInterval(this.heartbeatInterval);
    }
  }

  subscribe() {
    this.ws.send(JSON.stringify({
      type: 'subscribe',
      stream_id: this.streamId,
      events: ['stream.started', 'analytics.update']
    }));
  }
}
class Monitor extends WaveWebSocket { // frame
  handleMessage(msg) { // frame
    console.log('Received:', msg.type, msg.payload); // frame
  } // frame
} // frame
const monitor = new Monitor('wave_live_xxxxx', 'stream_abc123'); // frame
