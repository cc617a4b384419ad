"""The client that the functions register with."""

from tidegate import Client

client = Client(app_id="my_app")
