<?php
// PHP's streams know no proxy variables.
$question = json_encode(['model' => 'gpt-4o', 'messages' => [['role' => 'user', 'content' => 'Why?']]]);
$headers = "Authorization: Bearer sk-test\r\nContent-Type: application/json\r\n";
$context = stream_context_create(['http' => ['method' => 'POST', 'header' => $headers, 'content' => $question]]);
$reply = file_get_contents('https://api.openai.com/v1/chat/completions', false, $context);
echo json_decode($reply)->choices[0]->message->content, "\n";
exit(7);
