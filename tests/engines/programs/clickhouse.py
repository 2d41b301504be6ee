"""ClickHouse in this process (chdb): the same words in and out as spark.py."""

import json
import sys

from chdb.session import Session

asked = json.load(sys.stdin)
session = Session()
for setting in (
    "session_timezone = 'UTC'",
    "output_format_json_quote_64bit_integers = 0",
    "date_time_output_format = 'iso'",
):
    session.query(f"SET {setting}")
session.query(asked["view"])
found = {
    title: [json.loads(line) for line in str(session.query(query, "JSONEachRow")).splitlines() if line]
    for title, query in asked["queries"].items()
}
json.dump(found, sys.stdout)
