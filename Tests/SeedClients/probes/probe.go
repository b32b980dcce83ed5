// What Go's gorilla tells its user of a refusal and of a close. Its argument is a task, in JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

type Step struct {
	Pause               float64
	Times, Long, Binary int
	Text                string
}

type Task struct {
	URL     string
	Headers map[string]string
	Send    []Step
	After   string
	Close   int
	Times   int
}

func say(what map[string]any) {
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

func send(socket *websocket.Conn, task Task) {
	for _, step := range task.Send {
		time.Sleep(time.Duration(step.Pause * float64(time.Second)))
		for count := 0; count < step.Times || count == 0; count++ {
			switch {
			case step.Text != "":
				socket.WriteMessage(websocket.TextMessage, []byte(step.Text))
			case step.Long > 0:
				socket.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", step.Long)))
			case step.Binary > 0:
				socket.WriteMessage(websocket.BinaryMessage, make([]byte, step.Binary))
			}
		}
	}
	if task.Close > 0 {
		message := websocket.FormatCloseMessage(task.Close, "")
		socket.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
	}
}

// Whether it was let in.
func connect(task Task) bool {
	headers := http.Header{}
	for name, value := range task.Headers {
		headers.Set(name, value)
	}
	socket, response, err := websocket.DefaultDialer.Dial(task.URL, headers)
	if errors.Is(err, websocket.ErrBadHandshake) {
		body, _ := io.ReadAll(response.Body)
		told := map[string]string{}
		for name := range response.Header {
			told[strings.ToLower(name)] = response.Header.Get(name)
		}
		say(map[string]any{"refused": response.StatusCode, "headers": told, "body": string(body)})
		return false
	}
	if err != nil {
		say(map[string]any{"failed": err.Error()})
		return false
	}
	defer socket.Close()
	say(map[string]any{"opened": true})
	if task.Times > 0 {
		return true
	}
	hasSent := task.After == ""
	if hasSent {
		go send(socket, task)
	}
	for {
		_, message, err := socket.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			say(map[string]any{"closed": closed.Code, "reason": closed.Text})
			return true
		}
		if err != nil {
			say(map[string]any{"failed": err.Error()})
			return true
		}
		say(map[string]any{"message": string(message)})
		if !hasSent && strings.Contains(string(message), task.After) {
			hasSent = true
			go send(socket, task)
		}
	}
}

func main() {
	var task Task
	if err := json.Unmarshal([]byte(os.Args[1]), &task); err != nil {
		panic(err)
	}
	for count := 0; count == 0 || count < task.Times; count++ {
		if !connect(task) {
			return
		}
	}
}
