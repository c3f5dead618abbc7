"""A Spark job over the lake, run by an interpreter that has nothing but pyspark: the same question of the files and of the table.

Prints JSON: {"files": [count, sum of free seats, latest instant in µs since 1970 (UTC)], "table": the same}.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

_ASKED = "SELECT count(*), sum(seats.free_count), unix_micros(max(occurred_at)) FROM {}"


def main(lake: Path, jars: str) -> None:
    """`jars` are those of Iceberg and of its catalogue, separated by commas; empty where they could not be had."""
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.memory", "512m")
    if jars:
        for name, value in {
            "spark.jars": jars,
            "spark.sql.catalog.estuaire": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.estuaire.type": "jdbc",
            "spark.sql.catalog.estuaire.uri": f"jdbc:sqlite:{lake}/catalog.db",
            "spark.sql.catalog.estuaire.jdbc.schema-version": "V1",
            "spark.sql.catalog.estuaire.warehouse": f"file://{lake}/_iceberg",
        }.items():
            builder = builder.config(name, value)
    spark = builder.getOrCreate()
    files = json.loads((lake / "manifest.json").read_text())["datasets"]["SeatHeld"]["files"]
    spark.read.parquet(*(f"{lake}/{file['path']}" for file in files)).createOrReplaceTempView("held")
    answers = {"files": list(spark.sql(_ASKED.format("held")).first())}
    if jars:
        answers["table"] = list(spark.sql(_ASKED.format("estuaire.lake.seat_held")).first())
    print(json.dumps(answers))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
