"""Small stand-ins for the Lambdas' handlers, to test what surrounds them."""
