require "json"
require "net/http"

question = { model: "gpt-4o", messages: [{ role: "user", content: "Why?" }] }
headers = { "Authorization" => "Bearer #{ENV["OPENAI_API_KEY"]}", "Content-Type" => "application/json" }
reply = Net::HTTP.post(URI("https://api.openai.com/v1/chat/completions"), question.to_json, headers)
puts JSON.parse(reply.body)["choices"][0]["message"]["content"]
