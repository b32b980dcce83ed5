class LiveSessionMonitor {
    constructor(apiUrl, token) {
        this.apiUrl = apiUrl;
        this.token = token;
        this.ws = null;
        this.retryDelay = 1000;
        this.maxRetryDelay = 30000;
    }

    connect() {
        const wsUrl = `${this.apiUrl}/events?types=live.handover,live.released,dj_connect,dj_disconnect&token=${this.token}`;
        this.ws = new WebSocket(wsUrl);

        this.ws.onopen = () => {
            console.log('Live session monitor connected');
            this.retryDelay = 1000;
        };

        this.ws.onmessage = (event) => {
            const data = JSON.parse(event.data);

            if (data.type === 'ping') return;

            switch (data.type) {
                case 'live.handover':
                    this.onHandover(data.payload);
                    break;
                case 'live.released':
                    this.onRelease(data.payload);
                    break;
                case 'dj_connect':
                    this.onDJConnect(data.payload);
                    break;
                case 'dj_disconnect':
                    this.onDJDisconnect(data.payload);
                    break;
            }
        };

        this.ws.onclose = () => {
            console.log(`Connection closed. Reconnecting in ${this.retryDelay}ms...`);
            setTimeout(() => this.connect(), this.retryDelay);
            this.retryDelay = Math.min(this.retryDelay * 2, this.maxRetryDelay);
        };

        this.ws.onerror = (error) => {
            console.error('WebSocket error:', error);
        };
    }

    onHandover(payload) {
        console.log(`🎙️ ${payload.username} took over on station ${payload.station_id}`);
        console.log(`   Transition: ${payload.transition_type}, Priority: ${payload.priority}`);
    }

    onRelease(payload) {
        console.log(`👋 ${payload.username} released control`);
    }

    onDJConnect(payload) {
        console.log(`✅ ${payload.username} connected from ${payload.source_ip}`);
    }

    onDJDisconnect(payload) {
        const duration = Math.floor(payload.duration_seconds / 60);
        console.log(`❌ ${payload.username} disconnected after ${duration} minutes`);
    }

    disconnect() {
        if (this.ws) {
            this.ws.close();
        }
    }
}

// Usage
const monitor = new LiveSessionMonitor('wss://radio.example.com/api/v1', 'your_jwt_token');
monitor.connect();
