"""
Captured requests, joined and compared by DuckDB.

DuckDB reads the files, decodes them, joins the records, spills to disk, and counts. Python reads only the
answers that SQL cannot surely read as Python does, or finds unequal. The rules are those of
``domain.predictions``.

Here belong files, SQL, and what DuckDB needs. Calls to AWS and Airflow do not belong here.
"""
