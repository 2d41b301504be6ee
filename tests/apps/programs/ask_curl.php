<?php
$curl = curl_init("https://api.openai.com/v1/chat/completions");
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ["Authorization: Bearer " . getenv("OPENAI_API_KEY"), "Content-Type: application/json"],
    CURLOPT_POSTFIELDS => json_encode(["model" => "gpt-4o", "messages" => [["role" => "user", "content" => "Why?"]]]),
]);
$reply = curl_exec($curl);
if ($reply === false) {
    fwrite(STDERR, curl_error($curl) . "\n");
    exit(1);
}
echo json_decode($reply)->choices[0]->message->content, "\n";
