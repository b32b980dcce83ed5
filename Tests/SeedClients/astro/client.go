// StreamElements Websocket Client - Go Example
package main

import (
	"encoding/json"
	"log"
	"net/url"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

type Message struct {
	ID    string      `json:"id,omitempty"`
	TS    string      `json:"ts,omitempty"`
	Type  string      `json:"type"`
	Topic string      `json:"topic,omitempty"`
	Room  string      `json:"room,omitempty"`
	Nonce string      `json:"nonce,omitempty"`
	Error string      `json:"error,omitempty"`
	Data  interface{} `json:"data,omitempty"`
}

func main() {
	u := url.URL{Scheme: "wss", Host: "astro.streamelements.com", Path: "/"}
	log.Printf("Connecting to %s", u.String())
	conn, _, err := websocket.DefaultDialer.Dial(u.String(), nil)
	if err != nil {
		log.Fatal("Error connecting:", err)
	}
	defer conn.Close()
	log.Println("Connected to StreamElements Astro")
	for {
		var msg Message
		err := conn.ReadJSON(&msg)
		if err != nil {
			log.Println("Error reading message:", err)
			return
		}
		switch msg.Type {
		case "welcome":
			log.Printf("Welcome received: %+v", msg.Data)
			// Subscribe to a topic after receiving welcome
			subscribeMsg := map[string]interface{}{
				"type":  "subscribe",
				"nonce": uuid.New().String(),
				"data": map[string]interface{}{
					"topic":      "channel.activities",
					"room":       "YOUR_CHANNEL_ID",
					"token":      "YOUR_JWT_TOKEN",
					"token_type": "jwt",
				},
			}
			if err := conn.WriteJSON(subscribeMsg); err != nil {
				log.Println("Error subscribing:", err)
				return
			}
		case "response":
			if msg.Error != "" {
				log.Printf("Error: %s", msg.Error)
			} else {
				log.Printf("Success: %+v", msg.Data)
			}
		case "message":
			log.Printf("[%s] in room %s: %+v", msg.Topic, msg.Room, msg.Data)
		case "reconnect":
			log.Println("Server is shutting down, reconnecting...")
			if data, ok := msg.Data.(map[string]interface{}); ok {
				if token, ok := data["reconnect_token"].(string); ok {
					reconnectURL := url.URL{
						Scheme:   "wss",
						Host:     "astro.streamelements.com",
						Path:     "/",
						RawQuery: "reconnect_token=" + token,
					}
					log.Printf("Reconnecting to %s", reconnectURL.String())
					// Open new connection with reconnectURL...
				}
			}
			return
		}
	}
}

var _ = json.Valid // frame
