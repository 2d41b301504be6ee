#!/bin/sh
# The answer to a question is the next one's question.
here=$(dirname "$0")
echo "Why?" | python "$here/answer.py" | python "$here/answer.py"
