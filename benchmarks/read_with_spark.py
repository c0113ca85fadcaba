"""Reads a table and a data set with Spark, as docs/table.md says (pip install pyspark, and Java).

python benchmarks/read_with_spark.py preds.parquet preds
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession


def main() -> None:
    """Print the columns, the rows of each class, and the first of the most probable classes."""
    spark = SparkSession.builder.master("local[2]").getOrCreate()
    for name in sys.argv[1:]:
        table = spark.read.parquet(name)
        table.printSchema()
        table.groupBy("class").count().show()
        table.selectExpr("path", "inline(top_k)").show(6, truncate=False)
    spark.stop()


if __name__ == "__main__":
    main()
