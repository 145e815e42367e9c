"""The FastAPI app of the page: routes, permissions, reads, and the files of the page."""
