"""Recorded calls as Parquet, for engines that query columns: a row a call (docs/parquet.md).

    columns.py     the two tables, calls and bodies: their columns, with type, description and value
    part_file.py   one file, written in batches of rows
    export.py      calls as one file, or as files in folders by day and host; the formats `parquet` (calls_file.py) and
                   `parquet-bodies` (bodies_file.py)
    file_store.py  a folder, or an object store, into which whole files are put
    append.py      rows added to a table in a store, for `push/targets/parquet.py`: small files are united, and no row
                   comes twice

Everything here needs pyarrow, the extra `sessiontap[parquet]`. `export/` and `push/` import it when it is asked for.
"""
