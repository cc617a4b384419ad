"""The client that the shop's functions register with."""

from tidegate import Client

client = Client(app_id="shop")
