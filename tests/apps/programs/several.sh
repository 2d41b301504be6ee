#!/bin/sh
# A model is asked by two programs; the status is this script's own.
here=$(dirname "$0")
python "$here/ask_urllib.py"
curl --silent --fail --output /dev/null --header "Authorization: Bearer $OPENAI_API_KEY" \
  --header "Content-Type: application/json" \
  --data '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}' \
  https://api.openai.com/v1/chat/completions
echo done
exit 7
