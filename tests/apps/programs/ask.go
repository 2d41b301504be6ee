// A client with its own Transport, which knows no proxy.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	question := `{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}`
	request, _ := http.NewRequest("POST", "https://api.openai.com/v1/chat/completions", strings.NewReader(question))
	request.Header.Set("Authorization", "Bearer sk-test")
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{}}
	reply, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	body, _ := io.ReadAll(reply.Body)
	fmt.Println(reply.StatusCode, len(body) > 0)
	os.Exit(7)
}
