package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	question := `{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}`
	request, _ := http.NewRequest("POST", "https://api.openai.com/v1/chat/completions", strings.NewReader(question))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("OPENAI_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	var reply struct {
		Choices []struct{ Message struct{ Content string } }
	}
	json.NewDecoder(response.Body).Decode(&reply)
	fmt.Println(reply.Choices[0].Message.Content)
}
