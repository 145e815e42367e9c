"""
The operators: one public module for each, with its arguments and ``execute``.

A package whose name begins with ``_`` holds the private parts. API requests in PascalCase belong to ``aws``,
rules about outcomes to ``domain``.
"""
