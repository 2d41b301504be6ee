"""Spark in this process: the queries on standard input, `{"view": SQL, "queries": {title: SQL}}`, and rows as JSON."""

import datetime
import json
import os
import sys

from pyspark.sql import SparkSession

asked = json.load(sys.stdin)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # Spark's own words
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
spark.sql(asked["view"])


def told(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return str(value)
    return float(value) if type(value).__name__ == "Decimal" else value


found = {
    title: [{key: told(value) for key, value in row.asDict().items()} for row in spark.sql(query).collect()]
    for title, query in asked["queries"].items()
}
json.dump(found, answers)
answers.close()
