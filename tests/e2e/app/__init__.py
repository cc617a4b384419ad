"""Functions that show what they were given, fail, or take their time."""

from tidegate import Client

client = Client(app_id="e2e")
