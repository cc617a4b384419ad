"""The dashboard: a page to look at what happens, made of static files that talk to the REST API."""
